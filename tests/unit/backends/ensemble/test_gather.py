from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bailiwick.backends.ensemble.gather import gather


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time jumps to the next timer instead of passing."""

    def __init__(self) -> None:
        self._virtual_s = 0.0
        super().__init__()

    def time(self) -> float:
        return self._virtual_s

    def _run_once(self) -> None:
        due = [each.when() for each in self._scheduled if not each.cancelled()]  # type: ignore[attr-defined]
        if not self._ready and due:  # type: ignore[attr-defined]
            self._virtual_s = max(self._virtual_s, min(due))
        super()._run_once()  # type: ignore[misc]


def after(seconds: float, says: str | Exception) -> Callable[[], Awaitable[str]]:
    async def ask() -> str:
        await asyncio.sleep(seconds)
        if isinstance(says, Exception):
            raise says
        return says

    return ask


def told(*asks: Callable[[], Awaitable[str]], quorum: int = 1, within_s: float = 10.0) -> tuple[list[str], float]:
    """What became of each, and after how many (virtual) seconds."""

    async def story() -> tuple[list[str], float]:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        outcomes = await gather(list(asks), quorum=quorum, within_s=within_s)
        taken = loop.time() - begun
        words = ["late" if each.late else each.answer or f"failed: {each.error}" for each in outcomes]
        return words, taken

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story())


def test_gather__everybody_answers__as_soon_as_the_slowest() -> None:
    words, taken = told(after(3, "a"), after(1, "b"))
    assert words == ["a", "b"]
    assert taken == pytest.approx(3)


def test_gather__one_is_stuck__the_deadline_ends_it() -> None:
    words, taken = told(after(1, "a"), after(1_000, "b"), after(2, "c"), quorum=2, within_s=5)
    assert words == ["a", "late", "c"]
    assert taken == pytest.approx(5)


def test_gather__one_ignores_being_cancelled__nobody_waits_for_it() -> None:
    async def deaf() -> str:
        while True:
            try:
                await asyncio.sleep(100)
                return "late after all"
            except asyncio.CancelledError:
                continue

    async def story() -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        outcomes = await gather([deaf, after(1, "a")], quorum=1, within_s=2)
        taken = loop.time() - begun
        assert [each.late for each in outcomes] == [True, False]
        await asyncio.sleep(400)  # let it end, or the loop could not be closed
        return taken

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(story()) == pytest.approx(2)


def test_gather__too_many_failed_for_the_quorum__does_not_wait_for_the_rest() -> None:
    words, taken = told(after(1, RuntimeError("x")), after(1, RuntimeError("y")), after(9, "c"), quorum=2)
    assert words == ["failed: x", "failed: y", "late"]
    assert taken == pytest.approx(1)


def test_gather__the_caller_leaves__everybody_is_cancelled() -> None:
    ended: list[str] = []

    async def member(name: str) -> str:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(name)
        return name

    async def story() -> None:
        task = asyncio.ensure_future(gather([lambda: member("a"), lambda: member("b")], quorum=1, within_s=50))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(1)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story())
    assert sorted(ended) == ["a", "b"]
