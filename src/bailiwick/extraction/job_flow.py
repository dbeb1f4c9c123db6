"""Which job precedes which, derived from the conditions of all files together.

A job that raises a condition precedes every job that awaits it on the same order date. Clearing a condition is
clean-up, never a dependency. A condition awaited by a folder gates every job inside; one that a folder raises comes
when the folder has ended, so from the jobs inside that nothing inside follows. A condition of another day (``PREV``)
gives an edge with the role ``other_day``, so that the edges with an empty role are the flow of one day.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, edge_id

OTHER_DAY: Final = "other_day"
FORCES: Final = "forces"
_DAY = {"ODAT": 0, "PREV": -1, "NEXT": 1}
_ANY_DAY = {"STAT", "****", "$$$$", "ANY"}
_MAX_PAIRS = 250_000
_PARSER = "job-flow"
_WORD = re.compile(r"[\w./\\-]+")


@dataclass(frozen=True, slots=True)
class _Use:
    """A condition, used by a job or by the folder that the job is in."""

    job: str
    folder: str | None
    odate: str
    edge: Edge


def precedence(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[Edge]:
    """The PRECEDES edges between jobs.

    Each carries ``conditions`` (names), ``crosses_folders`` and, where every condition is joined by OR, ``optional``.
    A condition with more than 250,000 pairs of jobs gives none: it is a broadcast, not an order.

    Args:
        nodes: jobs, folders and conditions of all files.
        edges: their HAS, RAISES and AWAITS edges.
    """
    flow = _Flow(nodes, edges)
    pairs: dict[tuple[str, str, str], list[tuple[str, Edge, Edge]]] = defaultdict(list)
    raised = flow.uses(EdgeKind.RAISES)
    awaited = flow.uses(EdgeKind.AWAITS)
    # folders raise when they have ended: their last jobs are known once the order inside them is
    for with_folders in (False, True):
        inner = {(start, end) for start, end, role in pairs if role == ""}
        for condition, consumers in awaited.items():
            producers = flow.producers(raised.get(condition, ()), inner if with_folders else None)
            if len(producers) * len(consumers) > _MAX_PAIRS:
                continue
            for producer in producers:
                for consumer in consumers:
                    role = _role(producer.odate, consumer.odate)
                    if role is None or producer.job == consumer.job or _inside_own_gate(producer, consumer, flow):
                        continue
                    pairs[producer.job, consumer.job, role].append((condition, producer.edge, consumer.edge))
    found = [_edge(flow, *pair, uses) for pair, uses in pairs.items()]
    known = {(edge.start, edge.end) for edge in found if edge.role == ""}
    return found + [edge for edge in flow.forced() if (edge.start, edge.end) not in known]


def awaited_in_vain(edges: Iterable[Edge]) -> set[str]:
    """Ids of the conditions that something awaits and nothing in the estate raises."""
    raised, awaited = set(), set()
    for edge in edges:
        if edge.kind is EdgeKind.RAISES:
            raised.add(edge.end)
        elif edge.kind is EdgeKind.AWAITS:
            awaited.add(edge.end)
    return awaited - raised


def runs(jobs: Iterable[Node], files: Mapping[str, str]) -> list[Edge]:
    """RUNS edges from jobs to the files of the estate that their command line, member or path names.

    A name that several files share is settled by the longest common end of the path; a tie gives no edge.

    Args:
        jobs: nodes of kind job.
        files: file name, as the run names it, to its node id.
    """
    by_name: dict[str, list[str]] = defaultdict(list)
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in files:
        by_name[PurePosixPath(name).name.lower()].append(name)
        by_stem[PurePosixPath(name).stem.lower()].append(name)
    found: dict[str, Edge] = {}
    for job in jobs:
        words = {word.replace("\\", "/") for word in _WORD.findall(str(job.properties.get("command", "")))}
        words |= {str(job.properties[key]) for key in ("file_path", "member") if job.properties.get(key)}
        targets = {found_name: 0.95 for word in words if (found_name := _same_file(word, by_name))}
        member = str(job.properties.get("member", "")).lower()
        stems = [name for name in by_stem.get(member, ()) if name != job.provenance.file]
        if member and len(stems) == 1:
            targets.setdefault(stems[0], 0.8)
        for name, confidence in sorted(targets.items()):
            identifier = edge_id(EdgeKind.RUNS, job.id, files[name])
            provenance = Provenance(job.provenance.file, job.provenance.line, _PARSER, "", confidence)
            found[identifier] = Edge(identifier, EdgeKind.RUNS, job.id, files[name], "", provenance)
    return list(found.values())


def _same_file(word: str, by_name: Mapping[str, list[str]]) -> str | None:
    parts = [part for part in word.lower().split("/") if part]
    candidates = by_name.get(parts[-1], []) if parts else []

    def common(name: str) -> int:
        mine = name.lower().split("/")
        return next((i for i, (a, b) in enumerate(zip(reversed(mine), reversed(parts), strict=False)) if a != b), 99)

    best = max(map(common, candidates), default=0)
    winners = [name for name in candidates if common(name) == best]
    return winners[0] if len(winners) == 1 else None


class _Flow:
    """Jobs, the folders that they are in, and what each uses."""

    def __init__(self, nodes: Sequence[Node], edges: Sequence[Edge]) -> None:
        self.nodes = {node.id: node for node in nodes}
        self._parent = {e.end: e.start for e in edges if e.kind is EdgeKind.HAS and e.end in self.nodes}
        self._edges = edges
        self._inside: dict[str, list[str]] = defaultdict(list)
        for node in self.nodes.values():
            if node.kind is NodeKind.JOB:
                for folder in self.folders(node.id):
                    self._inside[folder].append(node.id)

    def folders(self, job: str) -> list[str]:
        """The folders around a job, innermost first."""
        around: list[str] = []
        parent = self._parent.get(job)
        while parent is not None and parent not in around:
            around.append(parent)
            parent = self._parent.get(parent)
        return around

    def top_folder(self, job: str) -> str:
        """Name of the outermost folder. A folder and a smart folder of one name are one place to their users."""
        around = [folder for folder in self.folders(job) if folder in self.nodes]
        return self.nodes[around[-1]].name if around else ""

    def uses(self, kind: EdgeKind) -> dict[str, list[_Use]]:
        """Condition id to the jobs that use it, through their folder too."""
        found: dict[str, list[_Use]] = defaultdict(list)
        for edge in self._edges:
            if edge.kind is not kind or edge.start not in self.nodes:
                continue
            odate = str(edge.properties.get("odate", "ODAT"))
            if self.nodes[edge.start].kind is NodeKind.JOB:
                found[edge.end].append(_Use(edge.start, None, odate, edge))
            else:
                found[edge.end] += [_Use(job, edge.start, odate, edge) for job in self._inside[edge.start]]
        return found

    def producers(self, uses: Iterable[_Use], inner: set[tuple[str, str]] | None) -> list[_Use]:
        """Jobs that raise; with ``inner`` (the order found so far) the last jobs of folders that raise instead."""
        if inner is None:
            return [use for use in uses if use.folder is None]
        through_folder = [use for use in uses if use.folder is not None]
        if not through_folder:
            return []
        follows: dict[str, set[str]] = defaultdict(set)
        for start, end in inner:
            follows[start].add(end)
        return [use for use in through_folder if not follows[use.job] & set(self._inside[str(use.folder)])]

    def forced(self) -> Iterable[Edge]:
        """PRECEDES edges of "force job" actions, where the forced job is in the estate."""
        by_place: dict[tuple[str, str], list[str]] = defaultdict(list)
        for job in (node for node in self.nodes.values() if node.kind is NodeKind.JOB):
            for folder in self.folders(job.id):
                by_place[self.nodes[folder].name if folder in self.nodes else "", job.name].append(job.id)
        for node in self.nodes.values():
            for force in node.properties.get("forces", ()):
                folder = force["folder"] or self.top_folder(node.id)
                for target in by_place.get((folder, force["job"]), ()):
                    if target != node.id and node.kind is NodeKind.JOB:
                        yield _precedes(self, node.id, target, FORCES, node.provenance, {})


def _role(raised: str, awaited: str) -> str | None:
    """Empty for one day, `OTHER_DAY` for a later one, None where the two can never meet."""
    if raised in _ANY_DAY or awaited in _ANY_DAY or raised == awaited:
        return ""
    if raised not in _DAY or awaited not in _DAY:
        return OTHER_DAY
    return OTHER_DAY if _DAY[raised] - _DAY[awaited] > 0 else None


def _inside_own_gate(producer: _Use, consumer: _Use, flow: _Flow) -> bool:
    """A job cannot open the gate of the folder that it waits in itself."""
    return consumer.folder is not None and consumer.folder in flow.folders(producer.job)


def _edge(flow: _Flow, start: str, end: str, role: str, uses: Sequence[tuple[str, Edge, Edge]]) -> Edge:
    properties: dict[str, Any] = {
        "conditions": sorted({flow.nodes[condition].name for condition, _, _ in uses if condition in flow.nodes})
    }
    if all(awaits.properties.get("logic") == "or" for _, _, awaits in uses):
        properties["optional"] = True
    if all("on" in raises.properties for _, raises, _ in uses):
        properties["on"] = sorted({str(raises.properties["on"]) for _, raises, _ in uses})
    return _precedes(flow, start, end, role, uses[0][2].provenance, properties)


def _precedes(flow: _Flow, start: str, end: str, role: str, seen: Provenance, properties: Mapping[str, Any]) -> Edge:
    crosses = flow.top_folder(start) != flow.top_folder(end)
    return Edge(
        edge_id(EdgeKind.PRECEDES, start, end, role),
        EdgeKind.PRECEDES,
        start,
        end,
        "",
        Provenance(seen.file, seen.line, _PARSER, ""),
        role,
        {**properties, "crosses_folders": crosses},
    )
