"""What every graph store must do. One contract suite runs over every adapter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bailiwick.errors import InvalidInput
from bailiwick.governance.audit import Actor
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Tag

Direction = Literal["out", "in", "both"]
MANUAL = "manual"
MAX_DEPTH = 3
SYSTEM = Actor("system")


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync changed, in elements. ``held_back`` counts removals that the fail-safe refused."""

    added: int
    changed: int
    unchanged: int
    tombstoned: int
    held_back: int = 0


@dataclass(frozen=True, slots=True)
class Subgraph:
    """Some nodes, and the edges among them."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]


@dataclass(frozen=True, slots=True)
class GraphStats:
    """How much of each kind is stored and alive, and how many elements each domain tags."""

    nodes: Mapping[str, int]
    edges: Mapping[str, int]
    domains: Mapping[str, int]


class GraphStore(Protocol):
    """A store of nodes, edges and tags. Writes are atomic per call; ids that do not exist are skipped by reads.

    Every edge that a read gives has two living ends: when a node is tombstoned, its edges go with it.
    """

    def sync_source(
        self,
        source: str,
        nodes: Iterable[Node],
        edges: Iterable[Edge],
        *,
        complete: bool,
        max_removed_fraction: float = 0.5,
    ) -> SyncReport:
        """Make the elements of a source be these.

        Elements with the same content (the run aside) are not written. An element that another source owns with a
        higher or equal confidence keeps its content, and is remembered as seen by this source too. Elements of the
        source that are not given, and that no given edge ends in, are removed only when ``complete`` is true and they
        are at most ``max_removed_fraction`` of what the source had; else they stay and are counted in ``held_back``.
        Removed means: owned by the surest other source that sees it, or tombstoned when there is none. Tombstoning a
        node tombstones its edges. A tombstoned element that is given again comes back to life, counted as added.

        Args:
            source: owns what is given, whatever the elements themselves name as their source.
            nodes: of elements with one id the one with the highest confidence counts, among equals the first.
            edges: likewise.
            complete: the source was read to its end; what is not given is gone.
            max_removed_fraction: 0 to 1; 1.0 believes every removal.

        Raises:
            InvalidInput: an edge names a node that is neither given nor stored, or an element holds what cannot be
                stored (properties that are not JSON, NUL in a name); nothing is written.
        """
        ...

    def get(self, ids: Sequence[str]) -> Sequence[Node]:
        """The living nodes with these ids, in any order."""
        ...

    def find(
        self,
        *,
        kind: NodeKind | None = None,
        text: str | None = None,
        domain: str | None = None,
        source: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Sequence[Node]:
        """Living nodes, by qualified name. ``text`` matches any part of the qualified name, case-insensitively."""
        ...

    def neighbours(
        self,
        ids: Sequence[str],
        *,
        depth: int = 1,
        direction: Direction = "both",
        kinds: Sequence[EdgeKind] = (),
        domain: str | None = None,
        limit: int = 10_000,
    ) -> Subgraph:
        """What is reached from these nodes in at most ``depth`` (1 to 3) steps, and the edges walked on the way.

        Args:
            ids: where to start; those that live are part of the answer.
            depth: steps.
            direction: ``out`` follows edges from start to end, ``in`` from end to start.
            kinds: walk only these (default: all).
            domain: enter only nodes tagged with it.
            limit: of nodes, the nearest first.

        Raises:
            InvalidInput: depth outside 1 to 3.
        """
        ...

    def subgraph(self, domain: str, *, min_score: float = 0.0) -> Subgraph:
        """The nodes tagged with a domain, and the edges with both ends among them."""
        ...

    def nodes(self, *, kinds: Sequence[NodeKind] = ()) -> Iterator[Node]:
        """Every living node, streamed."""
        ...

    def edges(self, *, kinds: Sequence[EdgeKind] = ()) -> Iterator[Edge]:
        """Every living edge, streamed."""
        ...

    def set_tags(self, tags: Iterable[Tag]) -> None:
        """Replace every tag whose method is not ``manual`` by these; manual tags are left alone."""
        ...

    def set_manual_tag(self, tag: Tag, *, actor: Actor = SYSTEM) -> None:
        """Set or overwrite one manual tag, and record who did it in the audit trail.

        Raises:
            NotFound: no living element has that id.
            InvalidInput: the method is not ``manual``.
        """
        ...

    def remove_manual_tag(self, element_id: str, domain: str, *, actor: Actor = SYSTEM) -> None:
        """Remove a manual tag, and record who did it; nothing happens when there is none."""
        ...

    def tags(self, element_ids: Sequence[str] | None = None, *, domain: str | None = None) -> Sequence[Tag]:
        """Tags of these living elements (default: of all), best score first."""
        ...

    def stats(self) -> GraphStats:
        """Counts of what is alive."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


def check_depth(depth: int) -> None:
    """Refuse a depth that no store walks.

    Raises:
        InvalidInput: depth outside 1 to 3.
    """
    if not 1 <= depth <= MAX_DEPTH:
        raise InvalidInput(f"cannot walk {depth!r} steps", what="depth", requested=depth, allowed="1 to 3")


def check_manual(tag: Tag) -> None:
    """Refuse a tag that nobody set by hand.

    Raises:
        InvalidInput: its method is not ``manual``, or its score is outside 0 to 1.
    """
    if tag.method != MANUAL:
        raise InvalidInput(f"the method {tag.method!r} is not 'manual'", what="method", allowed=MANUAL)
    if not 0 <= tag.score <= 1:
        raise InvalidInput(f"the score {tag.score!r} is out of bounds", what="score", allowed="0 to 1")
