"""When a young deployment is worth another look: when enough is new since the last one. Pure.

A look reads a day of rollups and costs milliseconds; to ask whether anything is new costs a fraction of one. While few
requests were seen, each new one may decide; later a hundredth more moves no share and no quantile by much, and ten
seconds are soon enough. Whatever a mark cannot see, such as what comes late, waits no longer than the longest pause.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bailiwick.metrics.model import Mark

LONGEST_PAUSE = timedelta(seconds=30)
_SOON = timedelta(seconds=10)
_SHARE = 0.01

MARKED = timedelta(minutes=2)
"""How far before a look its mark begins: a minute's rollup is written again while the minute lasts."""

BASELINE_KEPT = timedelta(minutes=10)
"""How long what was observed before a deployment is taken as read."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a look rests on beside observations; another one asks for another look.

    Args:
        deployment: by id.
        policy_revision: of its gate policy.
        traffic_revision: of all plans.
    """

    deployment: str
    policy_revision: int
    traffic_revision: int


@dataclass(frozen=True, slots=True)
class Looked:
    """The last look at a deployment.

    Args:
        at: when.
        grounds: on which.
        marked_since: beginning of the mark.
        mark: read before anything else.
        samples: requests and opinions that were known of it.
    """

    at: datetime
    grounds: Grounds
    marked_since: datetime
    mark: Mark
    samples: int


def is_due(looked: Looked, now: datetime, grounds: Grounds, mark: Mark) -> bool:
    """Whether to look again.

    Args:
        looked: the last time.
        now: by the same clock; where that went back, a look is due.
        grounds: by now.
        mark: by now, since ``looked.marked_since``.
    """
    passed = now - looked.at
    if grounds != looked.grounds or not timedelta(0) <= passed < LONGEST_PAUSE:
        return True
    if mark == looked.mark:
        return False
    return passed >= _SOON or mark.count - looked.mark.count >= _SHARE * looked.samples
