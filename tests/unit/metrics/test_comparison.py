from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bailiwick.metrics.comparison import Verdict, compare, rank
from bailiwick.metrics.rollup import Rollup

RNG = np.random.default_rng(2)
SLOW, QUICK = RNG.lognormal(4.2, 0.5, 200), RNG.lognormal(4.0, 0.5, 300)


def test_compare__two_samples__welch_of_scipy() -> None:
    found = compare(Rollup.of(SLOW), Rollup.of(QUICK))
    expected = stats.ttest_ind(SLOW, QUICK, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.verdict is Verdict.HIGHER
    assert compare(Rollup.of(QUICK), Rollup.of(SLOW)).verdict is Verdict.LOWER


def test_compare__few_observations__inconclusive() -> None:
    found = compare(Rollup.of(SLOW[:29]), Rollup.of(QUICK))
    assert (found.verdict, found.difference) == (Verdict.INCONCLUSIVE, None)
    assert "29 and 300" in found.reason


@pytest.mark.parametrize(("other", "verdict"), [(1.0, Verdict.NO_DIFFERENCE), (2.0, Verdict.LOWER)])
def test_compare__constants__no_error_to_divide_by(other: float, verdict: Verdict) -> None:
    assert compare(Rollup.of([1.0] * 40), Rollup.of([other] * 40)).verdict is verdict


def test_rank__by_mean__indistinct_ones_share_a_place_and_few_have_none() -> None:
    series = {
        "slow": Rollup.of(SLOW),
        "quick": Rollup.of(QUICK),
        "same": Rollup.of(QUICK * 1.001),
        "new": Rollup.of([1.0, 2.0]),
        "unseen": Rollup.of([]),
    }
    found = rank(series, lowest_first=True)
    assert [(each.name, each.rank) for each in found] == [("quick", 1), ("same", 1), ("slow", 3), ("new", None)]
    assert rank(series, lowest_first=False)[0].name == "slow"
