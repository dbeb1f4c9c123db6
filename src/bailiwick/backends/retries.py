"""When a failed call to an upstream is sent again, and after how long. Pure."""

from __future__ import annotations

from random import Random

from bailiwick.backends.model import UpstreamFailed

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


def pause_before_retry(
    failure: UpstreamFailed, attempt: int, retries: int, left_s: float, rng: Random, *, elsewhere: bool = False
) -> float | None:
    """Seconds to wait before the next attempt, or None to give up.

    Waits a uniformly random part of an exponentially growing pause ("full jitter",
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), or what the upstream asked for.

    Args:
        failure: of the attempt that was just made.
        attempt: its number, from 0.
        retries: how many attempts may follow the first.
        left_s: seconds until the call's deadline.
        rng: for the jitter.
        elsewhere: another replica, not asked yet, takes the next attempt: there is nothing to wait for.
    """
    if not failure.retryable or attempt >= retries:
        return None
    if elsewhere:
        return 0.0 if left_s > 0 else None
    pause = rng.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt))
    if failure.retry_after_s is not None:
        pause = max(pause, failure.retry_after_s)
    return pause if pause <= LONGEST_PAUSE_S and pause < left_s else None
