"""Executors on this machine: in this process, or in a pool of worker processes.

The pool is not `concurrent.futures.ProcessPoolExecutor`: there, one killed worker fails every task that is under way
and nobody knows which one was to blame, and a task that runs away cannot be stopped. Here each worker has one task at a
time, so a death or a time-out belongs to exactly one task, and only that worker is replaced.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from bailiwick.extraction.ports import Result, Shared, Task, TaskFailure


class InProcess:
    """Runs the tasks one after the other, here. Cheap for small inputs; cannot stop a task that runs away."""

    def map(
        self,
        function: Callable[[Shared, Task], Result],
        tasks: Sequence[Task],
        *,
        shared: Shared,
        timeout_s: float,
        done: Callable[[], None],
    ) -> list[Result | TaskFailure]:
        """See `Executor.map`; ``timeout_s`` is not enforced."""
        results: list[Result | TaskFailure] = []
        for task in tasks:
            results.append(_attempt(function, shared, task))
            done()
        return results


class WorkerPool:
    """Runs the tasks in fresh worker processes, one task at a time in each.

    Args:
        workers: how many processes at most.
    """

    def __init__(self, workers: int) -> None:
        self._workers = max(1, workers)

    def map(
        self,
        function: Callable[[Shared, Task], Result],
        tasks: Sequence[Task],
        *,
        shared: Shared,
        timeout_s: float,
        done: Callable[[], None],
    ) -> list[Result | TaskFailure]:
        """See `Executor.map`. A worker that dies or runs out of time is replaced."""
        results: list[Result | TaskFailure] = [TaskFailure("error", "not run")] * len(tasks)
        pending = deque(range(len(tasks)))
        workers = [_Worker(function, shared) for _ in range(min(self._workers, len(tasks)))]
        try:
            while pending or any(worker.task is not None for worker in workers):
                for worker in workers:
                    if worker.task is None and pending:
                        worker.start(pending.popleft(), tasks, timeout_s)
                busy = [worker for worker in workers if worker.task is not None]
                patience = max(0.0, min(worker.deadline for worker in busy) - time.monotonic())
                wait([worker.connection for worker in busy], timeout=patience)
                for worker in busy:
                    outcome = worker.collect(timeout_s)
                    if outcome is not None:
                        position, results[position] = outcome
                        done()
        finally:
            for worker in workers:
                worker.stop()
        return results


class _Worker:
    """One process and the task that it has."""

    def __init__(self, function: Callable[[Any, Any], Any], shared: Any) -> None:
        self._function, self._shared = function, shared
        self.task: int | None = None
        self.deadline = 0.0
        self._spawn()

    def _spawn(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._function, self._shared), daemon=True)
        self._process.start()
        theirs.close()
        self._warm = False

    def start(self, position: int, tasks: Sequence[Any], timeout_s: float) -> None:
        self.task = position
        grace = 0.0 if self._warm else 30.0  # a fresh process imports its modules first
        self.deadline = time.monotonic() + timeout_s + grace
        with contextlib.suppress(OSError):  # it died while idle: `collect` sees that
            self.connection.send(tasks[position])

    def collect(self, timeout_s: float) -> tuple[int, Any] | None:
        """The task's position and result, once there is one."""
        assert self.task is not None
        result: Any
        try:
            if self.connection.poll():
                result, self._warm = self.connection.recv(), True
            elif time.monotonic() >= self.deadline:
                result = TaskFailure("timeout", f"took longer than {timeout_s:g} s")
                self._replace()
            else:
                return None
        except (EOFError, OSError):
            self._process.join(timeout=5)
            result = TaskFailure("crash", f"its worker process ended with {_describe(self._process.exitcode)}")
            self._replace()
        position, self.task = self.task, None
        return position, result

    def _replace(self) -> None:
        self.stop()
        self._spawn()

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


def _serve(connection: Connection, function: Callable[[Any, Any], Any], shared: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_attempt(function, shared, task))


def _attempt(function: Callable[[Shared, Task], Result], shared: Shared, task: Task) -> Result | TaskFailure:
    try:
        return function(shared, task)
    except MemoryError:
        return TaskFailure("crash", "ran out of memory")
    except Exception as error:  # noqa: BLE001 - whatever a file provokes in a parser is that file's outcome
        return TaskFailure("error", f"{type(error).__name__}: {str(error)[:500]}")


def _describe(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit status {code}"
    return signal.Signals(-code).name
