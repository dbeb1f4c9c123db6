"""Calls of one Lua script in Redis: those of one turn of the event loop travel together, in one write and one read.

Most of what a call costs its caller is the way there, not the script. What nobody waits for may be late, and travels
with the next call that somebody does wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

LATE_S = 0.02
"""How late a call may be that nobody waits for."""

_AT_ONCE = 100

_Waiting = tuple[list[str | int], asyncio.Future[bytes] | None]


class ScriptCalls:
    """Runs one script.

    Args:
        client: of `redis.asyncio`.
        script: in Lua; it returns a text.
        timeout_s: how long a journey may take.
        unknown: the error of a Redis that does not know the script: it was restarted.
        failures: the errors of a Redis that does not answer.
        lost: told of such an error.
    """

    def __init__(
        self,
        client: Any,
        script: str,
        timeout_s: float,
        *,
        unknown: type[Exception],
        failures: tuple[type[Exception], ...],
        lost: Callable[[Exception], None],
    ) -> None:
        self._client = client
        self._script = script
        self._timeout_s = timeout_s
        self._unknown = unknown
        self._failures = failures
        self._lost = lost
        self._digest: str | None = None
        self._waiting: list[_Waiting] = []
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, keys: Sequence[str], arguments: Sequence[str | int]) -> asyncio.Future[bytes]:
        """Call the script; the future has its answer, or one of the failures."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        self._waiting.append(([len(keys), *keys, *arguments], answer))
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._depart)
        return answer

    def tell(self, keys: Sequence[str], arguments: Sequence[str | int]) -> None:
        """Call the script a little later; nobody waits for the answer."""
        self._waiting.append(([len(keys), *keys, *arguments], None))
        if self._timer is None and not self._is_due:
            self._timer = asyncio.get_running_loop().call_later(LATE_S, self._depart)

    async def stop(self) -> None:
        """Finish what was begun."""
        self._depart()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _depart(self) -> None:
        self._is_due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), _AT_ONCE):
            task = asyncio.ensure_future(self._travel(waiting[first : first + _AT_ONCE]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _travel(self, calls: Sequence[_Waiting]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                answers = await self._sent(calls)
        except self._failures as error:
            self._lost(error)
            answers = [error] * len(calls)
        for (_, waiting), answer in zip(calls, answers, strict=True):
            if waiting is None or waiting.done():  # a client that left waits no more
                continue
            if isinstance(answer, Exception):
                waiting.set_exception(answer)
            else:
                waiting.set_result(answer)

    async def _sent(self, calls: Sequence[_Waiting]) -> list[Any]:
        """The answers; a Redis that does not know the script has run none of them, and gets it."""
        if self._digest is None:
            self._digest = await self._client.script_load(self._script)
        answers = await self._run(calls)
        if any(isinstance(answer, self._unknown) for answer in answers):
            await self._client.script_load(self._script)
            answers = await self._run(calls)
        return answers

    async def _run(self, calls: Sequence[_Waiting]) -> list[Any]:
        if len(calls) == 1:  # a pipeline of one costs more than none
            try:
                return [await self._client.execute_command("EVALSHA", self._digest, *calls[0][0])]
            except self._unknown as error:
                return [error]
        pipeline = self._client.pipeline(transaction=False)
        for arguments, _ in calls:
            pipeline.execute_command("EVALSHA", self._digest, *arguments)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers
