"""The private steps that a plan is made of, and what is refused of them. Nothing here draws noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bailiwick.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class PureDp:
    """Any pure epsilon-DP step, accounted as the worst of its kind: randomised response (KOV15, theorem 3.3)."""

    epsilon: float


@dataclass(frozen=True, slots=True)
class Laplace:
    """Laplace noise on one number.

    Args:
        epsilon: sensitivity over scale.
        steps: the sensitivity in steps of the grid that noise is drawn on; None: continuous noise. A coarse grid loses
            more under composition: with one step it is exactly randomised response.
    """

    epsilon: float
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Gaussian noise of ``noise_multiplier`` times the L2 sensitivity."""

    noise_multiplier: float


@dataclass(frozen=True, slots=True)
class SampledGaussian:
    """One step of DP-SGD: Gaussian noise on the sum over a Poisson sample. The rate must be public."""

    sample_rate: float
    noise_multiplier: float


@dataclass(frozen=True, slots=True)
class ApproximateDp:
    """Any (epsilon, delta)-DP step, such as a partition selection."""

    epsilon: float
    delta: float


Mechanism = PureDp | Laplace | Gaussian | SampledGaussian | ApproximateDp


def check_step(mechanism: Mechanism, count: int) -> None:
    """Refuse a step whose parameters are out of their range, or that runs less than once.

    Raises:
        InvalidInput: naming which.
    """
    if count < 1:
        raise InvalidInput(f"a step cannot run {count} times", what="count", requested=count, allowed="1 or more")
    match mechanism:
        case ApproximateDp(epsilon, delta):
            check_epsilon(epsilon)
            check_delta(delta)
        case PureDp(epsilon):
            check_epsilon(epsilon)
        case Laplace(epsilon, steps):
            check_epsilon(epsilon)
            check_positive("steps", 1 if steps is None else steps)
        case Gaussian(noise_multiplier):
            check_positive("noise_multiplier", noise_multiplier)
        case SampledGaussian(sample_rate, noise_multiplier):
            check_positive("noise_multiplier", noise_multiplier)
            if not 0 < sample_rate <= 1:
                raise InvalidInput(
                    f"{sample_rate!r} is no sample rate", what="sample_rate", requested=sample_rate, allowed="0 to 1"
                )


def check_positive(name: str, value: float) -> None:
    """Refuse what is not a finite number above zero."""
    if not (math.isfinite(value) and value > 0):
        raise InvalidInput(f"{name} cannot be {value!r}", what=name, requested=value, allowed="finite, above 0")


def check_epsilon(epsilon: float) -> None:
    """Refuse what cannot be counted as an epsilon."""
    if not (math.isfinite(epsilon) and epsilon >= 1e-9):
        raise InvalidInput(
            f"{epsilon!r} is no epsilon", what="epsilon", requested=epsilon, allowed="finite, a billionth or more"
        )


def check_delta(delta: float) -> float:
    """The delta, if it is one: between 0 and 1."""
    if not 0 < delta < 1:
        raise InvalidInput(f"{delta!r} is no delta", what="delta", requested=delta, allowed="between 0 and 1")
    return delta
