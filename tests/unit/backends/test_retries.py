from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.backends.model import UpstreamFailed
from bailiwick.backends.retries import LONGEST_PAUSE_S, pause_before_retry


@given(attempt=st.integers(0, 40), retries=st.integers(0, 40), left_s=st.floats(-1, 100), seed=st.integers(0, 99))
def test_pause__retryable__within_bounds_and_before_the_deadline(
    attempt: int, retries: int, left_s: float, seed: int
) -> None:
    pause = pause_before_retry(UpstreamFailed("busy", retryable=True), attempt, retries, left_s, Random(seed))
    if attempt >= retries or left_s <= 0:
        assert pause is None
    elif pause is not None:
        assert 0 <= pause <= LONGEST_PAUSE_S
        assert pause < left_s


def test_pause__not_retryable__gives_up() -> None:
    assert pause_before_retry(UpstreamFailed("broke off"), 0, 5, 10, Random(0)) is None


def test_pause__upstream_asks_to_wait__at_least_that_long_or_not_at_all() -> None:
    asked = UpstreamFailed("busy", retryable=True, retry_after_s=2)
    assert pause_before_retry(asked, 0, 1, 10, Random(0)) == 2
    assert pause_before_retry(asked, 0, 1, 1, Random(0)) is None
    patient = UpstreamFailed("busy", retryable=True, retry_after_s=3600)
    assert pause_before_retry(patient, 0, 1, 10_000, Random(0)) is None
