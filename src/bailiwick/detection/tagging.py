"""From the detections of assets to the tags of a run, and the summary of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bailiwick.detection.model import LINEAGE, MANUAL, Detection, DomainSummary
from bailiwick.detection.propagate import agreed, propagate
from bailiwick.graph.model import Edge, Node, NodeKind, Tag

ASSET_THRESHOLD = 0.5
"""Score that an asset's tag needs unless another is asked for: a wrong tag would spread along lineage."""

_SHOWN = 3
_PLACE = {NodeKind.TABLE: 0, NodeKind.VIEW: 1, NodeKind.JOB: 2, NodeKind.COLUMN: 3}  # what people know by name


def tags_of_run(
    nodes: Mapping[str, Node],
    edges: Sequence[Edge],
    detections: Mapping[str, Detection],
    manual: Sequence[Tag],
    agents: Mapping[str, str],
    run: str,
) -> list[Tag]:
    """Every tag that a run sets: detected, carried, and of relations whose ends agree.

    An element with a manual tag gets no other tag, and passes the manual one on.

    Args:
        nodes: all, by id.
        edges: all.
        detections: of the nodes that have something to read, by id.
        manual: the tags that people set.
        agents: the agent of each domain that may be tagged.
        run: the run's identifier.
    """
    by_hand: dict[str, dict[str, float]] = {}
    for tag in manual:
        by_hand.setdefault(tag.element_id, {})[tag.domain] = tag.score
    own: dict[str, dict[str, float]] = {}
    for node, found in detections.items():
        if found.domain is not None and found.domain in agents and node not in by_hand:
            own[node] = {found.domain: found.score}
    fixed = {node: scores for node, scores in by_hand.items() if node in nodes}
    known = {node: {d: s for d, s in scores.items() if d in agents} for node, scores in fixed.items()}
    kinds = {node.id: node.kind for node in nodes.values()}
    carried = propagate({**own, **known}, edges, kinds, closed=fixed.keys())
    scores: dict[str, dict[str, float]] = {node: dict(found) for node, found in known.items()}
    tags: list[Tag] = []
    for node in nodes:
        got = carried.get(node, {})
        for domain, score in own.get(node, {}).items():
            if domain not in got:
                tags.append(Tag(node, domain, agents[domain], score, detections[node].method, run))
        tags.extend(
            Tag(node, domain, agents[domain], one.score, LINEAGE, run, one.cause) for domain, one in got.items()
        )
        if node not in fixed and (node in own or got):
            scores[node] = own.get(node, {}) | {domain: one.score for domain, one in got.items()}
    for edge in edges:
        if edge.id not in by_hand:
            start, end = scores.get(edge.start, {}), scores.get(edge.end, {})
            for domain, score in agreed(start, end).items():
                cause = edge.start if start[domain] <= end[domain] else edge.end
                tags.append(Tag(edge.id, domain, agents[domain], score, LINEAGE, run, cause))
    return tags


def summarise(nodes: Mapping[str, Node], edges: Sequence[Edge], tags: Sequence[Tag]) -> tuple[DomainSummary, ...]:
    """What belongs to each domain, most elements first; what carries several tags counts for the best one.

    The names shown are those that people know: tables first, best scores first, statements never.
    """
    relations = {edge.id for edge in edges}
    best: dict[str, Tag] = {}
    for tag in sorted(tags, key=lambda tag: (-tag.score, tag.method == LINEAGE, tag.domain)):
        if tag.element_id in nodes or tag.element_id in relations:
            best.setdefault(tag.element_id, tag)
    found: dict[str, list[Tag]] = {}
    for tag in best.values():
        found.setdefault(tag.domain, []).append(tag)
    summaries = [
        DomainSummary(
            domain=domain,
            by_kind=dict(sorted(Counter(_kind(nodes, tag.element_id) for tag in own).items())),
            by_method=dict(sorted(Counter(tag.method for tag in own).items())),
            examples=_known_by_name(nodes, own),
        )
        for domain, own in found.items()
    ]
    return tuple(sorted(summaries, key=lambda each: (-sum(each.by_kind.values()), each.domain)))


def _kind(nodes: Mapping[str, Node], element: str) -> str:
    return str(nodes[element].kind) if element in nodes else "relation"


def _known_by_name(nodes: Mapping[str, Node], tags: Sequence[Tag]) -> tuple[str, ...]:
    named = [tag for tag in tags if tag.element_id in nodes and nodes[tag.element_id].kind in _PLACE]
    named.sort(key=lambda tag: (_PLACE[nodes[tag.element_id].kind], -tag.score, tag.method == LINEAGE))
    return tuple(nodes[tag.element_id].qualified_name for tag in named[:_SHOWN])


def is_manual(tag: Tag) -> bool:
    """Whether a person set it."""
    return tag.method == MANUAL
