from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.backends.breaker import (
    FIRST_SHARE,
    Breaker,
    BreakerRules,
    BreakerState,
    abandoned,
    admits,
    entered,
    failed,
    probed,
    share,
    succeeded,
)

RULES = BreakerRules(failures=3, first_pause_s=1.0, longest_pause_s=8.0, slow_start_s=10.0)
OUTCOMES = {
    "succeed": lambda breaker, now, trial: succeeded(breaker, now, trial=trial),
    "fail": lambda breaker, now, trial: failed(breaker, RULES, now, trial=trial),
    "abandon": lambda breaker, now, trial: abandoned(breaker, trial=trial),
}


def opened(now_s: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(RULES.failures):
        breaker = failed(breaker, RULES, now_s, trial=False)
    return breaker


def test_breaker__failures_in_a_row__opens_and_admits_nothing_for_the_pause() -> None:
    breaker = opened(5.0)
    assert breaker.state is BreakerState.OPEN
    assert not admits(breaker, 5.9)
    assert admits(breaker, 6.0)


def test_breaker__a_success_in_between__stays_closed() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker = failed(failed(breaker, RULES, 0.0, trial=False), RULES, 0.0, trial=False)
        breaker = succeeded(breaker, 0.0, trial=False)
    assert breaker.state is BreakerState.CLOSED


def test_breaker__no_failures_allowed_by_its_rules__never_opens() -> None:
    breaker = Breaker()
    for _ in range(1_000):
        breaker = failed(breaker, BreakerRules(failures=0), 0.0, trial=False)
    assert breaker.state is BreakerState.CLOSED


def test_breaker__trial_succeeds__closed_and_share_grows_from_a_tenth() -> None:
    trial = entered(opened(0.0), 1.0)
    assert not admits(trial, 1.0)
    back = succeeded(trial, 2.0, trial=True)
    assert back.state is BreakerState.CLOSED
    assert [share(back, RULES, now) for now in (2.0, 7.0, 12.0, 99.0)] == [FIRST_SHARE, 0.5, 1.0, 1.0]


def test_breaker__trials_fail__pauses_double_up_to_the_longest() -> None:
    breaker, now_s, pauses = opened(0.0), 0.0, []
    for _ in range(6):
        pauses.append(breaker.closed_to_s - now_s)
        now_s = breaker.closed_to_s
        breaker = failed(entered(breaker, now_s), RULES, now_s, trial=True)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_breaker__late_outcomes_of_calls_sent_before_it_opened__change_nothing() -> None:
    breaker = opened(0.0)
    assert succeeded(breaker, 0.5, trial=False) == breaker
    assert failed(breaker, RULES, 0.5, trial=False) == breaker


def test_breaker__trial_given_up__the_next_call_is_the_trial() -> None:
    assert admits(abandoned(entered(opened(0.0), 1.0), trial=True), 1.0)


def test_breaker__health_check_succeeds__may_try_at_once() -> None:
    assert admits(probed(opened(0.0)), 0.0)
    assert probed(Breaker()) == Breaker()


@given(st.lists(st.tuples(st.sampled_from(sorted(OUTCOMES)), st.floats(0, 20), st.integers(0, 3)), max_size=60))
def test_breaker__any_history__at_most_one_trial_and_never_stuck(steps: list[tuple[str, float, int]]) -> None:
    breaker, now_s = Breaker(), 0.0
    under_way: list[bool] = []
    for outcome, passed_s, more in steps:
        now_s += passed_s
        for _ in range(more):
            if admits(breaker, now_s):
                under_way.append(breaker.state is not BreakerState.CLOSED)
                breaker = entered(breaker, now_s)
        assert sum(under_way) <= 1
        if under_way:
            breaker = OUTCOMES[outcome](breaker, now_s, under_way.pop(0))
        assert FIRST_SHARE <= share(breaker, RULES, now_s) <= 1.0
    while under_way:
        breaker = abandoned(breaker, trial=under_way.pop())
    assert admits(breaker, now_s + RULES.longest_pause_s)
