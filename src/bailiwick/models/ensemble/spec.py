"""What an ensemble is: its members, how they decide, what was learned of them. Immutable, hostile until parsed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from bailiwick.errors import InvalidInput

NAME = "ensemble"
"""The family of versions that are ensembles."""

FORMAT = 1
MOST_MEMBERS = 16
MOST_DEADLINE_MS = 600_000.0
_MOST_LABELS = 20_000
_DOMAIN = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Strategy(StrEnum):
    """How the members become one answer."""

    MAJORITY = "majority"
    """Labels: one member, one vote; a tie goes to the label that the members find more probable."""
    VOTE = "vote"
    """Labels: each member's vote counts as much as its confidence and its weight."""
    AVERAGE = "average"
    """Labels: the weighted mean of the probabilities (linear opinion pool)."""
    STACKING = "stacking"
    """Labels: the weighted product of the probabilities (log opinion pool), weights learned on held-out texts."""
    CASCADE = "cascade"
    """Ask in order, cheapest first, until one is confident enough; thresholds learned on held-out texts."""
    SELECT = "select"
    """Ask the one member that is predicted to do best within the limits on cost and latency."""
    BEST_OF = "best-of"
    """Text: a judge picks one of the members' answers."""
    AGREE = "agree"
    """Text: the answer that most members agree on, once normalised (self-consistency)."""
    FIRST_GOOD = "first-good"
    """Text: the first member, in order, that gives a usable answer."""


LABELS = frozenset({Strategy.MAJORITY, Strategy.VOTE, Strategy.AVERAGE, Strategy.STACKING})
"""Strategies that ask all members for labels."""

TEXTS = frozenset({Strategy.BEST_OF, Strategy.AGREE})
"""Strategies that ask all members for whole answers."""

IN_TURN = frozenset({Strategy.CASCADE, Strategy.SELECT, Strategy.FIRST_GOOD})
"""Strategies that ask one member at a time."""

LEARNED = frozenset({Strategy.STACKING, Strategy.CASCADE, Strategy.SELECT})
"""Strategies that have something to learn: their members are fixed versions, unless a cascade's thresholds are set."""


@dataclass(frozen=True, slots=True)
class MemberSpec:
    """One member.

    Args:
        domain: whose model it is.
        version: None: whichever version is the domain's main one when a query comes.
        weight: how much it counts, 0 or more; learned by stacking.
        threshold: of a cascade: the confidence from which its answer stands; above 1: never.
        cost: of 1,000 tokens, in any unit; prompt and answer count alike.
        latency_ms: what its slow answers take (p95), until it has been observed.
        accuracy: on the held-out texts; what feedback is compared with.
    """

    domain: str
    version: str | None = None
    weight: float = 1.0
    threshold: float | None = None
    cost: float = 0.0
    latency_ms: float | None = None
    accuracy: float | None = None

    @property
    def name(self) -> str:
        """``domain@version``, or the domain alone.

        >>> MemberSpec("cards").name, MemberSpec("cards", "cards-v1").name
        ('cards', 'cards@cards-v1')
        """
        return self.domain if self.version is None else f"{self.domain}@{self.version}"


@dataclass(frozen=True, slots=True)
class EnsembleSpec:
    """An ensemble, complete but for the numbers of `Quality`.

    Args:
        members: 1 to 16; a domain may stand there several times only where answers are texts.
        labels: that the members know, sorted; empty where nobody says.
        quorum: members that must have answered; fewer is a failure. Ignored by strategies that ask one at a time.
        deadline_ms: after which the answers that are there decide.
        slow_ms: an answer that takes longer counts against its member; None: none does.
        judge: of ``best-of``.
        cost_weight: of ``select``: the predicted quality (0 to 1) that one unit of cost must buy.
        fitted: what was learned from: data set, its sha256, split, rows, and what came out; empty where nothing was.
    """

    strategy: Strategy
    members: tuple[MemberSpec, ...]
    labels: tuple[str, ...] = ()
    quorum: int = 1
    deadline_ms: float = 10_000.0
    slow_ms: float | None = None
    judge: MemberSpec | None = None
    cost_weight: float = 0.0
    fitted: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= len(self.members) <= MOST_MEMBERS:
            raise _wrong("members", len(self.members), f"1 to {MOST_MEMBERS}")
        if not 1 <= self.quorum <= len(self.members):
            raise _wrong("quorum", self.quorum, f"1 to {len(self.members)}, the number of members")
        if not 1 <= self.deadline_ms <= MOST_DEADLINE_MS:
            raise _wrong("deadline_ms", self.deadline_ms, f"1 to {MOST_DEADLINE_MS:g}")
        if self.slow_ms is not None and not 0 < self.slow_ms <= MOST_DEADLINE_MS:
            raise _wrong("slow_ms", self.slow_ms, f"above 0, at most {MOST_DEADLINE_MS:g}")
        if not 0 <= self.cost_weight < math.inf:
            raise _wrong("cost_weight", self.cost_weight, "0 or more")
        if (self.strategy is Strategy.BEST_OF) != (self.judge is not None):
            says = "best-of needs a judge" if self.judge is None else f"{self.strategy.value} has no judge"
            raise InvalidInput(
                f"an ensemble by {says}", what="judge", allowed="--judge MODEL with best-of, and only there"
            )
        for member in (*self.members, *([self.judge] if self.judge else [])):
            _check_member(member)
        if self.strategy in LEARNED and self.follows and not self._by_hand:
            floating = next(member.domain for member in self.members if member.version is None)
            raise InvalidInput(
                f"{self.strategy} learns about fixed versions, and {floating!r} is whatever the domain serves",
                what="members",
                requested=floating,
                allowed="domain@version",
                remedy=f"name a version (`bailiwick model list --domain {floating}` shows them), "
                f"or let a cascade go by --threshold {floating}=0.8",
            )
        names = [member.name for member in self.members]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None and self.strategy not in TEXTS:
            raise InvalidInput(
                f"{repeated!r} is named twice: it would say the same twice",
                what="members",
                requested=names,
                remedy="name it once; only best-of and agree ask a member several times",
            )

    @property
    def follows(self) -> bool:
        """Whether a member is whatever its domain serves when a query comes, so that nothing can be measured before."""
        return any(member.version is None for member in self.members)

    @property
    def _by_hand(self) -> bool:
        thresholds = [member.threshold for member in self.members[:-1]]
        return self.strategy is Strategy.CASCADE and None not in thresholds


