"""Has the mix of the traffic changed? How much, and whether more than chance would. Pure.

The population stability index says how much: below 0.1 little, from 0.25 on a lot. A chi-square test of homogeneity
says whether chance would do it; both windows are samples, so both enter. Somebody who looks every hour for a month
makes 720 tests: the level is divided by that (Bonferroni), so a month of hourly looks gives a false alarm in at most
5 % of the months.

Sources: Siddiqi, "Credit Risk Scorecards", 2006 (the index and its bands); Agresti, "Categorical Data Analysis", 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import chdtrc

LOOKS = 720
LEVEL = 0.05
NOTABLE = 0.1
_RARE = 5.0


@dataclass(frozen=True, slots=True)
class Drift:
    """The mix of two windows compared.

    Args:
        stability_index: population stability index; 0: the same mix.
        p_value: of homogeneity, for one look.
        drifted: the p-value is below ``0.05 / 720`` and the index at least 0.1.
        reference: queries in the earlier window.
        current: queries in the later one.
        shares: by domain, before and now; the empty name stands for none.
        reason: why nothing can be said; None where something can.
    """

    stability_index: float | None
    p_value: float | None
    drifted: bool
    reference: int
    current: int
    shares: Mapping[str, tuple[float, float]]
    reason: str | None = None


def drift_of(reference: Mapping[str, int], current: Mapping[str, int]) -> Drift:
    """Compare two windows of counts by domain.

    >>> drift_of({"cards": 500, "loans": 500}, {"cards": 510, "loans": 490}).drifted
    False
    >>> found = drift_of({"cards": 500, "loans": 500}, {"cards": 800, "loans": 200})
    >>> found.drifted, round(found.stability_index, 2)
    (True, 0.41)
    """
    names = sorted(set(reference) | set(current))
    before, now = sum(reference.values()), sum(current.values())
    if before < 2 * _RARE or now < 2 * _RARE or len(names) < 2:
        shares = {name: (_share(reference, name, before), _share(current, name, now)) for name in names}
        reason = "one domain only" if len(names) == 1 else f"{before} queries before and {now} now are too few"
        return Drift(None, None, False, before, now, shares, reason)
    index = 0.0
    for name in names:
        expected = (reference.get(name, 0) + 0.5) / (before + 0.5 * len(names))
        actual = (current.get(name, 0) + 0.5) / (now + 0.5 * len(names))
        index += (actual - expected) * math.log(actual / expected)
    p_value = _homogeneity(_pooled(reference, current, names, before, now), before, now)
    return Drift(
        index,
        p_value,
        p_value < LEVEL / LOOKS and index >= NOTABLE,
        before,
        now,
        {name: (_share(reference, name, before), _share(current, name, now)) for name in names},
    )


def _share(counts: Mapping[str, int], name: str, total: int) -> float:
    return counts.get(name, 0) / total if total else 0.0


def _pooled(
    reference: Mapping[str, int], current: Mapping[str, int], names: list[str], before: int, now: int
) -> list[tuple[int, int]]:
    """Cells of the table; domains that are expected fewer than five times are one cell."""
    cells: list[tuple[int, int]] = []
    rare = (0, 0)
    for name in names:
        pair = reference.get(name, 0), current.get(name, 0)
        if sum(pair) * min(before, now) / (before + now) < _RARE:
            rare = rare[0] + pair[0], rare[1] + pair[1]
        else:
            cells.append(pair)
    return [*cells, rare] if sum(rare) else cells


def _homogeneity(cells: list[tuple[int, int]], before: int, now: int) -> float:
    if len(cells) < 2:
        return 1.0
    statistic = 0.0
    for pair in cells:
        for seen, total in zip(pair, (before, now), strict=True):
            expected = sum(pair) * total / (before + now)
            statistic += (seen - expected) ** 2 / expected
    return float(chdtrc(len(cells) - 1, statistic))
