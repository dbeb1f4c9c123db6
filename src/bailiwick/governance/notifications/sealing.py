"""Keeps generated signing secrets encrypted in the database, where a key is set outside of it.

AES-256-GCM under a key derived from the setting `secrets_key` (HKDF-SHA256); the name of the webhook is bound to it, so
that no secret can be moved to another webhook. Secrets from before the key was set stay readable as they are.
"""

from __future__ import annotations

import base64
import binascii
import secrets

from bailiwick.errors import InvalidInput

_SEALED = "sealed1:"
_NONCE_BYTES = 12


class Sealing:
    """Seals and opens secrets.

    Args:
        key: any text of much entropy; None: secrets are kept as they are.
    """

    def __init__(self, key: str | None) -> None:
        self._key = None if key is None else _derived(key)

    def seal(self, secret: str, name: str) -> str:
        """What is kept of the secret of a webhook."""
        if self._key is None:
            return secret
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self._key).encrypt(nonce, secret.encode(), name.encode())
        return _SEALED + base64.b64encode(nonce + sealed).decode()

    def open(self, kept: str, name: str) -> str:
        """The secret of a webhook.

        Raises:
            InvalidInput: it was sealed under another key, or for another webhook. The message shows neither.
        """
        if not kept.startswith(_SEALED):
            return kept
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            if self._key is None:
                raise InvalidTag
            raw = base64.b64decode(kept.removeprefix(_SEALED), validate=True)
            return AESGCM(self._key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], name.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise InvalidInput(
                f"the secret of the webhook {name!r} was sealed under another key",
                what="secrets_key",
                remedy="give this server the setting secrets_key of the others, or add the webhook anew",
            ) from error


def _derived(key: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, None, b"bailiwick webhook secrets").derive(key.encode())
