"""How work over files is spread. The default is a pool of local processes; a distributed engine is another adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """A task that gave no result. ``crash`` means that its worker died (killed, out of memory)."""

    reason: Literal["timeout", "crash", "error"]
    message: str


class Executor(Protocol):
    """Runs one function over many tasks."""

    def map(
        self,
        function: Callable[[Shared, Task], Result],
        tasks: Sequence[Task],
        *,
        shared: Shared,
        timeout_s: float,
        done: Callable[[], None],
    ) -> list[Result | TaskFailure]:
        """One result per task, in the order of the tasks.

        A task that raises, outlives its time or takes its worker down becomes a `TaskFailure`; the others go on.

        Args:
            function: importable by name, so that another process can find it.
            tasks: values that can be sent to another process.
            shared: sent once to every worker, not once per task.
            timeout_s: seconds that one task may take.
            done: called here after every task.
        """
        ...
