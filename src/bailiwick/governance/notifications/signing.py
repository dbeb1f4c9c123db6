"""Signatures of webhooks, as the Standard Webhooks specification has them. Pure.

The headers ``webhook-id``, ``webhook-timestamp`` (seconds) and ``webhook-signature``: ``v1,`` and the base64 of
HMAC-SHA256 over ``id.timestamp.body``.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from bailiwick.errors import InvalidInput

PREFIX = "whsec_"
_LEAST, _MOST = 24, 64


def secret_text(key: bytes) -> str:
    """The secret as it is handed to people.

    >>> secret_text(bytes(24))
    'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    return PREFIX + base64.b64encode(key).decode()


def key_of(secret: str) -> bytes:
    """The key of a secret.

    Raises:
        InvalidInput: it is not ``whsec_`` and the base64 of 24 to 64 bytes. The message does not show it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _LEAST <= len(key) <= _MOST or not secret.startswith(PREFIX):
        raise InvalidInput(
            "the signing secret is malformed",
            what="secret",
            allowed=f"{PREFIX} and the base64 of {_LEAST} to {_MOST} random bytes",
            remedy="add the webhook without a variable, and one is generated",
        )
    return key


def signature_headers(message_id: str, at: datetime, body: bytes, key: bytes) -> dict[str, str]:
    """The three headers of one attempt.

    >>> from datetime import UTC
    >>> key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> at = datetime.fromtimestamp(1614265330, UTC)
    >>> signature_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}', key)["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    timestamp = str(int(at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{digest}"}


def is_signed(headers: Mapping[str, str], body: bytes, key: bytes, now: datetime, tolerance_s: float = 300) -> bool:
    """What a receiver checks: one of the signatures is right, and the timestamp is near.

    Args:
        headers: names in lower case.
        body: as it came, before anything parses it.
        key: see `key_of`.
        now: the receiver's time.
        tolerance_s: how far the timestamp may be off; it keeps old messages from being played again.
    """
    timestamp, message_id = headers.get("webhook-timestamp", ""), headers.get("webhook-id", "")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 11:
        return False
    if abs(now.timestamp() - int(timestamp)) > tolerance_s:
        return False
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(digest)
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(each.encode("utf-8", "replace"), expected) for each in given)
