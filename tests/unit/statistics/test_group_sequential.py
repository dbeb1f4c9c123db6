from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bailiwick.errors import InvalidInput
from bailiwick.statistics.group_sequential import Spending, boundaries, crossing_probability, spent
from bailiwick.statistics.hybrid import hybrid_plan, scheduled_stop

FIVE = [0.2, 0.4, 0.6, 0.8, 1.0]


def test_boundaries__published_by_another_program__equal() -> None:
    """SeqBounds.jl, README: one-sided 0.05, four looks; its own grid is a twentieth deviation, hence five in 1e-5."""
    made = boundaries([0.25, 0.5, 0.75, 1.0], 0.05, two_sided=False)
    assert made.z == pytest.approx([3.74955, 2.53993, 2.01604, 1.72014], abs=5e-5)
    assert made.spent == pytest.approx([8.85754e-5, 0.0055746, 0.0236251, 0.05], rel=1e-5)


@pytest.mark.parametrize("times", [[0.25, 0.5, 0.75, 1.0], [0.1, 0.15, 0.7, 0.71], [0.5, 0.501, 1.0]])
@pytest.mark.parametrize("spending", list(Spending))
def test_boundaries__any_schedule__cross_as_often_in_the_multivariate_normal(
    times: list[float], spending: Spending
) -> None:
    """Independent of our grid: scipy's integral of the joint normal distribution of the looks."""
    made = boundaries(times, 0.05, spending)
    at, z = np.array(times), np.array(made.z)
    correlation = np.sqrt(np.minimum.outer(at, at) / np.maximum.outer(at, at))
    inside = multivariate_normal(cov=correlation, abseps=1e-6).cdf(z, lower_limit=-z, rng=np.random.default_rng(0))
    assert 1 - inside == pytest.approx(made.spent[-1], abs=3e-5)


@pytest.mark.parametrize(
    ("looks", "pocock", "obrien_fleming"), [(1, 1.960, 1.960), (2, 2.178, 1.977), (5, 2.413, 2.040), (10, 2.555, 2.087)]
)
def test_crossing__constant_and_falling_boundaries__as_in_the_multivariate_normal(
    looks: int, pocock: float, obrien_fleming: float
) -> None:
    """The classic designs of Pocock and of O'Brien and Fleming, to three digits: both spend five per cent."""
    times = np.arange(1, looks + 1) / looks
    correlation = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    for z in (np.full(looks, pocock), obrien_fleming / np.sqrt(times)):
        crossed = crossing_probability(times.tolist(), z.tolist())
        assert crossed == pytest.approx(0.05, abs=2e-4)
        if looks > 5:
            continue  # the multivariate normal takes long there
        inside = multivariate_normal(cov=correlation).cdf(z, lower_limit=-z, rng=np.random.default_rng(0))
        assert crossed == pytest.approx(1 - inside, abs=1e-4)


@pytest.mark.parametrize("spending", list(Spending))
@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize("times", [FIVE, [0.1, 0.15, 0.7, 0.71, 1.0], [0.3, 0.6]])
def test_boundaries__any_schedule__spend_what_is_due(spending: Spending, two_sided: bool, times: list[float]) -> None:
    made = boundaries(times, 0.05, spending, two_sided=two_sided)
    assert crossing_probability(times, made.z, two_sided=two_sided) == pytest.approx(made.spent[-1], abs=1e-6)


def test_boundaries__later_look_added__earlier_ones_stay() -> None:
    assert boundaries([0.3, 0.5, 1.0]).z[:2] == boundaries([0.3, 0.5]).z


def test_power__fourteen_scheduled_looks__at_least_97_percent_of_one() -> None:
    looks = boundaries([look / 14 for look in range(1, 15)])
    assert crossing_probability(looks.times, looks.z, 1.959964 + 0.841621) >= 0.97 * 0.8


def test_spending__ends__nothing_and_everything() -> None:
    for spending in Spending:
        assert spent(0, 0.05, spending) == 0 and spent(1, 0.05, spending) == spent(2, 0.05, spending) == 0.05


def test_hybrid__error_split__sums_to_alpha() -> None:
    plan = hybrid_plan(FIVE, alpha=0.05, watch_share=0.2)
    assert plan.looks.spent[-1] + (1 - plan.watch_level) == pytest.approx(0.05)
    assert scheduled_stop(plan, 4, -2.2) and not scheduled_stop(plan, 4, -2.2, two_sided=False)


@pytest.mark.parametrize(
    "make",
    [
        lambda: boundaries([]),
        lambda: boundaries([0.5, 0.5]),
        lambda: boundaries([0.5, 0.50001, 1.0]),
        lambda: boundaries([math.nan]),
        lambda: boundaries([0.5, math.nan]),
        lambda: boundaries([0.5, 1.2]),
        lambda: boundaries([0.5], alpha=5),
        lambda: hybrid_plan([1.0], watch_share=1),
        lambda: scheduled_stop(hybrid_plan([1.0]), 1, 2.0),
    ],
)
def test_group_sequential__impossible_input__refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput):
        make()
