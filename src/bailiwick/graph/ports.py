"""What every graph store must do. One contract suite runs over every adapter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Tag

Direction = Literal["out", "in", "both"]


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
    """A store of nodes, edges and tags. Writes are atomic per call; ids that do not exist are skipped by reads."""

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

        Elements with the same content are not written. An element that another source owns with a higher or equal
        confidence keeps its content, and is remembered as seen by this source too. Elements of the source that are
        not given are tombstoned only when ``complete`` is true, no other source sees them, and they are at most
        ``max_removed_fraction`` of what the source had; else they stay and are counted in ``held_back``.
        A tombstoned element that is given again comes back to life. Edges whose ends do not exist are refused.

        Raises:
            InvalidInput: an edge names a node that is neither given nor stored; nothing is written.
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
        """What is reached from these nodes in at most ``depth`` (1 to 3) steps, the nodes themselves included.

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

    def set_manual_tag(self, tag: Tag) -> None:
        """Set or overwrite one manual tag.

        Raises:
            NotFound: no living element has that id.
            InvalidInput: the method is not ``manual``.
        """
        ...

    def remove_manual_tag(self, element_id: str, domain: str) -> None:
        """Remove a manual tag; nothing happens when there is none."""
        ...

    def tags(self, element_ids: Sequence[str] | None = None, *, domain: str | None = None) -> Sequence[Tag]:
        """Tags of these elements (default: of all), best score first."""
        ...

    def stats(self) -> GraphStats:
        """Counts of what is alive."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...
