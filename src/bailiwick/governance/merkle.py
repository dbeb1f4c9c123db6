"""The append-only tree of RFC 6962: roots, inclusion and consistency proofs, and their verification.

Complete subtrees are addressed as nodes ``(level, index)``: node ``(0, i)`` is the hash of leaf ``i``, node ``(l, i)``
covers the leaves ``i * 2**l`` to ``(i + 1) * 2**l - 1`` and never changes once it is complete. So a log stores each
node once, and any root or proof of any size reads O(log n) of them.

Source: RFC 6962, section 2.1 (trees and proofs); RFC 9162, sections 2.1.3.2 and 2.1.4.2 (verification).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

Node = Callable[[int, int], bytes]
"""Gives the hash of the complete subtree ``(level, index)``."""

EMPTY_ROOT = hashlib.sha256().digest()


def leaf_hash(body: bytes) -> bytes:
    """The hash of an entry's exact bytes, 32 bytes."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees, 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """What appending needs of a tree: its size, and the roots of its complete subtrees, the largest first.

    Args:
        size: leaves so far.
        node: gives the complete subtrees of a tree of that size; not needed for an empty one.

    >>> tree = Frontier()
    >>> tree.append(leaf_hash(b"")) == [(0, 0, leaf_hash(b""))]
    True
    >>> tree.root.hex()[:16]
    '6e340b9cffb37a98'
    """

    def __init__(self, size: int = 0, node: Node | None = None) -> None:
        self.size = size
        self._roots = [] if node is None else [node(level, index) for level, index in complete_subtrees(size)]

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf's hash; returns the nodes that are now complete, as ``(level, index, hash)``."""
        level, index, current = 0, self.size, leaf
        completed = [(level, index, current)]
        while index % 2:
            current = node_hash(self._roots.pop(), current)
            level, index = level + 1, index // 2
            completed.append((level, index, current))
        self._roots.append(current)
        self.size += 1
        return completed

    @property
    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._roots:
            return EMPTY_ROOT
        current = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            current = node_hash(left, current)
        return current


def complete_subtrees(size: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees that a tree of this size consists of, as ``(level, index)``, the largest first.

    >>> list(complete_subtrees(6))
    [(2, 0), (1, 2)]
    """
    begin = 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            yield level, begin >> level
            begin += 1 << level


def root_of(bodies: Iterable[bytes]) -> bytes:
    """The root over entries given one by one."""
    tree = Frontier()
    for body in bodies:
        tree.append(leaf_hash(body))
    return tree.root


def inclusion_proof(position: int, size: int, node: Node) -> list[bytes]:
    """The path that proves leaf ``position`` to be in the tree of the first ``size`` leaves.

    Raises:
        ValueError: there is no such leaf in a tree of that size.
    """
    if not 0 <= position < size:
        raise ValueError(f"a tree of {size} has no leaf {position}")
    return _path(position, 0, size, node)


def consistency_proof(first: int, second: int, node: Node) -> list[bytes]:
    """The nodes that prove the tree of ``first`` leaves to be the beginning of the tree of ``second``.

    Raises:
        ValueError: not ``0 < first <= second``.
    """
    if not 0 < first <= second:
        raise ValueError(f"no proof from a tree of {first} to one of {second}")
    return _subproof(first, 0, second, node, whole=True)


def verify_inclusion(leaf: bytes, position: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether a path proves that the leaf of this hash stands at ``position`` under ``root``."""
    if not 0 <= position < size:
        return False
    index, last, current = position, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if index % 2 or index == last:
            current = node_hash(sibling, current)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            current = node_hash(current, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and current == root


def verify_consistency(first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that the tree under ``first_root`` is the beginning of the one under ``second_root``."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    nodes = list(proof) if first & (first - 1) else [first_root, *proof]
    if not nodes:
        return False
    index, last = first - 1, second - 1
    while index % 2:
        index, last = index >> 1, last >> 1
    older = newer = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            return False
        if index % 2 or index == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            newer = node_hash(newer, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and older == first_root and newer == second_root


def _range_root(begin: int, end: int, node: Node) -> bytes:
    width = end - begin
    if width & (width - 1) == 0:  # a power of two, and RFC 6962 splits so that it is aligned
        level = width.bit_length() - 1
        return node(level, begin >> level)
    split = begin + _largest_power_below(width)
    return node_hash(_range_root(begin, split, node), _range_root(split, end, node))


def _path(position: int, begin: int, end: int, node: Node) -> list[bytes]:
    if end - begin == 1:
        return []
    split = begin + _largest_power_below(end - begin)
    if position < split:
        return [*_path(position, begin, split, node), _range_root(split, end, node)]
    return [*_path(position, split, end, node), _range_root(begin, split, node)]


def _subproof(first: int, begin: int, end: int, node: Node, *, whole: bool) -> list[bytes]:
    """``first`` is counted from the start of the tree, unlike in the RFC."""
    if first == end:
        return [] if whole else [_range_root(begin, end, node)]
    split = begin + _largest_power_below(end - begin)
    if first <= split:
        return [*_subproof(first, begin, split, node, whole=whole), _range_root(split, end, node)]
    return [*_subproof(first, split, end, node, whole=False), _range_root(begin, split, node)]


def _largest_power_below(number: int) -> int:
    return 1 << ((number - 1).bit_length() - 1)
