"""Makes the audit trail tamper-evident: puts entries into the tree, signs heads, anchors them, proves and verifies.

Entries are recorded in the transactions of their changes, many at a time; one integrator at a time then gives them
their places in the tree (the way of certificate transparency logs): only committed rows have an order that stays.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError

from bailiwick.clock import Clock
from bailiwick.errors import Conflict, InvalidInput, NotFound, Unavailable
from bailiwick.governance import tree_store
from bailiwick.governance.anchors import Anchor
from bailiwick.governance.checkpoint import Head, parse, sign, verifier_key
from bailiwick.governance.export import export_lines
from bailiwick.governance.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash
from bailiwick.governance.proof import ConsistencyProof, InclusionProof
from bailiwick.governance.verify import SourcedHead, Verification, verify_trail
from bailiwick.storage.database import Database

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_log = logging.getLogger(__name__)
_BATCH = 5_000


class TransparencyLog:
    """The tree over the audit trail.

    Args:
        origin: the log's name in its heads.
        load_key: gives the private key; called when it is first needed.
        anchors: where heads are kept besides the database.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        origin: str,
        load_key: Callable[[], Ed25519PrivateKey],
        anchors: Sequence[Anchor],
    ) -> None:
        self._database = database
        self._clock = clock
        self._origin = origin
        self._load_key = load_key
        self._anchors = anchors

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        return self._load_key()

    @property
    def verifier_key(self) -> str:
        """The public key, as a line to hand to whoever verifies."""
        return verifier_key(self._origin, self._key.public_key())

    def integrate(self) -> int:
        """Give every committed entry its place in the tree; returns how many were new.

        Raises:
            Conflict: the tree is damaged; verifying says more.
        """
        added = 0
        while True:
            try:
                batch = self._integrate_batch()
            except (LookupError, IntegrityError) as error:
                raise _damaged(error) from error
            added += batch
            if batch < _BATCH:
                return added

    def integrated_size(self) -> int:
        """How many entries the tree has, once everything committed has its place.

        Raises:
            Conflict: as `integrate`.
        """
        self.integrate()
        with self._database.read() as connection:
            return tree_store.size(connection)

    def _integrate_batch(self) -> int:
        with self._database.read() as connection:
            if not tree_store.waiting(connection, 1):
                return 0
        with self._database.write() as connection:
            size = tree_store.lock(self._database, connection)
            rows = tree_store.waiting(connection, _BATCH)
            tree = Frontier(size, tree_store.nodes_of(connection))
            nodes = [node for row in rows for node in tree.append(leaf_hash(row.body.encode()))]
            if rows:
                positions = [(row.sequence, size + place) for place, row in enumerate(rows)]
                tree_store.extend(connection, positions, nodes, tree.size)
        return len(rows)

    def head(self) -> Head:
        """The newest signed head, over everything that was committed when this was called."""
        self.integrate()
        with self._database.read() as connection:
            size = tree_store.size(connection)
            note = tree_store.newest_head(connection)
            newest = parse(note) if note else None
            if newest is not None and newest.size == size:
                return newest
            root = Frontier(size, tree_store.nodes_of(connection)).root
        made = sign(self._origin, size, root, self._key)
        with self._database.write() as connection:
            tree_store.add_head(self._database, connection, size, made.note, self._clock.now())
        return made

    def publish(self) -> tuple[Head, tuple[str, ...]]:
        """Sign a head over what is new and give it to every anchor that lacks it.

        Returns:
            The head, and why an anchor did not take it; it is offered again next time.
        """
        head = self.head()
        with self._database.read() as connection:
            taken = tree_store.anchored(connection)
        problems: list[str] = []
        for anchor in self._anchors:
            if taken.get(anchor.name, -1) >= head.size:
                continue
            try:
                anchor.publish(head)
            except Unavailable as error:
                _log.warning("the audit head is not anchored: %s", error)
                problems.append(str(error))
                continue
            with self._database.write() as connection:
                tree_store.mark_anchored(self._database, connection, anchor.name, head.size, self._clock.now())
        return head, tuple(problems)

    def prove(self, sequence: int) -> InclusionProof:
        """Prove that an entry is in the tree of the newest head.

        Raises:
            NotFound: there is no entry of that number.
            Conflict: nodes of the tree are missing; verifying says more.
        """
        head = self.head()
        with self._database.read() as connection:
            found = tree_store.position_of(connection, sequence)
            if found is None or found.position is None or found.position >= head.size:
                raise NotFound(f"there is no audit entry {sequence}", what="sequence", requested=sequence)
            path = self._path(
                lambda: inclusion_proof(found.position, head.size, tree_store.nodes_of(connection)),
            )
        return InclusionProof(sequence, found.position, found.body, path, head.note)

    def prove_consistency(self, first: int) -> ConsistencyProof:
        """Prove that the tree of ``first`` entries is the beginning of the newest head's.

        Raises:
            InvalidInput: the tree has not so many entries.
            Conflict: nodes of the tree are missing.
        """
        head = self.head()
        if not 0 < first <= head.size:
            raise InvalidInput(
                f"the tree has {head.size} entries", what="first", requested=first, allowed=f"1 to {head.size}"
            )
        with self._database.read() as connection:
            path = self._path(lambda: consistency_proof(first, head.size, tree_store.nodes_of(connection)))
        return ConsistencyProof(first, head.size, path, head.note)

    def verify(
        self, more_heads: Sequence[SourcedHead] = (), keys: Sequence[Ed25519PublicKey] | None = None
    ) -> Verification:
        """Hash every entry again and hold the tree against every head in the database and in the anchors.

        Args:
            more_heads: kept elsewhere, such as by a server that heads are posted to.
            keys: whose signatures count; default: this installation's key.
        """
        findings: list[str] = []
        try:
            self.integrate()
        except Conflict as error:
            findings.append(error.message)
        trusted = [self._key.public_key()] if keys is None else list(keys)
        outside = [SourcedHead(head, anchor.name) for anchor in self._anchors for head in anchor.heads()]
        with self._database.read() as connection:
            inside = [SourcedHead(parse(note), "database") for note in tree_store.heads(connection)]
            found = verify_trail(
                tree_store.in_order(connection),
                [*inside, *outside, *more_heads],
                trusted,
                tree_size=tree_store.size(connection),
                waiting=tree_store.count_waiting(connection),
            )
            taken = tree_store.anchored(connection)
        return replace(found, findings=(*findings, *found.findings, *self._emptied(taken, outside)))

    def _emptied(self, taken: Mapping[str, int], outside: Sequence[SourcedHead]) -> Iterator[str]:
        """Anchors that are known to have taken a head and no longer show it."""
        for anchor in self._anchors:
            if not anchor.readable:
                continue
            largest = max((kept.head.size for kept in outside if kept.source == anchor.name), default=-1)
            if largest < taken.get(anchor.name, -1):
                yield f"{anchor.name} took a head of {taken[anchor.name]} entries and no longer shows it"

    def export(self) -> Iterator[str]:
        """The lines of a file that can be verified without this database; see `export.read_export`."""
        head = self.head()
        with self._database.read() as connection:
            notes = [note for note in tree_store.heads(connection) if parse(note).size <= head.size]
            rows = (row for row in tree_store.in_order(connection) if row["position"] < head.size)
            yield from export_lines(self.verifier_key, notes, rows)

    def _path(self, make: Callable[[], Sequence[bytes]]) -> tuple[str, ...]:
        try:
            return tuple(base64.b64encode(node).decode() for node in make())
        except LookupError as error:
            raise _damaged(error) from error


def _damaged(error: Exception) -> Conflict:
    told = str(error).splitlines()[0]
    return Conflict(f"the audit tree is damaged: {told}", what="audit_node", remedy="run `bailiwick audit verify`")
