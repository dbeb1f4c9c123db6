"""Inclusion proofs as files, verified with nothing but the log's public key."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bailiwick.errors import InvalidInput
from bailiwick.governance.checkpoint import is_signed_by, parse
from bailiwick.governance.merkle import leaf_hash, verify_inclusion

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """Proof that an entry is in the tree of a signed head.

    Args:
        body: the exact text whose hash is the leaf.
        path: base64 of the 32-byte nodes.
        head: the signed text.
    """

    sequence: int
    position: int
    body: str
    path: tuple[str, ...]
    head: str


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """Proof that the tree of ``first`` entries is the beginning of the one of ``second``, which ``head`` signs."""

    first: int
    second: int
    path: tuple[str, ...]
    head: str


def proof_text(proof: InclusionProof) -> str:
    """The proof as a file's text."""
    return json.dumps(asdict(proof), ensure_ascii=False, indent=2) + "\n"


def read_proof(path: Path) -> InclusionProof:
    """The proof of a file.

    Raises:
        InvalidInput: the file holds something else.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        return InclusionProof(
            int(document["sequence"]),
            int(document["position"]),
            str(document["body"]),
            tuple(str(node) for node in document["path"]),
            str(document["head"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path} holds no proof: {error}",
            what="proof",
            where=str(path),
            remedy="make one with `bailiwick audit prove NUMBER --to FILE`",
        ) from error


def verify_inclusion_proof(proof: InclusionProof, key: Ed25519PublicKey) -> str | None:
    """What is wrong with a proof, in words; None when it holds.

    Raises:
        InvalidInput: its head is no signed head.
    """
    head = parse(proof.head)
    if not is_signed_by(head, key):
        return "its head is not signed by this key"
    try:
        path = [base64.b64decode(node, validate=True) for node in proof.path]
    except binascii.Error:
        return "its path is not base64"
    if not verify_inclusion(leaf_hash(proof.body.encode()), proof.position, head.size, path, head.root):
        return "its text is not at that place of the signed tree"
    return None
