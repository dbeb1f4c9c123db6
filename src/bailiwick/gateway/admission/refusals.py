"""What is said to those who are not let in. Pure. Nothing here repeats what was sent as a key."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.gateway.admission.headers import duration
from bailiwick.gateway.admission.model import InvalidKey, NotForKey, RateLimited, Standing
from bailiwick.governance.access.model import Kind
from bailiwick.governance.access.table import AdmittedKey

_INVALID = {
    "missing": "this gateway needs a key; send `Authorization: Bearer bwk_...`",
    "mistyped": "the key is mistyped or cut off: its checksum does not fit",
    "unknown": "the key is unknown here",
    "revoked": "the key was revoked",
    "expired": "the key has expired",
    "replaced": "the key was replaced by a newer one, and its time has run out",
}
_UNITS = {Kind.REQUESTS: "requests a minute", Kind.TOKENS: "tokens a minute", Kind.BUDGET: "tokens a day"}


def invalid_key(reason: str) -> InvalidKey:
    """Why a key is not let in."""
    remedy = None if reason in ("missing", "mistyped") else "ask whoever gave it to you for another"
    return InvalidKey(_INVALID[reason], reason=reason, remedy=remedy)


def not_for_key(key: AdmittedKey, model: str) -> NotForKey:
    """The key is not for the model that was named."""
    return NotForKey(
        f"the key {key.name!r} may not ask {model!r}", what="model", remedy="GET /v1/models names what it may ask"
    )


def routed_elsewhere(key: AdmittedKey, domain: str) -> NotForKey:
    """``auto`` leads to a domain that the key is not for."""
    return NotForKey(
        f"the request is one for {domain!r}, which the key {key.name!r} may not ask",
        what="model",
        remedy="name a model that it may ask; GET /v1/models shows them",
    )


def limited(standings: Sequence[Standing]) -> RateLimited:
    """A limit is reached: the one that has to be waited for longest is named."""
    refusing = max(standings, key=lambda each: each.wait_ms)
    limit = refusing.limit
    whose = "the domain" if limit.name.startswith("domain:") else "the key"
    if limit.kind is Kind.IN_FLIGHT:
        message = f"{whose} has {limit.most} requests in flight, as many as it may"
    else:
        message = f"{whose} {limit.subject!r} has reached its limit of {limit.most:,} {_UNITS[limit.kind]}"
    remedy = f"try again in {duration(refusing.wait_ms)}"
    if limit.kind is Kind.BUDGET:
        remedy = f"the next day of UTC begins in {duration(refusing.wait_ms)}"
    return RateLimited(message, standings, refusing, limit.kind.value, remedy)
