"""Exact tests of two shares: true to their level at any count, however small.

| test | conditions on | use |
|---|---|---|
| `fisher_exact` | the total number of successes | rare events in arms of any size; conservative |
| `mid_p_exact` | the same, the observed table counts half | the same, right on average, not strictly |
| `boschloo_exact` | nothing: worst case over the common share | small arms, to about 300 units each; most powerful |
| `barnard_exact` | nothing, ordering tables by the pooled z | the same |

Sources: Fisher, "The logic of inductive inference", JRSS 98, 1935; Lancaster, "Significance tests in discrete
distributions", JASA 56, 1961 (mid-p); Boschloo, Statistica Neerlandica 24, 1970; Barnard, "Significance tests for 2x2
tables", Biometrika 34, 1947.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import Alternative
from bailiwick.statistics.proportions import Share

Floats = NDArray[np.float64]

# Tables whose probabilities agree to this relative difference are equally likely.
_TIE = 1 + 1e-7
_MOST_TABLES = 300_000
_MOST_CONDITIONAL = 2_000_000
_GRID = 401


def fisher_exact(control: Share, treatment: Share, alternative: Alternative = Alternative.TWO_SIDED) -> float:
    """The p-value of Fisher's exact test; two-sided it adds all tables that are no likelier than the one seen.

    >>> round(fisher_exact(Share(1, 9), Share(11, 15)), 6)
    0.009423

    Args:
        control: the arm compared with.
        treatment: the arm in question.
        alternative: what is looked for, of the treatment's share.
    """
    return _conditional(control, treatment, alternative, 1.0)


def mid_p_exact(control: Share, treatment: Share, alternative: Alternative = Alternative.TWO_SIDED) -> float:
    """Fisher's p-value with half the probability of the tables as likely as the one seen; arguments as there.

    >>> round(mid_p_exact(Share(1, 9), Share(11, 15), Alternative.GREATER), 6)
    0.00244
    """
    return _conditional(control, treatment, alternative, 0.5)


def boschloo_exact(control: Share, treatment: Share, alternative: Alternative = Alternative.TWO_SIDED) -> float:
    """The p-value of Boschloo's test: Fisher's one-sided p-value as statistic; two-sided twice the smaller side.

    >>> round(boschloo_exact(Share(7, 12), Share(8, 8), Alternative.GREATER), 4)
    0.0184

    Args:
        control: the arm compared with.
        treatment: the arm in question.
        alternative: what is looked for.

    Raises:
        InvalidInput: the arms are too large to list all tables; the error names the limit.
    """
    if alternative is Alternative.TWO_SIDED:
        sides = (boschloo_exact(control, treatment, side) for side in (Alternative.GREATER, Alternative.LESS))
        return min(1.0, 2 * min(sides))
    if alternative is Alternative.LESS:
        return boschloo_exact(treatment, control, Alternative.GREATER)
    statistics = _fisher_of_all(control.trials, treatment.trials)
    seen = statistics[control.successes, treatment.successes]
    return _worst_case(control.trials, treatment.trials, statistics <= seen * _TIE)


def barnard_exact(control: Share, treatment: Share, alternative: Alternative = Alternative.TWO_SIDED) -> float:
    """The p-value of Barnard's test with the pooled z as statistic; arguments and errors as of `boschloo_exact`.

    >>> round(barnard_exact(Share(7, 12), Share(8, 8)), 4)
    0.0438
    """
    n0, n1 = control.trials, treatment.trials
    _require_small(n0, n1)
    x0, x1 = np.arange(n0 + 1)[:, None], np.arange(n1 + 1)[None, :]
    pooled = (x0 + x1) / (n0 + n1)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n0 + 1 / n1))
    z = np.divide(x1 / n1 - x0 / n0, error, out=np.zeros_like(error), where=error > 0)
    z = np.abs(z) if alternative is Alternative.TWO_SIDED else -z if alternative is Alternative.LESS else z
    return _worst_case(n0, n1, z >= z[control.successes, treatment.successes] - 1e-9)


def _conditional(control: Share, treatment: Share, alternative: Alternative, weight_of_seen: float) -> float:
    n0, n1, both = control.trials, treatment.trials, control.successes + treatment.successes
    least = max(0, both - n0)
    if min(n1, both) - least > _MOST_CONDITIONAL:
        raise InvalidInput(
            f"with {both:,} successes there are {min(n1, both) - least:,} tables",
            what="successes",
            requested=both,
            allowed=f"at most {_MOST_CONDITIONAL:,} tables",
            remedy="use the score test, which is as good with so many successes",
        )
    successes = np.arange(least, min(n1, both) + 1)
    logs = _log_choose(n1, successes) + _log_choose(n0, both - successes) - _log_choose(n0 + n1, np.array(both))
    probabilities = np.exp(logs)
    probabilities /= probabilities.sum()
    place = treatment.successes - least
    if alternative is Alternative.GREATER:
        beyond, alike = probabilities[place + 1 :].sum(), probabilities[place]
    elif alternative is Alternative.LESS:
        beyond, alike = probabilities[:place].sum(), probabilities[place]
    else:
        seen = probabilities[place]
        same = (probabilities <= seen * _TIE) & (probabilities >= seen / _TIE)
        beyond, alike = probabilities[probabilities < seen / _TIE].sum(), probabilities[same].sum()
    return float(min(1.0, beyond + weight_of_seen * alike))


def _fisher_of_all(n0: int, n1: int) -> Floats:
    """Fisher's one-sided p-value of every table, shape ``(n0 + 1, n1 + 1)``, for a larger treatment."""
    _require_small(n0, n1)
    x0, x1 = np.arange(n0 + 1), np.arange(n1 + 1)
    logs = _log_choose(n0, x0)[:, None] + _log_choose(n1, x1)[None, :]
    found = np.empty((n0 + 1, n1 + 1))
    for both in range(n0 + n1 + 1):
        treated = np.arange(max(0, both - n0), min(n1, both) + 1)
        chances = np.exp(logs[both - treated, treated] - _log_choose(n0 + n1, np.array(both)))
        found[both - treated, treated] = np.minimum(1.0, np.cumsum(chances[::-1])[::-1])
    return found


