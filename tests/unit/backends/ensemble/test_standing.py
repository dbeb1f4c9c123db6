from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.backends.ensemble.board import Board, Said, Seat, SeatKey
from bailiwick.backends.ensemble.standing import Rules, Standing, State, asked, asks, called, judged, share

RULES = Rules()


def after(calls: str, standing: Standing = Standing(), now_s: float = 0.0) -> Standing:  # noqa: B008 - frozen
    """The member after calls: ``.`` went well, ``x`` failed."""
    for each in calls:
        standing = called(standing, RULES, now_s, good=each == ".")
    return standing


def test_called__a_few_failures__counts_less_but_is_not_benched() -> None:
    found = after("." * 7 + "xxx")
    assert found.state is State.ACTIVE
    assert 0 < share(found, RULES, 0.0) < 1


def test_called__half_of_the_calls_fail__benched_and_counts_nothing() -> None:
    found = after(".x" * 10)
    assert found.state is State.BENCHED
    assert share(found, RULES, 0.0) == 0
    assert not asks(found, 1.9)
    assert asks(found, 2.0)


def test_called__few_calls__not_judged_yet() -> None:
    assert after("xxxx").state is State.ACTIVE
    assert after("xxxxx").state is State.BENCHED


def test_trial__good_answers_in_a_row__back_with_a_growing_share() -> None:
    trial = asked(after("xxxxx"), RULES, 2.0)
    assert trial.state is State.TRIAL
    assert not asks(trial, 2.1)
    assert share(trial, RULES, 2.1) == 0
    back = after("...", trial, now_s=5.0)
    assert back.state is State.ACTIVE
    assert share(back, RULES, 5.0) == pytest.approx(0.1)
    assert share(back, RULES, 10.0) == pytest.approx(0.5)
    assert share(back, RULES, 15.0) == 1


def test_trial__one_failure__benched_for_twice_as_long() -> None:
    once = after("xxxxx")
    again = after("..x", asked(once, RULES, 2.0), now_s=3.0)
    assert again.state is State.BENCHED
    assert again.until_s - 3.0 == 2 * (once.until_s - 0.0)


def test_hysteresis__a_member_that_fails_half_the_time__does_not_come_and_go_with_every_call() -> None:
    """Back needs three good answers in a row and then five calls: at most one change in eight calls."""
    standing, changes, now = Standing(), 0, 0.0
    for number in range(1_000):
        now += 1.0
        if not asks(standing, now):
            continue
        was = standing.state
        standing = called(asked(standing, RULES, now), RULES, now, good=number % 2 == 0)
        changes += (standing.state is State.ACTIVE) != (was is State.ACTIVE)
    assert changes <= 3
    assert standing.benchings >= 3


def test_called__answers_to_queries_from_before_the_benching__change_nothing() -> None:
    benched = after("xxxxx")
    assert after("....", benched) == benched


def test_judged__less_often_right_than_promised__counts_less_then_is_benched() -> None:
    standing, shares = Standing(), []
    for number in range(60):
        standing = judged(standing, RULES, 0.0, right=number % 10 < 7, promised=0.8)
        shares.append(share(standing, RULES, 0.0, promised=0.8))
    assert standing.state is State.ACTIVE
    assert shares[10] == 1
    assert 0.25 <= shares[-1] < 1
    for _ in range(30):
        standing = judged(standing, RULES, 0.0, right=False, promised=0.8)
    assert standing.state is State.BENCHED
    assert "80% were promised" in standing.why


def test_judged__nothing_was_promised__nothing_is_held_against_it() -> None:
    standing = Standing()
    for _ in range(100):
        standing = judged(standing, RULES, 0.0, right=False, promised=None)
    assert standing.state is State.ACTIVE
    assert share(standing, RULES, 0.0, None) == 1


@given(st.lists(st.tuples(st.sampled_from("cfrw"), st.floats(0, 5)), max_size=120))
def test_standing__any_history__shares_stay_between_0_and_1_and_benched_ones_come_back(
    history: list[tuple[str, float]],
) -> None:
    standing, now = Standing(), 0.0
    for kind, pause in history:
        now += pause
        if kind in "rw":
            standing = judged(standing, RULES, now, right=kind == "r", promised=0.9)
        elif asks(standing, now):
            standing = called(asked(standing, RULES, now), RULES, now, good=kind == "c")
        assert 0 <= share(standing, RULES, now, 0.9) <= 1
        assert standing.failures <= standing.calls + 1e-9
        assert standing.until_s <= now + RULES.longest_pause_s
    for _ in range(RULES.probes):
        now += RULES.longest_pause_s + 1
        standing = called(asked(standing, RULES, now), RULES, now, good=True)
    assert standing.state is State.ACTIVE


class Ticking:
    """A clock that the test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def seat(name: str, promised: float | None = None) -> Seat:
    return Seat("cards", SeatKey("cards@e", name), promised, clock_s=Ticking())


def test_told__the_right_label__judges_every_member() -> None:
    board, good, bad = Board(), seat("good"), seat("bad")
    board.remember("r1", Said("a", ((good, "a"), (bad, "b"))))
    board.told("r1", "correct", None, "a")
    assert (good.standing.accuracy, bad.standing.accuracy) == (1.0, 0.0)
    board.told("r1", "correct", None, "a")
    assert good.standing.judged == 1, "a second word on the same request counts no more"


def test_told__right_or_wrong_without_a_label__judges_only_what_that_tells() -> None:
    board, agreed, other = Board(), seat("agreed"), seat("other")
    board.remember("r1", Said("a", ((agreed, "a"), (other, "b"))))
    board.remember("r2", Said("a", ((agreed, "a"), (other, "b"))))
    board.told("r1", "correct", 0.0, None)
    assert (agreed.standing.accuracy, other.standing.accuracy) == (0.0, None)
    board.told("r2", "correct", 1.0, None)
    assert other.standing.accuracy == 0.0
    assert agreed.standing.accuracy is not None and agreed.standing.accuracy > 0


def test_told__another_metric_or_an_unknown_request__nothing() -> None:
    board, member = Board(), seat("m")
    board.remember("r1", Said("a", ((member, "a"),)))
    board.told("r1", "helpful", 0.0, None)
    board.told("r9", "correct", 0.0, None)
    assert member.standing == Standing()


def test_log_odds_shift__feedback_better_or_worse_than_promised__moves_the_estimate_that_way() -> None:
    good, bad = seat("good", 0.8), seat("bad", 0.8)
    for _ in range(10):
        good.judged(right=True)
        bad.judged(right=False)
    assert good.log_odds_shift > 0 > bad.log_odds_shift
    assert seat("new", 0.8).log_odds_shift == 0


def test_keep__members_that_are_gone__forgotten() -> None:
    board = Board()
    one, two = SeatKey("cards@e", "a"), SeatKey("cards@e", "b")
    board.seat("cards", one).begin()
    board.seat("cards", two)
    board.keep([one])
    assert [report.member for report in board.reports()] == ["a"]
    assert board.seat("cards", one).calls == 1


def test_rules__no_pause__still_valid() -> None:
    rules = replace(RULES, growing_s=0.0)
    back = Standing(back_s=1.0)
    assert share(back, rules, 1.0) == 1
