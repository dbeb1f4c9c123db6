"""Both together: a scheduled decision to ship, and a guardrail that may stop the test at any time.

The error is split. One part goes to a group-sequential test at the planned looks, which is nearly as powerful as a
single look; the other to a confidence sequence that watches at every event and stops a harmful treatment at once. The
chance that either is wrong is at most the sum (Bonferroni), whatever their dependence.

Sources: Lan and DeMets 1983 for the looks; Waudby-Smith et al. 2024 for the watch; the split as in Eppo's "sequential
hybrid" (docs, analysis methods).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import require_level
from bailiwick.statistics.group_sequential import Boundaries, Spending, boundaries


@dataclass(frozen=True, slots=True)
class HybridPlan:
    """How the error of a test is split; decided before the first look.

    Args:
        looks: the scheduled looks and their boundaries, for the decision to ship.
        watch_level: confidence for the `bailiwick.statistics.confidence_sequence.Tuning` that may stop at any time.
        alpha: chance that either is wrong.
    """

    looks: Boundaries
    watch_level: float
    alpha: float


def hybrid_plan(
    times: Sequence[float],
    alpha: float = 0.05,
    watch_share: float = 0.2,
    spending: Spending = Spending.OBRIEN_FLEMING,
    *,
    two_sided: bool = True,
    spend_at: Sequence[float] | None = None,
) -> HybridPlan:
    """Split the error between scheduled looks and the watch.

    >>> plan = hybrid_plan([0.5, 1.0])
    >>> [round(z, 3) for z in plan.looks.z], round(plan.watch_level, 3)
    ([3.09, 2.061], 0.99)

    Args:
        times: scheduled looks as shares of the planned information.
        alpha: error of both together.
        watch_share: part of it that the watch gets, between 0 and 1.
        spending: of the scheduled looks.
        two_sided: whether the scheduled looks look for both directions.
        spend_at: as of `bailiwick.statistics.group_sequential.boundaries`.

    Raises:
        InvalidInput: impossible times, or an error or share outside 0 to 1.
    """
    require_level(alpha, "alpha")
    if not 0 < watch_share < 1:
        raise InvalidInput(
            f"watch_share {watch_share!r} is not between 0 and 1",
            what="watch_share",
            remedy="give 0.2 to spend a fifth",
        )
    looks = boundaries(times, alpha * (1 - watch_share), spending, two_sided=two_sided, spend_at=spend_at)
    return HybridPlan(looks, 1 - alpha * watch_share, alpha)


def scheduled_stop(plan: HybridPlan, look: int, z: float, *, two_sided: bool = True) -> bool:
    """Whether the z value of a scheduled look (from 0) reaches its boundary.

    >>> scheduled_stop(hybrid_plan([0.5, 1.0]), 1, 2.1)
    True

    Raises:
        InvalidInput: there is no such look.
    """
    if not 0 <= look < len(plan.looks.z):
        raise InvalidInput(f"look {look!r} is not one of the {len(plan.looks.z)} planned", what="look", requested=look)
    return (abs(z) if two_sided else z) >= plan.looks.z[look]
