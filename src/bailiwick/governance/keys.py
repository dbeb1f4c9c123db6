"""The private key that signs the heads of the audit tree."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bailiwick.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def load_or_create_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key of a PEM file; a new one, readable by its owner alone, where the file does not exist.

    Raises:
        InvalidInput: the file holds something else.
        Unavailable: it cannot be read or written.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        if not path.exists():
            _create(path, Ed25519PrivateKey.generate())
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput(
            f"{path} holds no Ed25519 key: {error}", what="audit_key", where=str(path), remedy="name another file"
        ) from error
    except OSError as error:
        raise Unavailable(f"the audit key cannot be read: {error}", what="audit_key", where=str(path)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput(f"{path} holds another kind of key", what="audit_key", where=str(path), allowed="Ed25519")
    return key


def _create(path: Path, key: Ed25519PrivateKey) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    try:
        os.link(written, path)  # fails where another process was first: its key is then the one
    except FileExistsError:
        pass
    finally:
        written.unlink()
