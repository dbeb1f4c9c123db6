"""The options of `bailiwick ensemble` as values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bailiwick.errors import InvalidInput, NotFound
from bailiwick.models.ensemble.spec import MemberSpec, parse_member
from bailiwick.platform import Platform
from bailiwick.training.ensembles import Terms


@dataclass(frozen=True, slots=True)
class Options:
    """Numbers by member, as ``MEMBER=NUMBER``; the members are named as in ``--member``."""

    costs: Sequence[str] = field(default_factory=list)
    thresholds: Sequence[str] = field(default_factory=list)

    def terms(
        self,
        quorum: int | None,
        deadline_ms: float,
        slow_ms: float | None,
        cost_weight: float,
        judge: MemberSpec | None,
    ) -> Terms:
        """How the ensemble asks."""
        return Terms(quorum, deadline_ms, slow_ms, judge, cost_weight)


def members_of(platform: Platform, references: Sequence[str], options: Options) -> list[MemberSpec]:
    """Members by ``DOMAIN@VERSION``, a version's id, ``DOMAIN~1``, or a domain: then whatever it serves.

    Raises:
        InvalidInput: a number is none, or for no member.
        NotFound: no such version.
    """
    given = [reference for part in references for reference in part.split(",") if reference]
    costs, thresholds = _numbers("--cost", options.costs, given), _numbers("--threshold", options.thresholds, given)
    return [
        replace(_member(platform, reference), cost=costs.get(reference, 0.0), threshold=thresholds.get(reference))
        for reference in given
    ]


def _member(platform: Platform, reference: str) -> MemberSpec:
    if "@" in reference:
        return parse_member(reference)
    if "~" not in reference:
        try:
            platform.domains.get(reference)
        except NotFound:
            pass  # a version's id, then
        else:
            return MemberSpec(reference)
    version = platform.registry.resolve(reference)
    return MemberSpec(version.domain, version.id)


def _numbers(option: str, given: Sequence[str], members: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in given:
        member, equals, number = each.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not equals or not 0 <= value < math.inf:
            raise InvalidInput(
                f"{option} {each!r} is not MEMBER=NUMBER",
                what=option,
                requested=each,
                allowed="a number from 0 on, as in cards~1=0.5",
            )
        if member not in members:
            raise InvalidInput(
                f"{option} names {member!r}, which is no --member", what=option, requested=member, allowed=list(members)
            )
        found[member] = value
    return found
