"""The populations on which the statistics are proven: what a fleet's metrics look like, with known means.

A population draws values one unit at a time, so that a sequential method can watch them arrive, or whole arms at once.
Effects are given relative to the mean, and enter where they would in practice: successes become more likely, latencies
scale, costs occur more often.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...], float], "tuple[Floats, Floats]"]


@dataclass(frozen=True, slots=True)
class Population:
    """A distribution of units.

    Args:
        name: as the tables show it.
        mean: the true value per count, without an effect; under a lift it is ``mean * (1 + lift)``.
        draw: ``draw(generator, shape, lift)`` gives totals and counts of units, both of that shape.
        events: for yes-or-no units the chance of a yes, else None: such arms may be drawn as one binomial number.
    """

    name: str
    mean: float
    draw: Draw
    events: float | None = None


def normal(mean: float = 10.0, deviation: float = 3.0) -> Population:
    """Normal values: the case that every textbook promises."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...], lift: float) -> tuple[Floats, Floats]:
        return generator.normal(mean * (1 + lift), deviation, shape), np.ones(shape)

    return Population("normal", mean, draw)


def bernoulli(share: float) -> Population:
    """Yes-or-no units: errors at 0.1 %, conversions at 2 %, correct answers at 50 %."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...], lift: float) -> tuple[Floats, Floats]:
        return (generator.random(shape) < share * (1 + lift)).astype(np.float64), np.ones(shape)

    return Population(f"Bernoulli {share:g}", share, draw, events=share)


def latency(median_ms: float = 120.0, sigma: float = 1.0) -> Population:
    """Log-normal latency in milliseconds; at sigma 1 its skewness is 6.2."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...], lift: float) -> tuple[Floats, Floats]:
        return generator.lognormal(math.log(median_ms * (1 + lift)), sigma, shape), np.ones(shape)

    return Population("log-normal latency", median_ms * math.exp(sigma * sigma / 2), draw)


def zero_inflated_cost(share: float = 0.1, scale: float = 2.0) -> Population:
    """Nine units in ten cost nothing, the tenth an exponential amount."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...], lift: float) -> tuple[Floats, Floats]:
        costs = generator.exponential(scale, shape)
        costs[generator.random(shape) >= share * (1 + lift)] = 0.0
        return costs, np.ones(shape)

    return Population("zero-inflated cost", share * scale, draw)


def clustered_ratio(share: float = 0.2, requests: float = 5.0, concentration: float = 5.0) -> Population:
    """Successes over requests, by user.

    A user sends ``1 + Poisson(requests - 1)`` requests, which succeed with the user's own chance, beta distributed
    around ``share``: requests of one user are alike, so that an error per request would be far too small.
    """

    def draw(generator: np.random.Generator, shape: tuple[int, ...], lift: float) -> tuple[Floats, Floats]:
        counts = 1 + generator.poisson(requests - 1, shape)
        mean = share * (1 + lift)
        chances = generator.beta(concentration * mean, concentration * (1 - mean), shape)
        return generator.binomial(counts, chances).astype(np.float64), counts.astype(np.float64)

    return Population("clustered ratio", share, draw)


def populations() -> tuple[Population, ...]:
    """The five kinds, the yes-or-no one at three shares."""
    return (
        normal(),
        bernoulli(0.001),
        bernoulli(0.02),
        bernoulli(0.5),
        latency(),
        zero_inflated_cost(),
        clustered_ratio(),
    )