def _worst_case(n0: int, n1: int, region: NDArray[np.bool_]) -> float:
    """The largest probability of the region over a common share of both arms."""

    def probability(shares: Floats) -> Floats:
        return np.asarray(((_binomials(n0, shares) @ region) * _binomials(n1, shares)).sum(axis=1))

    low, high = 0.0, 1.0
    best = 0.0
    # the grid is fine against the 1 / sqrt(n) on which the probability moves; then closer around its best point
    for _ in range(5):
        shares = np.linspace(low, high, _GRID)
        found = probability(shares)
        at = int(found.argmax())
        best = max(best, float(found[at]))
        low, high = shares[max(0, at - 2)], shares[min(_GRID - 1, at + 2)]
    return min(1.0, best)


def _binomials(n: int, shares: Floats) -> Floats:
    """Binomial probabilities, shape ``(shares, n + 1)``."""
    successes = np.arange(n + 1)
    with np.errstate(divide="ignore"):
        yes, no = np.log(shares)[:, None], np.log1p(-shares)[:, None]
    logs = np.where(successes == 0, 0.0, successes * np.where(np.isinf(yes), -1e6, yes))
    logs = logs + np.where(successes == n, 0.0, (n - successes) * np.where(np.isinf(no), -1e6, no))
    return np.asarray(np.exp(logs + _log_choose(n, successes)))


def _log_choose(n: int, k: NDArray[np.int64]) -> Floats:
    # by the beta function, which keeps its digits where one argument dwarfs the other; gammas of 1e9 would lose seven
    return np.asarray(-betaln(n - k + 1, k + 1) - math.log1p(n))


def _require_small(n0: int, n1: int) -> None:
    if n0 <= 0 or n1 <= 0 or (n0 + 1) * (n1 + 1) > _MOST_TABLES:
        raise InvalidInput(
            f"arms of {n0} and {n1} units have {(n0 + 1) * (n1 + 1):,} tables",
            what="trials",
            requested=(n0, n1),
            allowed=f"at least one unit in each arm and at most {_MOST_TABLES:,} tables",
            remedy="use fisher_exact, which needs no list of all tables, or the score test",
        )
