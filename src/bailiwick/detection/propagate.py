"""Tags carried along lineage: what a tagged asset's neighbours get of its domain. Pure.

A tag is carried with a factor below 1 per step, at most a few steps, and an element keeps the strongest way it was
reached, so a cycle never strengthens anything. What an element says of itself counts more than hearsay: a carried tag
must be stronger than the element's own, of whatever domain, to be taken and passed on.

A way follows the flow of data downwards, or against it upwards, never up and then down again: two reports that read one
shared table have nothing to do with each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from bailiwick.graph.model import Edge, EdgeKind, NodeKind

HOPS = 3
FLOOR = 0.3
MOST_DOMAINS = 3
"""An element that more domains reach is shared by all: it keeps of the best three those that stand out."""

ALIKE = 0.02
"""Scores no further apart are as good as equal."""


class Way(IntEnum):
    """How a step relates to the flow of data."""

    DOWN = 0  # along the flow
    UP = 1  # against it
    INTO_WHOLE = 2  # from a part to what holds it
    INTO_PART = 3  # from a whole to its parts
    SIDE = 4  # a reference


# Per kind: the step from start to end with its factor, then the one from end to start. Data weighs more downstream: a
# report on cards is about cards, while what it reads may serve many. A table is about its subject in all its columns,
# while one column with a telling name says less of its table.
_FLOWS: Mapping[EdgeKind, tuple[Way, float, Way, float]] = {
    EdgeKind.DERIVES: (Way.DOWN, 0.8, Way.UP, 0.5),
    EdgeKind.READS: (Way.UP, 0.5, Way.DOWN, 0.8),
    EdgeKind.WRITES: (Way.DOWN, 0.8, Way.UP, 0.6),
    EdgeKind.HAS: (Way.INTO_PART, 0.9, Way.INTO_WHOLE, 0.6),
    EdgeKind.REFERENCES: (Way.SIDE, 0.4, Way.SIDE, 0.4),
    EdgeKind.RUNS: (Way.SIDE, 0.7, Way.SIDE, 0.7),
}
_HOLDERS = frozenset({NodeKind.TABLE, NodeKind.VIEW})
"""Only what has columns passes tags to its parts: a database or folder holds things of every domain."""

# Where a way may go on, by what it did before: 6 states (free, down, up; each fresh or just come from a part).
_STATES, _JUST_ROSE = 6, 3
_BLOCKED = -1


@dataclass(frozen=True, slots=True)
class Carried:
    """A tag that an element got from another: its score, and the element that it started from."""

    score: float
    cause: str


def propagate(
    own: Mapping[str, Mapping[str, float]],
    edges: Iterable[Edge],
    kinds: Mapping[str, NodeKind],
    *,
    closed: Collection[str] = (),
    hops: int = HOPS,
    floor: float = FLOOR,
    most_domains: int = MOST_DOMAINS,
) -> dict[str, dict[str, Carried]]:
    """What every node gets from the others: only what is stronger than anything it has of its own.

    Args:
        own: scores by domain of the nodes that were tagged for themselves, 0 to 1.
        edges: any; kinds that carry nothing are passed over.
        kinds: of the nodes; edges to others are passed over.
        closed: nodes that take nothing (they were tagged by hand) but pass on what they have of their own.
        hops: steps that a tag is carried at most.
        floor: a weaker tag is neither kept nor carried on.
        most_domains: how many domains a node gets at most. Where more reach it, those go too that are hardly better
            than the first one left out: a script that loads five domains belongs to none rather than to three of them.

    Returns:
        Carried tags by node and domain. Time grows with the tagged neighbourhoods, not with domains times edges.
    """
    index = {node: position for position, node in enumerate(kinds)}
    names = list(index)
    steps = _adjacency(edges, kinds, index, closed)
    seeds: dict[str, list[tuple[int, float]]] = {}
    strength: dict[int, float] = {}
    for node, scores in sorted(own.items()):
        if node in index and scores:
            strength[index[node]] = max(scores.values())
            for domain, score in scores.items():
                seeds.setdefault(domain, []).append((index[node], score))
    got: dict[int, dict[str, Carried]] = {}
    for domain in sorted(seeds):
        for position, (score, cause) in _spread(seeds[domain], strength, steps, hops, floor).items():
            got.setdefault(position, {})[domain] = Carried(round(score, 6), names[cause])
    return {names[position]: _strongest(found, most_domains) for position, found in got.items()}


def _spread(
    seeds: list[tuple[int, float]],
    strength: Mapping[int, float],
    steps: list[list[tuple[int, Way, float]]],
    hops: int,
    floor: float,
) -> dict[int, tuple[float, int]]:
    """Nodes that one domain reaches, with score and origin; without those whose own strength is as good."""
    best: dict[int, float] = {position * _STATES: score for position, score in seeds}
    frontier = {position * _STATES: (score, position) for position, score in seeds if score >= floor}
    reached: dict[int, tuple[float, int]] = {}
    for _ in range(hops):
        following: dict[int, tuple[float, int]] = {}
        for place, (score, origin) in frontier.items():
            node, state = divmod(place, _STATES)
            for target, way, factor in steps[node]:
                carried = score * factor
                if carried < floor or carried <= strength.get(target, 0.0):
                    continue
                after = _NEXT[state][way]
                if after == _BLOCKED:
                    continue
                key = target * _STATES + after
                if carried > best.get(key, 0.0):
                    best[key] = carried
                    following[key] = (carried, origin)
                    if carried > reached.get(target, (0.0, 0))[0]:
                        reached[target] = (carried, origin)
        frontier = following
    return reached


def _adjacency(
    edges: Iterable[Edge], kinds: Mapping[str, NodeKind], index: Mapping[str, int], closed: Collection[str]
) -> list[list[tuple[int, Way, float]]]:
    """For every node the nodes that it passes tags to, how, and with which factor."""
    steps: list[list[tuple[int, Way, float]]] = [[] for _ in index]
    for edge in edges:
        flow = _FLOWS.get(edge.kind)
        start, end = index.get(edge.start), index.get(edge.end)
        if flow is None or start is None or end is None or start == end:
            continue
        if edge.kind is EdgeKind.HAS and not _carries(kinds[edge.start], kinds[edge.end]):
            continue
        along, factor_along, against, factor_against = flow
        sure = max(0.0, min(1.0, edge.provenance.confidence))
        if edge.end not in closed:
            steps[start].append((end, along, factor_along * sure))
        if edge.start not in closed:
            steps[end].append((start, against, factor_against * sure))
    return steps


def _carries(holder: NodeKind, part: NodeKind) -> bool:
    if part is NodeKind.COLUMN:
        return holder in _HOLDERS
    return holder is NodeKind.FILE and part is NodeKind.STATEMENT


def _transition(state: int, way: Way) -> int:
    flow, rose = state % _JUST_ROSE, state >= _JUST_ROSE
    if way is Way.INTO_PART:
        return _BLOCKED if rose else flow  # from one column to its sisters would tag a table by its weakest word
    if way is Way.INTO_WHOLE:
        return flow + _JUST_ROSE
    if way is Way.SIDE:
        return flow
    wanted = 1 if way is Way.DOWN else 2
    return wanted if flow in (0, wanted) else _BLOCKED


_NEXT = tuple(tuple(_transition(state, way) for way in Way) for state in range(_STATES))


def _strongest(found: dict[str, Carried], most: int) -> dict[str, Carried]:
    if len(found) <= most:
        return found
    ranked = sorted(found.items(), key=lambda each: (-each[1].score, each[0]))
    left_out = ranked[most][1].score
    return dict(each for each in ranked[:most] if each[1].score > left_out + ALIKE)


def agreed(start: Mapping[str, float], end: Mapping[str, float]) -> dict[str, float]:
    """What both ends of a relation say: the lower score of each domain that they share.

    >>> agreed({"cards": 0.9, "loans": 0.4}, {"cards": 0.7})
    {'cards': 0.7}
    """
    if len(end) < len(start):
        start, end = end, start
    return {domain: min(score, end[domain]) for domain, score in start.items() if domain in end}
