"""The tree of RFC 6962: the reference roots of the certificate-transparency project, and all small sizes."""

from __future__ import annotations

import pytest

from bailiwick.governance.merkle import (
    EMPTY_ROOT,
    Frontier,
    complete_subtrees,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# github.com/google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc
LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZE = 40


class Grown:
    """A tree with every node it ever completed, and every root it had."""

    def __init__(self, size: int) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.roots = [EMPTY_ROOT]
        tree = Frontier()
        for number in range(size):
            for level, index, value in tree.append(leaf_hash(bytes([number]))):
                self.nodes[level, index] = value
            self.roots.append(tree.root)

    def node(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]


@pytest.fixture(scope="module")
def grown() -> Grown:
    return Grown(SIZE)


def test_root__reference_leaves__the_published_roots() -> None:
    assert [root_of(LEAVES[: size + 1]).hex() for size in range(8)] == ROOTS
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_frontier__taken_up_from_stored_nodes__goes_on_with_the_same_roots(grown: Grown) -> None:
    for size in range(SIZE):
        tree = Frontier(size, grown.node)
        assert tree.root == grown.roots[size]
        tree.append(leaf_hash(bytes([size])))
        assert tree.root == grown.roots[size + 1]


def test_complete_subtrees__every_size__cover_the_leaves_once() -> None:
    for size in range(SIZE):
        covered = [
            leaf for level, index in complete_subtrees(size) for leaf in range(index << level, (index + 1) << level)
        ]
        assert covered == list(range(size))


def test_inclusion__every_leaf_of_every_size__proved_and_no_other(grown: Grown) -> None:
    for size in range(1, SIZE + 1):
        for position in range(size):
            path = inclusion_proof(position, size, grown.node)
            leaf = leaf_hash(bytes([position]))
            assert verify_inclusion(leaf, position, size, path, grown.roots[size])
            assert not verify_inclusion(leaf_hash(b"other"), position, size, path, grown.roots[size])
            assert not verify_inclusion(leaf, position, size, [*path, leaf], grown.roots[size])
            assert not verify_inclusion(leaf, position, size, path, grown.roots[size - 1])
            if path:
                assert not verify_inclusion(leaf, position, size, path[:-1], grown.roots[size])
                assert not verify_inclusion(leaf, position, size, [leaf_hash(path[0]), *path[1:]], grown.roots[size])
                assert not verify_inclusion(leaf, (position + 1) % size, size, path, grown.roots[size])
    assert not verify_inclusion(leaf_hash(b""), 3, 3, [], grown.roots[3])


def test_consistency__every_pair_of_sizes__proved_and_no_other(grown: Grown) -> None:
    for second in range(1, SIZE + 1):
        for first in range(1, second + 1):
            path = consistency_proof(first, second, grown.node)
            assert verify_consistency(first, grown.roots[first], second, grown.roots[second], path)
            forged = leaf_hash(b"forged")
            assert not verify_consistency(first, forged, second, grown.roots[second], path)
            assert not verify_consistency(first, grown.roots[first], second, forged, path)
            for place in range(len(path)):
                bent = [*path[:place], forged, *path[place + 1 :]]
                assert not verify_consistency(first, grown.roots[first], second, grown.roots[second], bent)
    assert not verify_consistency(0, EMPTY_ROOT, 3, grown.roots[3], [])
    assert not verify_consistency(3, grown.roots[3], 5, grown.roots[5], [])


@pytest.mark.parametrize(("position", "size"), [(3, 3), (-1, 3), (0, 0)])
def test_inclusion_proof__no_such_leaf__refused(position: int, size: int, grown: Grown) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(position, size, grown.node)


@pytest.mark.parametrize(("first", "second"), [(0, 3), (4, 3)])
def test_consistency_proof__sizes_the_wrong_way__refused(first: int, second: int, grown: Grown) -> None:
    with pytest.raises(ValueError, match="no proof"):
        consistency_proof(first, second, grown.node)
