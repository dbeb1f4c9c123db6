from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.backends.balance import MEMORY_S, Candidate, Latency, chosen, load, observed

seconds = st.floats(0, 1e4)
candidates = st.builds(
    Candidate, st.builds(Latency, st.floats(0, 100), seconds), st.integers(0, 1_000), st.floats(0.01, 1_000)
)


@given(st.floats(0, 100), st.floats(0, 100), seconds, seconds)
def test_latency__one_more_answer__jumps_up_at_once_and_stays_between_both(
    before: float, sample: float, at_s: float, now_s: float
) -> None:
    after = observed(Latency(before, at_s), sample, now_s)
    slack = 1e-9 * (1 + before + sample)
    assert min(before, sample) - slack <= after.value_s <= max(before, sample) + slack
    if sample >= before:
        assert after.value_s == sample


def test_latency__fast_answers_after_a_slow_one__comes_down_with_time() -> None:
    latency = observed(Latency(), 2.0, 0.0)
    assert observed(latency, 0.1, 0.1).value_s > 1.9
    assert observed(latency, 0.1, MEMORY_S * 5).value_s < 0.12


@given(candidates, seconds)
def test_load__one_more_call_under_way_or_less_weight__never_less(candidate: Candidate, now_s: float) -> None:
    busier = Candidate(candidate.latency, candidate.under_way + 1, candidate.weight)
    weaker = Candidate(candidate.latency, candidate.under_way, candidate.weight / 2)
    assert 0 < load(candidate, now_s) < load(busier, now_s)
    assert load(candidate, now_s) < load(weaker, now_s)


@given(st.lists(candidates, min_size=1, max_size=8), seconds, st.integers(0, 1_000))
def test_chosen__any_candidates__never_the_most_loaded_alone(
    given_candidates: list[Candidate], now_s: float, seed: int
) -> None:
    index = chosen(given_candidates, now_s, Random(seed))
    assert 0 <= index < len(given_candidates)
    loads = [load(each, now_s) for each in given_candidates]
    if len(loads) > 1:
        assert loads[index] <= sorted(loads)[-2]


def test_chosen__weights_two_to_one_under_load__twice_as_many_calls() -> None:
    rng, under_way = Random(1), [0, 0]
    weights = (2.0, 1.0)
    for _ in range(3_000):
        now = [Candidate(Latency(0.1, 0.0), busy, weight) for busy, weight in zip(under_way, weights, strict=True)]
        under_way[chosen(now, 0.0, rng)] += 1
    assert abs(under_way[0] / under_way[1] - 2.0) < 0.02


def test_chosen__one_of_three_is_ten_times_slower__gets_little() -> None:
    rng, counts = Random(2), Counter[int]()
    now = [Candidate(Latency(0.1, 0.0), 0), Candidate(Latency(1.0, 0.0), 0), Candidate(Latency(0.1, 0.0), 0)]
    for _ in range(1_000):
        counts[chosen(now, 0.0, rng)] += 1
    assert counts[1] == 0


def test_load__never_answered_but_asked__counts_as_slow() -> None:
    assert load(Candidate(Latency(), 1), 0.0) > load(Candidate(Latency(0.5, 0.0), 1), 0.0)


def test_load__fails_fast__looks_busier_than_one_that_answers() -> None:
    answers = Candidate(Latency(0.2, 0.0), 0)
    assert load(Candidate(Latency(), 0, failures=1), 0.0) > load(answers, 0.0)
    assert load(Candidate(Latency(0.2, 0.0), 0, failures=1), 0.0) > load(answers, 0.0)
