from __future__ import annotations

import os
import signal
import time

import pytest

from bailiwick.extraction.executors import InProcess, WorkerPool
from bailiwick.extraction.ports import Executor, TaskFailure


def work(shared: int, task: str) -> int:
    if task == "raise":
        raise ValueError("no")
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "exit":
        os._exit(3)
    if task == "hang":
        time.sleep(600)
    return shared + int(task)


def run(executor: Executor, tasks: list[str], timeout_s: float = 60.0) -> tuple[list[object], int]:
    calls: list[None] = []
    results = executor.map(work, tasks, shared=10, timeout_s=timeout_s, done=lambda: calls.append(None))
    return list(results), len(calls)


@pytest.mark.parametrize("executor", [InProcess(), WorkerPool(2)], ids=["in process", "pool"])
def test_map__good_and_bad_tasks__results_in_order(executor: Executor) -> None:
    results, calls = run(executor, ["1", "raise", "2", "3"])
    assert results == [11, TaskFailure("error", "ValueError: no"), 12, 13]
    assert calls == 4


def test_map__no_tasks__does_nothing() -> None:
    assert run(WorkerPool(2), []) == ([], 0)


def test_pool__killed_worker__costs_only_its_own_task() -> None:
    results, calls = run(WorkerPool(2), ["1", "killed", "2", "exit", "3", "4"])
    assert [result for result in results if not isinstance(result, TaskFailure)] == [11, 12, 13, 14]
    failures = [result for result in results if isinstance(result, TaskFailure)]
    assert [failure.reason for failure in failures] == ["crash", "crash"]
    assert "SIGKILL" in failures[0].message
    assert calls == 6


def test_pool__task_that_hangs__is_stopped_and_the_rest_goes_on() -> None:
    results, _ = run(WorkerPool(1), ["1", "hang", "2"], timeout_s=1.0)
    assert results == [11, TaskFailure("timeout", "took longer than 1 s"), 12]
