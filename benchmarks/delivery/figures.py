"""From the outcomes of releases to the table: reductions against a baseline, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.delivery.arms import Outcomes
from benchmarks.delivery.world import HARM_WEIGHTS, HARMS, Floats

HALF = 5_000
RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Summary:
    """One way of releasing at one rate and share of bad releases; per bad release unless said otherwise.

    Args:
        excess: failures that would not have been without the candidate.
        exposed: requests that the candidate answered.
        bad_at_half: of all releases: bad ones that ever had half of the traffic, and good ones rolled back from there.
        escaped: bad ones that got everything and were not rolled back within the day.
        harm_to_rollback_min: median minutes from the start to the rollback of those that were rolled back.
        false_rollbacks: of good ones.
        held: good ones that were neither let through nor rolled back within the day.
        lead_min: median minutes until a good one had everything; infinite where most had not.
    """

    excess: float
    exposed: float
    bad_at_half: float
    escaped: float
    harm_to_rollback_min: float
    false_rollbacks: float
    held: float
    lead_min: float


def merged(parts: Sequence[Outcomes]) -> Outcomes:
    """The outcomes of several seeds together."""
    return Outcomes(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Outcomes.__dataclass_fields__)
    )


def summary(outcomes: Outcomes, share_bad: float) -> Summary:
    """The figures of one way; kinds of harm are weighted as the rules say, whatever their number."""
    good, weights = outcomes.harms == 0, bad_weights(outcomes.harms)
    back = outcomes.rolled_back
    bad_back = back & ~good
    return Summary(
        excess=float(weights @ excess_of(outcomes)),
        exposed=float(weights @ outcomes.exposed),
        bad_at_half=float(per_release(at_half(outcomes), outcomes.harms, share_bad)),
        escaped=float(weights @ (np.isfinite(outcomes.full_s) & ~back)),
        harm_to_rollback_min=_median(outcomes.rolled_back_s[bad_back]) / 60,
        false_rollbacks=float(back[good].mean()),
        held=float(outcomes.held[good].mean()),
        lead_min=_median(np.where(back[good], np.inf, outcomes.full_s[good])) / 60,
    )


def excess_of(outcomes: Outcomes) -> Floats:
    """Failures of each release that its harm caused, in expectation over what was exposed."""
    return outcomes.exposed * outcomes.harms


def at_half(outcomes: Outcomes) -> Floats:
    """1 for a bad release that ever had half of the traffic, and for a good one that was rolled back from there.

    Stricter than "rolled back from half or escaped": a bad one that is held at half counts too.
    """
    return ((outcomes.peak >= HALF) & ((outcomes.harms > 0) | outcomes.rolled_back)).astype(np.float64)


def bad_weights(harms: Floats) -> Floats:
    """Weight of each release in a mean over bad releases; they sum to 1."""
    weights = np.zeros(len(harms))
    for harm, weight in zip(HARMS, HARM_WEIGHTS, strict=True):
        of_kind = harms == harm
        weights[of_kind] = weight / of_kind.sum()
    return weights


def per_release(values: Floats, harms: Floats, share_bad: float) -> float:
    """The mean of a value over all releases, where so many are bad."""
    return share_bad * float(bad_weights(harms) @ values) + (1 - share_bad) * float(values[harms == 0].mean())


def reduction(ours: Outcomes, theirs: Outcomes, share_bad: float, what: str, seed: int) -> tuple[float, float, float]:
    """How much less of something, as a share, with its 95 % interval by resampling releases within each kind of harm.

    Args:
        ours: outcomes of the one way.
        theirs: of the other, on the same kinds of releases.
        share_bad: of all releases.
        what: ``excess`` or ``half``.
        seed: of the resampling.
    """
    value = {"excess": excess_of, "half": at_half}[what]
    share = 1.0 if what == "excess" else share_bad
    rng = np.random.default_rng(seed)
    draws = [_resampled(value(each), each.harms, share, rng) for each in (ours, theirs)]
    estimate = 1 - _mean(value(ours), ours.harms, share) / _mean(value(theirs), theirs.harms, share)
    low, high = np.quantile(1 - draws[0] / draws[1], [0.025, 0.975])
    return estimate, float(low), float(high)


def _mean(values: Floats, harms: Floats, share_bad: float) -> float:
    return float(bad_weights(harms) @ values) if share_bad == 1.0 else per_release(values, harms, share_bad)


def _resampled(values: Floats, harms: Floats, share_bad: float, rng: np.random.Generator) -> Floats:
    kinds: Mapping[float, float] = {0.0: 1 - share_bad} | {
        harm: share_bad * weight for harm, weight in zip(HARMS, HARM_WEIGHTS, strict=True)
    }
    total = np.zeros(RESAMPLES)
    for harm, weight in kinds.items():
        of_kind = values[harms == harm]
        if weight and len(of_kind):
            total += weight * of_kind[rng.integers(0, len(of_kind), (RESAMPLES, len(of_kind)))].mean(axis=1)
    return total


def upper_share(successes: int, trials: int) -> float:
    """The exact one-sided 95 % upper bound of a share."""
    from scipy.stats import beta

    return 1.0 if successes >= trials else float(beta.ppf(0.95, successes + 1, trials - successes))


def _median(values: Floats) -> float:
    return float(np.median(values)) if len(values) else float("nan")
