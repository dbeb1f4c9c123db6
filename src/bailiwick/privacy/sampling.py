"""Which units a step of training sees. Drawn from the operating system like the noise, and never seeded."""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_STEPS = 2**32
"""A sample rate is used as a multiple of one in so many, rounded up before it is accounted."""


def poisson_sample(count: int, rate: float) -> NDArray[np.bool_]:
    """Which of ``count`` units take part in a step: each with the given probability, independently."""
    threshold = min(SAMPLE_RATE_STEPS, round(rate * SAMPLE_RATE_STEPS))
    drawn = np.frombuffer(secrets.token_bytes(4 * count), np.uint32)
    return drawn.astype(np.uint64) < threshold
