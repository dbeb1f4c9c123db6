from __future__ import annotations

import math

import pytest

from bailiwick.errors import InvalidInput
from bailiwick.statistics.group_sequential import Spending, boundaries, crossing_probability, spent
from bailiwick.statistics.hybrid import hybrid_plan, scheduled_stop

FIVE = [0.2, 0.4, 0.6, 0.8, 1.0]


def test_boundaries__tables_of_ldbounds__equal() -> None:
    """Reboussin, DeMets, Kim, Lan, "Programs for computing group sequential boundaries", 2000: two-sided 0.05, 5 looks.

    Four digits are printed, computed on their coarser grid; ours are converged to 1e-6.
    """
    late = boundaries(FIVE)
    assert late.z == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=1.5e-4)
    even = boundaries(FIVE, spending=Spending.POCOCK)
    assert even.z == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=1.5e-4)


@pytest.mark.parametrize(
    ("looks", "pocock", "obrien_fleming"), [(1, 1.960, 1.960), (2, 2.178, 1.977), (5, 2.413, 2.040), (10, 2.555, 2.087)]
)
def test_crossing__constants_of_jennison_and_turnbull__spend_five_percent(
    looks: int, pocock: float, obrien_fleming: float
) -> None:
    """Group Sequential Methods, 2000, tables 2.1 and 2.3: three digits, so that the error is known to 1e-4."""
    times = [look / looks for look in range(1, looks + 1)]
    assert crossing_probability(times, [pocock] * looks) == pytest.approx(0.05, abs=2e-4)
    falling = [obrien_fleming * math.sqrt(looks / look) for look in range(1, looks + 1)]
    assert crossing_probability(times, falling) == pytest.approx(0.05, abs=2e-4)


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
        lambda: boundaries([0.5, 1.2]),
        lambda: boundaries([0.5], alpha=5),
        lambda: hybrid_plan([1.0], watch_share=1),
        lambda: scheduled_stop(hybrid_plan([1.0]), 1, 2.0),
    ],
)
def test_group_sequential__impossible_input__refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput):
        make()
