"""The whole way of a release, attacked from outside: two databases that differ in one unit, and what a reader is given.

Nothing is known of the mechanism: the audit asks for releases, as anyone would, and looks at their serialised outputs.
What goes wrong outside the mechanism (a cap that is not applied, rows left behind when a unit is removed) shows here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bailiwick.privacy.audit.mechanism import CERTAIN, Verdict, audit

Release = Callable[[], str]
"""Makes one release and gives it as a JSON text."""


def audit_releases(
    without: Release,
    with_unit: Release,
    score: Callable[[Any], float],
    claimed: float,
    *,
    runs: int,
    delta: float = 0.0,
    confidence: float = CERTAIN,
) -> Verdict:
    """Judge the claim of a release by asking for it again and again.

    Args:
        without: releases from the database without the unit.
        with_unit: releases from the one that has all of its rows.
        score: what the attacker reads from an output; higher must speak for the unit.
        claimed: epsilon of one release.
        runs: releases per side, at least 100. 2,000 notice a factor of 3 in most mechanisms at `CERTAIN`.
        delta: of the claim.
        confidence: that the bound holds.
    """
    sides = [[score(json.loads(release())) for _ in range(runs)] for release in (without, with_unit)]
    return audit(sides[0], sides[1], claimed, delta=delta, confidence=confidence)
