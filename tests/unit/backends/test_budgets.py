from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.backends.hedging import KEPT, LEAST_KNOWN, RecentLatencies
from bailiwick.backends.retry_budget import Budget, BudgetRules, paid_in, withdrawn

RULES = BudgetRules(share=0.2, per_s=2.0, most=50.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 0.1)), max_size=300))
def test_budget__any_traffic__retries_stay_within_the_share_and_the_trickle(steps: list[tuple[bool, float]]) -> None:
    budget, now_s, calls, retries = Budget(10.0, 0.0), 0.0, 0, 0
    for retried, passed_s in steps:
        now_s += passed_s
        calls += 1
        budget = paid_in(budget, RULES, now_s)
        if retried and (left := withdrawn(budget, RULES, now_s)) is not None:
            budget, retries = left, retries + 1
        assert 0.0 <= budget.tokens <= RULES.most
    assert retries <= 10.0 + RULES.share * calls + RULES.per_s * now_s + 1e-6


def test_budget__spent__refuses_until_it_has_filled() -> None:
    empty = Budget(0.5, 0.0)
    assert withdrawn(empty, RULES, 0.0) is None
    assert withdrawn(empty, RULES, 0.5) is not None


def test_budget__clock_goes_back__nothing_lost_or_gained() -> None:
    assert withdrawn(Budget(3.0, 9.0), RULES, 1.0) == Budget(2.0, 9.0)


@given(st.lists(st.floats(0, 100), max_size=2 * KEPT))
def test_hedge_after__any_latencies__the_95th_percentile_of_the_latest(samples: list[float]) -> None:
    recent = RecentLatencies()
    for sample in samples:
        recent.add(sample)
    latest = sorted(samples[-KEPT:])
    if len(latest) < LEAST_KNOWN:
        assert recent.hedge_after_s is None
    else:
        assert recent.hedge_after_s == latest[int(len(latest) * 0.95)]
