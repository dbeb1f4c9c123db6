"""How much a context borrows from the other contexts of its detected domain: as much as they are alike. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bailiwick.routing.contexts import parent_of

Sums = Mapping[str, Mapping[str, Sequence[float]]]
"""By context, then by domain: answers, and what they earned together."""

_USUAL_SPREAD, _USUAL_WORTH = 0.03, 200.0
_LEAST_VARIANCE = 0.02


def spread_of(own: Sums, parents: Sums) -> float:
    """The variance between the means of a domain's contexts, as a multiple of the variance of one answer.

    Zero: contexts do not matter, all answers are alike. From all domains together, by the method of moments, around a
    usual value that counts as 200 answers.

    Source: DerSimonian, Laird, "Meta-analysis in clinical trials", Controlled Clinical Trials 1986 (equation 8).

    >>> alike = {f"cards|{n}|": {"cards": [500.0, 250.0]} for n in "ab"}
    >>> apart = {"cards|a|": {"cards": [500.0, 450.0]}, "cards|b|": {"cards": [500.0, 50.0]}}
    >>> around = {"cards|*": {"cards": [1000.0, 500.0]}}
    >>> spread_of(alike, around) < 0.01 < 0.3 < spread_of(apart, around)
    True
    """
    excess, answers = _USUAL_SPREAD * _USUAL_WORTH, _USUAL_WORTH
    for context, of_context in own.items():
        around = parents[parent_of(context)]
        for domain, (count, total) in of_context.items():
            whole, whole_total = around[domain]
            if count <= 0 or whole <= count:
                continue
            mean = whole_total / whole
            variance = max(_LEAST_VARIANCE, min(0.25, mean * (1.0 - mean)))
            excess += count * (total / count - mean) ** 2 / variance - (1.0 - count / whole)
            answers += count - count * count / whole
    return max(1e-6, excess / answers)


def worth_of(answers: float, spread: float) -> float:
    """What answers of other contexts count as here: their mean is this one's, give or take what contexts differ by.

    >>> worth_of(1_000.0, 0.0), round(worth_of(1_000.0, 0.1), 1)
    (1000.0, 9.9)
    """
    return answers / (1.0 + answers * spread)


def with_parent(own: Sequence[float], parent: Sequence[float], spread: float) -> tuple[float, float]:
    """Own answers with those of the other contexts, for what these count as: count and mean."""
    count, total = own
    others, others_total = parent[0] - count, parent[1] - total
    if others > 1e-9:
        taken = worth_of(others, spread)
        count, total = count + taken, total + others_total / others * taken
    return count, total / count if count > 0 else 0.0
