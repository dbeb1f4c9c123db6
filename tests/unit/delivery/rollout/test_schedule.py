from __future__ import annotations

import math

import pytest

from bailiwick.delivery.rollout.model import Step
from bailiwick.delivery.rollout.schedule import DEFAULT_STEPS, check_steps, duration, start_weight
from bailiwick.errors import InvalidInput


def weights(*points: int) -> list[Step]:
    return [Step(each) for each in points]


def test_check_steps__default__passes() -> None:
    assert check_steps(DEFAULT_STEPS) == DEFAULT_STEPS


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "a schedule of 0 steps"),
        (weights(*range(1, 60)), "a schedule of 59 steps"),
        (weights(100, 100, 10_000), "does not rise: 1 % after 1 %"),
        (weights(1_000, 100, 10_000), "does not rise: 1 % after 10 %"),
        (weights(100, 5_000), "ends at 50 %"),
        (weights(0, 10_000), "a step of 0 basis points"),
        (weights(100, 10_001), "a step of 10001 basis points"),
        ([Step(True), Step(10_000)], "a step of True"),
        ([Step(1.5), Step(10_000)], "a step of 1.5"),  # type: ignore[arg-type]
        ([Step(10_000, dwell_s=-1)], "a dwell of -1 s"),
        ([Step(10_000, dwell_s=math.nan)], "a dwell of nan s"),
        ([Step(10_000, dwell_s=math.inf)], "a dwell of inf s"),
        ([Step(10_000, sample=-1)], "a sample of -1"),
        ([Step(10_000, margin_scale=0.0)], "a margin scale of 0.0"),
    ],
)
def test_check_steps__malformed__refused(steps: list[Step], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_steps(steps)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(100.0, [100, 1_000, 5_000, 10_000]), (10.0, [667, 1_000, 5_000, 10_000]), (1.0, [2_500, 5_000, 10_000])],
)
def test_start_weight__little_traffic__begins_larger(rate: float, expected: list[int]) -> None:
    assert [step.weight for step in start_weight(DEFAULT_STEPS, rate)] == expected


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan])
def test_start_weight__unknown_rate__leaves_the_schedule(rate: float) -> None:
    assert start_weight(DEFAULT_STEPS, rate) == DEFAULT_STEPS


def test_duration__slow__samples_take_longer_than_dwells() -> None:
    taken = duration(DEFAULT_STEPS, 1.0)
    assert taken.steps_s[0] == pytest.approx(20_000)
    assert taken.total_s == pytest.approx(20_900)
    assert duration(DEFAULT_STEPS, 0.0).total_s == math.inf


def test_start_weight__takes_the_place_of_steps__asks_for_all_that_they_asked_for() -> None:
    careful = (Step(100, 60, 10, 5.0), Step(1_000, 600, 50, 2.0, approval=True), Step(5_000), Step(10_000))
    first = start_weight(careful, 1.0)[0]
    assert first == Step(1_667, 600, 50, 2.0, approval=True)
