"""New weights for a plan, moving the fewest slots.

A version that grows only gains slots, one that shrinks only loses them, and no slot moves between two versions
unless the one shrinks and the other grows. So the units that move are exactly half the sum of the weight changes.

Slots change hands at the border: a version takes from the end of those that stand before it in the plan and from the
start of those that stand after it, and a newcomer stands last. With two versions the plan therefore always consists of
two ranges, and who is on the second one depends on nothing but its weight: going 1 -> 20 -> 10 -> 50 % and back
exposes nested sets of users.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation

from bailiwick.errors import InvalidInput
from bailiwick.traffic.model import SLOTS, SlotRange, TrafficPlan

_MAX_VERSIONS = 100


def whole(domain: str, version: str, salt: str) -> TrafficPlan:
    """The first plan of a domain: one version serves everybody. Its revision is 1."""
    return TrafficPlan(domain=domain, revision=1, salt=salt, ranges=(SlotRange(0, SLOTS, version),))


def check_weights(weights: Mapping[str, int]) -> dict[str, int]:
    """The weights without those of zero.

    Raises:
        InvalidInput: a weight is no whole number or negative, a version has no name, there are too many versions, or
            the weights do not sum to `SLOTS`.
    """
    for version, weight in weights.items():
        if not isinstance(version, str) or not version.strip():
            raise InvalidInput(f"a weight names no version: {version!r}", what="version", requested=str(version))
        if isinstance(weight, bool) or not isinstance(weight, int) or weight < 0:
            raise InvalidInput(
                f"the weight of {version!r} is {weight!r}",
                what=version,
                requested=str(weight),
                allowed=f"whole basis points, 0 to {SLOTS}",
            )
    total = sum(weights.values())
    if total != SLOTS:
        raise InvalidInput(
            f"the weights sum to {percent(total)}, not to 100 %",
            what="weights",
            requested=dict(weights),
            remedy="give every version that shall serve its share; what is not named gets nothing",
        )
    serving = {version: weight for version, weight in weights.items() if weight}
    if len(serving) > _MAX_VERSIONS:
        raise InvalidInput(f"{len(serving)} versions share one domain", what="weights", allowed=_MAX_VERSIONS)
    return serving


def reweight(plan: TrafficPlan, weights: Mapping[str, int]) -> TrafficPlan:
    """The next revision of a plan, with these weights and the fewest units moved.

    Args:
        plan: the present plan.
        weights: basis points by version; versions of the plan that are not named get nothing, new ones may be named.

    Raises:
        InvalidInput: see `check_weights`.

    >>> plan = reweight(whole("cards", "v1", "salt"), {"v1": 8000, "v2": 2000})
    >>> [(piece.first, piece.end, piece.version) for piece in plan.ranges]
    [(0, 8000, 'v1'), (8000, 10000, 'v2')]
    """
    wanted = check_weights(weights)
    owned: dict[str, deque[int]] = {}
    for piece in plan.ranges:
        owned.setdefault(piece.version, deque()).extend(range(piece.first, piece.end))
    order = [*owned, *(version for version in wanted if version not in owned)]
    surplus = {version: len(slots) - wanted.get(version, 0) for version, slots in owned.items()}
    for taker_place, taker in enumerate(order):
        missing = wanted.get(taker, 0) - len(owned.setdefault(taker, deque()))
        for giver in _nearest_first(order, taker_place):
            moved = min(missing, surplus.get(giver, 0))
            if moved <= 0:
                continue
            take = owned[giver].pop if order.index(giver) < taker_place else owned[giver].popleft
            owned[taker].extend(take() for _ in range(moved))
            surplus[giver] -= moved
            missing -= moved
    return replace(plan, revision=plan.revision + 1, ranges=_ranges(owned))


def share_weights(present: Mapping[str, int], version: str, share: int) -> dict[str, int]:
    """Weights that give one version its share and leave the others the rest, in their present proportions.

    Args:
        present: basis points now, summing to `SLOTS`.
        version: that gets the share; it may serve already.
        share: basis points for the version, 1 to `SLOTS`.

    Raises:
        InvalidInput: the share is out of bounds, or there is nobody to take the rest.

    >>> share_weights({"v1": 7500, "v2": 2500}, "v3", 2000)
    {'v1': 6000, 'v2': 2000, 'v3': 2000}
    """
    if isinstance(share, bool) or not isinstance(share, int) or not 1 <= share <= SLOTS:
        raise InvalidInput(
            f"a share of {share!r} basis points", what="share", requested=str(share), allowed=f"1 to {SLOTS}"
        )
    if share == SLOTS:
        return {version: SLOTS}
    others = {name: weight for name, weight in present.items() if name != version and weight}
    if not others:
        raise InvalidInput(
            f"{version!r} cannot take only {percent(share)}: no other version serves the rest",
            what="share",
            requested=percent(share),
            remedy="give it 100%, or deploy another version first",
        )
    return {**_proportional(others, SLOTS - share), version: share}


def parse_weights(words: Iterable[str]) -> dict[str, int]:
    """Weights from words such as ``cards-v1=80 cards-v2=20`` (in percent, at most two decimals).

    Raises:
        InvalidInput: a word is not VERSION=PERCENT, or a version is named twice.
    """
    weights: dict[str, int] = {}
    for word in words:
        version, equals, amount = word.rpartition("=")
        if not equals or not version:
            raise InvalidInput(
                f"cannot read the weight {word!r}", what="weights", requested=word, allowed="VERSION=PERCENT"
            )
        if version in weights:
            raise InvalidInput(f"{version!r} is given two weights", what="weights", requested=word)
        weights[version] = parse_percent(amount)
    return weights


def parse_percent(text: str) -> int:
    """Basis points of ``20``, ``20%`` or ``0.25 %``.

    Raises:
        InvalidInput: not a number, outside 0 to 100, or finer than a basis point.

    >>> parse_percent("0.25%")
    25
    """
    allowed = "a percentage from 0 to 100 with at most two decimals, such as 20% or 0.25%"
    try:
        points = Decimal(text.strip().removesuffix("%").strip()) * 100
    except InvalidOperation:
        raise InvalidInput(f"{text!r} is no percentage", what="share", requested=text, allowed=allowed) from None
    if not points.is_finite() or not 0 <= points <= SLOTS or points != points.to_integral_value():
        raise InvalidInput(f"a share of {text!r}", what="share", requested=text, allowed=allowed)
    return int(points)


def percent(points: int) -> str:
    """Basis points for people.

    >>> percent(2000), percent(25)
    ('20 %', '0.25 %')
    """
    return f"{points / 100:g} %"


def _nearest_first(order: Sequence[str], place: int) -> list[str]:
    """The other versions, those beside the place first, so that ranges stay in one piece where they can."""
    others = (index for index in range(len(order)) if index != place)
    return [order[index] for index in sorted(others, key=lambda index: (abs(index - place), index))]


def _ranges(owned: Mapping[str, Iterable[int]]) -> tuple[SlotRange, ...]:
    owner = [""] * SLOTS
    for version, slots in owned.items():
        for slot in slots:
            owner[slot] = version
    pieces: list[SlotRange] = []
    first = 0
    for slot in range(1, SLOTS + 1):
        if slot == SLOTS or owner[slot] != owner[first]:
            pieces.append(SlotRange(first, slot, owner[first]))
            first = slot
    return tuple(pieces)


def _proportional(weights: Mapping[str, int], total: int) -> dict[str, int]:
    """Integers in proportion to the weights, summing to the total (largest remainder first)."""
    whole_sum = sum(weights.values())
    floors = {name: weight * total // whole_sum for name, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda name: (-(weights[name] * total % whole_sum), name))
    for name in by_remainder[: total - sum(floors.values())]:
        floors[name] += 1
    return floors
