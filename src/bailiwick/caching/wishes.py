"""What the headers of a request say of caching. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from bailiwick.caching.model import Wishes


def wishes_of(headers: Mapping[bytes, bytes], user: str, client: str = "") -> Wishes:
    """The directives of ``Cache-Control`` (RFC 9111, 5.2.1), and who asks.

    Unknown directives are ignored. A ``max-age`` that is no whole number counts as 0: an answer that may be too old for
    the client must not serve.

    Args:
        headers: names in lower case.
        user: who asks; empty where nobody is known.
        client: the id of the key that the client was let in by; empty: it has none of ours.

    >>> wishes_of({b"cache-control": b"No-Cache, max-age=60"}, "ada")
    Wishes(no_cache=True, no_store=False, only_if_cached=False, max_age_s=60.0, user='ada', key=b'')
    >>> wishes_of({b"cache-control": b"max-age=soon"}, "").max_age_s
    0.0
    """
    digest = _client_digest(headers, client)
    if client and user:
        # A name is what a client says of itself: another client that says the same must not read the answers.
        user = f"{client}\0{user}"
    said = headers.get(b"cache-control")
    if said is None:
        return Wishes(user=user, key=digest)
    directives: dict[bytes, bytes] = {}
    for each in said.lower().split(b","):
        name, _, value = each.strip().partition(b"=")
        directives[name] = value.strip(b'" ')
    age = directives.get(b"max-age")
    return Wishes(
        no_cache=b"no-cache" in directives,
        no_store=b"no-store" in directives,
        only_if_cached=b"only-if-cached" in directives,
        max_age_s=None if age is None else float(age) if age.isdigit() and len(age) < 12 else 0.0,
        user=user,
        key=digest,
    )


def _client_digest(headers: Mapping[bytes, bytes], client: str) -> bytes:
    """Of the key that was checked, by its id, which stays when its secret is rotated; else of what was sent as one."""
    if client:
        return hashlib.blake2b(client.encode(), digest_size=16, person=b"checked").digest()
    sent = headers.get(b"authorization") or headers.get(b"x-api-key") or b""
    return hashlib.blake2b(sent, digest_size=16).digest() if sent else b""
