"""Several attempts at the same thing, of which the first good one counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

Result = TypeVar("Result")


async def first_good(tasks: Sequence[asyncio.Future[Result]]) -> Result:
    """The first result. Where every task fails, the failure of the first task is raised."""
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done and task.exception() is None:
                return task.result()
    return tasks[0].result()


async def given_up(tasks: Sequence[asyncio.Future[Result]]) -> list[Result]:
    """Cancel the tasks that are not done, and give the results of those that have one, to be let go of."""
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