def to_json(spec: EnsembleSpec) -> bytes:
    """The stored form: the same spec gives the same bytes."""
    document = {name: _plain(getattr(spec, name)) for name in _FIELDS}
    return json.dumps({"format": FORMAT, **document}, sort_keys=True, separators=(",", ":")).encode()


def from_document(found: Any) -> EnsembleSpec:
    """The spec of a stored document.

    Raises:
        InvalidInput: anything is missing, unknown, of the wrong type, or does not fit together.
    """
    if not isinstance(found, dict) or found.get("format") != FORMAT or set(found) != {"format", *_FIELDS}:
        raise _wrong("its keys", sorted(found)[:20] if isinstance(found, dict) else found, sorted(_FIELDS))
    try:
        strategy = Strategy(found["strategy"])
    except ValueError as error:
        raise _wrong("strategy", found["strategy"], [each.value for each in Strategy]) from error
    labels = found["labels"]
    if not isinstance(labels, list) or len(labels) > _MOST_LABELS or not all(isinstance(each, str) for each in labels):
        raise _wrong("labels", str(labels)[:100], "a list of strings")
    if list(labels) != sorted(set(labels)):
        raise _wrong("labels", str(labels)[:100], "sorted, each once")
    members = found["members"]
    if not isinstance(members, list):
        raise _wrong("members", str(members)[:100], "a list")
    quorum = found["quorum"]
    if type(quorum) is not int:
        raise _wrong("quorum", quorum, "a whole number")
    return EnsembleSpec(
        strategy=strategy,
        members=tuple(map(_member, members)),
        labels=tuple(labels),
        quorum=quorum,
        deadline_ms=_number("deadline_ms", found["deadline_ms"]),
        slow_ms=None if found["slow_ms"] is None else _number("slow_ms", found["slow_ms"]),
        judge=None if found["judge"] is None else _member(found["judge"]),
        cost_weight=_number("cost_weight", found["cost_weight"]),
        fitted=found["fitted"] if isinstance(found["fitted"], dict) else {},
    )


def parse_member(reference: str) -> MemberSpec:
    """A member as people name it: ``domain`` or ``domain@version``.

    >>> parse_member("cards@cards-v1").version
    'cards-v1'

    Raises:
        InvalidInput: it is neither.
    """
    domain, pinned, version = reference.partition("@")
    member = MemberSpec(domain, version if pinned else None)
    _check_member(member)
    return member


def _member(found: Any) -> MemberSpec:
    if not isinstance(found, dict) or set(found) != _MEMBER_FIELDS:
        raise _wrong("a member", str(found)[:100], sorted(_MEMBER_FIELDS))
    if not isinstance(found["domain"], str) or not isinstance(found["version"], str | None):
        raise _wrong("a member", str(found)[:100], "domain and version as text")
    numbers = {name: _number(name, found[name]) for name in _MEMBER_NUMBERS if found[name] is not None}
    return MemberSpec(found["domain"], found["version"], **numbers)


def _check_member(member: MemberSpec) -> None:
    if not _DOMAIN.fullmatch(member.domain):
        raise _wrong("members", member.domain, "domain or domain@version")
    if member.version is not None and not _VERSION.fullmatch(member.version):
        raise _wrong("members", member.name, "domain or domain@version")
    for name in _MEMBER_NUMBERS:
        value = getattr(member, name)
        if value is not None and not 0 <= value < math.inf:
            raise _wrong(f"{name} of {member.name!r}", value, "a number, 0 or more")


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(name, value, "a finite number")
    return float(value)


def _plain(value: Any) -> Any:
    if isinstance(value, MemberSpec):
        return {name: getattr(value, name) for name in _MEMBER_FIELDS}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _wrong(what: str, found: Any, allowed: Any) -> InvalidInput:
    return InvalidInput(f"an ensemble cannot have {what}: {found!r}", what=what, requested=found, allowed=allowed)


_FIELDS = tuple(each.name for each in fields(EnsembleSpec))
_MEMBER_FIELDS = {each.name for each in fields(MemberSpec)}
_MEMBER_NUMBERS = ("weight", "threshold", "cost", "latency_ms", "accuracy")
