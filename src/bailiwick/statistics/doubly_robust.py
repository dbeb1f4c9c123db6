"""The effect of one arm over another where the allocation followed the results (bandits), by doubly robust scores.

When traffic follows results, an arm that had bad luck is played less and may never recover: its plain average is
biased and ordinary intervals lie (`benchmarks/simulations/adaptive.py` shows by how much). The score of a unit for an
arm is its prediction for that arm, plus, where the unit was in that arm, its error divided by the probability with
which it was put there. Scores have the right mean whatever the prediction, as long as the probability is the one
really used and both were fixed before the unit came. Their running mean is a martingale, so its confidence sequence
holds at all times together.

Sources: Robins, Rotnitzky, Zhao, "Estimation of regression coefficients when some regressors are not always observed",
JASA 1994 (the score); Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences", Annals of Statistics 2024, arXiv 2103.06476; Waudby-Smith, Wu, Ramdas, Karampatziakis, Mineiro,
"Anytime-valid off-policy inference for contextual bandits", 2022, arXiv 2210.10768.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import require_finite, require_level
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.normal_mixture import bound, mixture_precision
from bailiwick.statistics.score import BurnIn, Support, combine

Floats = NDArray[np.float64]

_BURN_IN = BurnIn()
_NAMES = [each.name for each in fields(UnitMoments)]
_every_sum = attrgetter(*_NAMES)


@dataclass(frozen=True, slots=True)
class Batch:
    """Units that were allocated with the same probabilities, in one epoch.

    Args:
        propensities: of each arm, as logged; above zero for the arms that are compared, summing to 1 over all arms.
        arms: moments of each arm's units, in the same order. One unit counts once: units may have many values, the
            probability was theirs.
    """

    propensities: tuple[float, ...]
    arms: tuple[UnitMoments, ...]


@dataclass(frozen=True, slots=True)
class ScoredEffect:
    """The effect of a treatment over its control.

    Args:
        difference: treatment less control, per unit; NaN before the first unit.
        standard_error: of it; infinite with fewer than two units.
        low: lower end of the interval that holds at all times together.
        high: upper end.
        units: how many units of all arms the estimate rests on.
        level: of the interval.
        reason: why nothing can be said yet, in words; then the interval is infinite. None after the burn-in.
    """

    difference: float
    standard_error: float
    low: float
    high: float
    units: float
    level: float
    reason: str | None = None

    @property
    def inconclusive(self) -> bool:
        """Whether the arms are still in their burn-in."""
        return self.reason is not None


def scores(rewards: ArrayLike, chosen: ArrayLike, propensities: ArrayLike, predictions: ArrayLike = 0.0) -> Floats:
    """Doubly robust scores of one arm, unit by unit.

    >>> scores([1.0, 0.0], [True, False], [0.5, 0.5], [0.6, 0.6]).tolist()
    [1.4, 0.6]

    Args:
        rewards: shape ``(units,)``.
        chosen: whether the unit was in this arm.
        propensities: probability with which this arm was chosen, given all that was known then.
        predictions: of the reward in this arm, made before the reward was seen.

    Raises:
        InvalidInput: a propensity that is not above 0 and at most 1, or values that are not finite.
    """
    reward, prediction = np.asarray(rewards, np.float64), np.asarray(predictions, np.float64)
    propensity = np.asarray(propensities, np.float64)
    _require_propensities(propensity)
    if not (np.isfinite(reward).all() and np.isfinite(prediction).all()):
        raise InvalidInput("rewards and predictions must be finite", what="rewards", remedy="leave such units out")
    return np.asarray(prediction + np.asarray(chosen, bool) * (reward - prediction) / propensity)


def effect_of_scores(differences: ArrayLike, planned_units: float, level: float = 0.95) -> ScoredEffect:
    """The effect from the difference of two arms' `scores`, with its asymptotic confidence sequence.

    >>> found = effect_of_scores([1.0, -1.0, 2.0, 0.0] * 250, planned_units=1_000)
    >>> found.difference, round(found.low, 3), round(found.high, 3)
    (0.5, 0.393, 0.607)

    Args:
        differences: shape ``(units,)``.
        planned_units: frozen before the start: where the interval shall be tightest.
        level: confidence at all times together.
    """
    difference = np.asarray(differences, np.float64)
    require_finite(float(difference @ difference), "differences")
    return _sequence(
        float(len(difference)), float(difference.sum()), float(difference @ difference), planned_units, level
    )


def effect_of_batches(
    batches: Sequence[Batch],
    control: int,
    treatment: int,
    planned_units: float,
    level: float = 0.95,
    *,
    support: Support = Support.REAL,
    burn_in: BurnIn = _BURN_IN,
) -> ScoredEffect:
    """The effect from moments alone, in time proportional to batches, not units.

    A batch's prediction for an arm is the mean of that arm over the batches before; in the first batches, before the
    arm had a unit, its own mean there, which randomisation within one batch leaves unbiased. Where units have one value
    each the effect is on the mean value; where they have many, on the mean *total* of a unit, not on the ratio.

    Valid after the burn-in of both arms (without it, successes of 2 % miss in 10 % of runs), and for arms whose
    propensity is not small (see the floor of `bailiwick.statistics.thompson`): a unit with propensity p counts 1 / p
    times.

    >>> even = Batch((0.5, 0.5), (UnitMoments.of([0.0, 1.0] * 100), UnitMoments.of([1.0, 1.0, 0.0, 1.0] * 50)))
    >>> effect_of_batches([even], control=0, treatment=1, planned_units=600, burn_in=BurnIn(units=300)).reason
    'needs 300 independent units in the control, has 200'
    >>> later = Batch((0.2, 0.8), (UnitMoments.of([0.0, 1.0] * 20), UnitMoments.of([1.0, 1.0, 0.0, 1.0] * 40)))
    >>> found = effect_of_batches([even, later], control=0, treatment=1, planned_units=600)
    >>> round(found.difference, 4), round(found.low, 3), round(found.high, 3), found.units
    (0.25, 0.121, 0.379, 600.0)

    Args:
        batches: in the order of time.
        control: position of the control among the arms.
        treatment: position of the treatment.
        planned_units: units of all arms at which the interval shall be tightest; frozen before the start.
        level: confidence at all times together.
        support: which values the metric takes: it decides what the burn-in waits for.
        burn_in: what each of the two arms must hold, over all batches, before anything is said.

    Raises:
        InvalidInput: a propensity of zero for a compared arm, an unknown position, propensities that do not sum to 1.
    """
    for batch in batches:
        _require_batch(batch, control, treatment)
    batches = [batch for batch in batches if any(arm.units for arm in batch.arms)]
    if not batches:
        return _sequence(0.0, 0.0, 0.0, planned_units, level, "no unit was seen yet")
    positions = (control, treatment)
    sizes = np.array([sum(arm.units for arm in batch.arms) for batch in batches])
    sums = np.array([[_every_sum(batch.arms[position]) for position in positions] for batch in batches])
    units, totals, squares = (sums[..., _NAMES.index(name)] for name in ("units", "total", "total_total"))
    propensities = np.array([[batch.propensities[position] for position in positions] for batch in batches])
    units_before, totals_before = np.cumsum(units, axis=0) - units, np.cumsum(totals, axis=0) - totals
    own = totals / np.maximum(units, 1.0)
    known = np.where(units_before > 0, totals_before / np.maximum(units_before, 1.0), own)
    first, second = score_sums(sizes, units, totals, squares, propensities, known)
    pooled = [UnitMoments(*(float(value) for value in arm)) for arm in sums.sum(axis=0)]
    reason = combine(pooled[:1], pooled[1:], support, burn_in).reason
    return _sequence(float(sizes.sum()), float(first.sum()), float(second.sum()), planned_units, level, reason)


def score_sums(
    size: ArrayLike, units: Floats, totals: Floats, squares: Floats, propensities: Floats, predictions: Floats
) -> tuple[Floats, Floats]:
    """Sum and sum of squares of a batch's score differences, control and treatment on the last axis.

    Args:
        size: units of all arms, shape ``(...)``.
        units: of each of the two arms, shape ``(..., 2)``.
        totals: sums of values.
        squares: sums of squared values.
        propensities: of the two arms.
        predictions: of the two arms.
    """
    sign = np.array([-1.0, 1.0])
    base = predictions[..., 1] - predictions[..., 0]
    error = (totals - units * predictions) / propensities
    error_squared = (squares - 2 * predictions * totals + predictions**2 * units) / propensities**2
    whole = np.asarray(size, np.float64)
    first = whole * base + (sign * error).sum(axis=-1)
    second = whole * base**2 + 2 * base * (sign * error).sum(axis=-1) + error_squared.sum(axis=-1)
    return first, second


def half_width(units: ArrayLike, variance: ArrayLike, planned_units: float, level: float) -> Floats:
    """Half the width of the asymptotic confidence sequence of a running mean, elementwise.

    >>> round(float(half_width(1_000, 1.25, planned_units=1_000, level=0.95)), 4)
    0.1073

    Args:
        units: how many terms.
        variance: of one term.
        planned_units: where it is tightest.
        level: at all times together.
    """
    count = np.asarray(units, np.float64)
    width = bound(count, 1 - level, mixture_precision(planned_units, 1 - level)) / count
    return np.asarray(np.sqrt(variance) * width)


def _sequence(
    units: float, total: float, squares: float, planned_units: float, level: float, reason: str | None = None
) -> ScoredEffect:
    """The effect from sums of score differences; its interval is infinite where there is a reason."""
    require_level(level)
    if not (math.isfinite(planned_units) and planned_units >= 1):
        raise InvalidInput(
            f"planned_units {planned_units!r} is not a number of units", what="planned_units", allowed="at least 1"
        )
    if units < 2:
        mean = total / units if units else math.nan
        return ScoredEffect(mean, math.inf, -math.inf, math.inf, units, level, reason or "needs 2 units")
    mean = total / units
    variance = max(0.0, squares - units * mean * mean) / (units - 1)
    half = math.inf if reason else float(half_width(units, variance, planned_units, level))
    return ScoredEffect(mean, math.sqrt(variance / units), mean - half, mean + half, units, level, reason)


def _require_batch(batch: Batch, control: int, treatment: int) -> None:
    if not (0 <= control < len(batch.arms) and 0 <= treatment < len(batch.arms)) or control == treatment:
        raise InvalidInput(
            f"arms {control!r} and {treatment!r} of {len(batch.arms)} cannot be compared",
            what="control",
            remedy="name two",
        )
    if len(batch.propensities) != len(batch.arms) or not math.isclose(sum(batch.propensities), 1.0, abs_tol=1e-6):
        raise InvalidInput(
            f"propensities {batch.propensities!r} are not probabilities of {len(batch.arms)} arms",
            what="propensities",
            requested=list(batch.propensities),
            allowed="one per arm, summing to 1",
        )
    _require_propensities(np.array([batch.propensities[control], batch.propensities[treatment]]))


def _require_propensities(propensity: Floats) -> None:
    if not ((propensity > 0) & (propensity <= 1)).all():
        raise InvalidInput(
            "an arm that could not have been chosen cannot be judged: its propensity is not above 0",
            what="propensities",
            requested=float(propensity.min()) if propensity.size else None,
            allowed="0 < propensity <= 1",
            remedy="keep a floor under every arm's share, and log the probability that was used",
        )
