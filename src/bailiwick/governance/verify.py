"""Holds a trail against signed heads: every entry's text is hashed again, nothing that is stored is believed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bailiwick.governance.body import disagreeing_column
from bailiwick.governance.checkpoint import Head, is_signed_by
from bailiwick.governance.merkle import Frontier, leaf_hash

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_MOST_FINDINGS = 50


@dataclass(frozen=True, slots=True)
class SourcedHead:
    """A head and where it was found: ``database`` or the name of an anchor."""

    head: Head
    source: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What verifying found.

    Args:
        entries: in the tree now.
        waiting: entries not in the tree yet, so not protected yet.
        heads: signed heads that agree with the entries.
        anchored: size of the largest agreeing head that was found outside the database; entries beyond it could
            still be rewritten by whoever owns both the database and the key.
        findings: what is wrong, in words; empty when nothing is (at most 50, then a count).
    """

    entries: int
    waiting: int
    heads: int
    anchored: int
    findings: tuple[str, ...] = field(default=())

    @property
    def intact(self) -> bool:
        """Nothing is wrong."""
        return not self.findings


def verify_trail(
    entries: Iterable[Mapping[str, Any]],
    heads: Sequence[SourcedHead],
    keys: Sequence[Ed25519PublicKey],
    *,
    tree_size: int | None = None,
    waiting: int = 0,
) -> Verification:
    """Hash every entry again, and hold the roots against the heads.

    Args:
        entries: by position: ``position``, ``body``; where they come from a database also the columns that are held
            against the body, and ``leaf``, the hash that was stored, which tells an altered entry from a missing one.
        heads: from the database and from every anchor.
        keys: whose signature makes a head.
        tree_size: as the store says.
        waiting: entries not in the tree yet.
    """
    findings = _Findings()
    trusted: dict[int, list[SourcedHead]] = {}
    for sourced in heads:
        if any(is_signed_by(sourced.head, key) for key in keys):
            trusted.setdefault(sourced.head.size, []).append(sourced)
        else:
            findings.add(f"the head of {sourced.head.size} entries in {sourced.source} is not signed by a known key")
    tree = Frontier()
    agreeing = anchored = shift = 0
    disagreeing: Counter[str] = Counter()
    for row in entries:
        _check_entry(row, tree.size + shift, findings)
        if isinstance(row["position"], int):
            shift = row["position"] - tree.size  # what follows a gap is held against what stands before it
        tree.append(leaf_hash(str(row["body"]).encode()))
        for sourced in trusted.pop(tree.size, ()):
            if sourced.head.root == tree.root:
                agreeing += 1
                anchored = max(anchored, tree.size if sourced.source != "database" else 0)
                continue
            disagreeing[sourced.source] += 1
            if disagreeing[sourced.source] == 1:
                findings.add(
                    f"the first {tree.size} entries are not those that the head in {sourced.source} was signed over"
                )
    for source, count in disagreeing.items():
        if count > 1:
            findings.add(f"nor are those of {count - 1} later heads in {source}")
    _check_length(trusted, tree.size, findings)
    if tree_size is not None and tree_size != tree.size:
        findings.add(f"the tree was {tree_size} entries long, {tree.size} are left")
    return Verification(tree.size, waiting, agreeing, anchored, findings.told())


def _check_length(beyond: Mapping[int, Sequence[SourcedHead]], size: int, findings: _Findings) -> None:
    """Of each source the longest head that no entry reaches."""
    longest: dict[str, int] = {}
    for signed, heads in beyond.items():
        for sourced in heads:
            longest[sourced.source] = max(signed, longest.get(sourced.source, 0))
    for source, signed in sorted(longest.items()):
        if signed:
            findings.add(f"a head of {signed} entries stands in {source}, but only {size} are left")


def _check_entry(row: Mapping[str, Any], expected: int, findings: _Findings) -> None:
    position = row["position"]
    named = f"entry {row['sequence']}" if "sequence" in row else f"the entry at {position}"
    if position != expected:
        findings.add(f"{named} stands at {position}, where {expected} is expected: entries are missing or were added")
    if "leaf" in row and (row["leaf"] is None or bytes(row["leaf"]) != leaf_hash(str(row["body"]).encode())):
        findings.add(f"{named} is not the text that was recorded")
    if "actor" in row:
        column = disagreeing_column(row["body"], row)
        if column is not None:
            findings.add(f"the column {column!r} of {named} is not what was recorded")


class _Findings:
    """The first findings, and how many more there are."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._more = 0

    def add(self, words: str) -> None:
        if len(self._told) < _MOST_FINDINGS:
            self._told.append(words)
        else:
            self._more += 1

    def told(self) -> tuple[str, ...]:
        return (*self._told, f"and {self._more} more") if self._more else tuple(self._told)
