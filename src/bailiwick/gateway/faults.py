"""Errors as OpenAI clients know them. Pure."""

from __future__ import annotations

import math
from typing import Any

from bailiwick.backends.model import UpstreamFailed
from bailiwick.caching.model import NotCached
from bailiwick.errors import (
    BailiwickError,
    BudgetExhausted,
    Conflict,
    GateFailed,
    InvalidInput,
    NotFound,
    PolicyDenied,
    Unavailable,
)
from bailiwick.gateway.admission.model import InvalidKey

_STATUS: dict[type[BailiwickError], int] = {
    NotCached: 504,
    InvalidInput: 400,
    NotFound: 404,
    Conflict: 409,
    GateFailed: 409,
    PolicyDenied: 403,
    BudgetExhausted: 429,
    Unavailable: 503,
}
_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


_STORES = frozenset({"database_url", "redis_url", "graph_url", "domains_url"})
"""The settings that errors of a store name."""


class TooLarge(InvalidInput):
    """The body is longer than the gateway takes."""

    code = "request_too_large"


class TooSlow(InvalidInput):
    """The body came too slowly."""

    code = "request_timeout"


def status_of(error: BailiwickError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, UpstreamFailed):
        return error.status
    if isinstance(error, TooLarge):
        return 413
    if isinstance(error, TooSlow):
        return 408
    if isinstance(error, InvalidKey):
        return 401
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def retry_headers(error: BailiwickError) -> list[tuple[bytes, bytes]]:
    """What clients that try again by themselves must know: that it is of no use, or how long to wait.

    >>> retry_headers(UpstreamFailed("busy", status=503, retry_after_s=1.2))
    [(b'retry-after', b'2')]
    """
    if _is_of_a_store(error):
        return []
    if type(error) is Unavailable or isinstance(error, NotCached):
        return [(b"x-should-retry", b"false")]
    if isinstance(error, UpstreamFailed) and error.retry_after_s is not None:
        return [(b"retry-after", b"%d" % min(3_600, max(1, math.ceil(error.retry_after_s))))]
    return []


def error_body(error: BailiwickError, status: int) -> dict[str, Any]:
    """``{"error": {"message", "type", "param", "code"}}``. Where our stores are is for operators, not for clients."""
    if _is_of_a_store(error):
        error = Unavailable("this needs a store that cannot be reached now", remedy="try again later")
    code = "model_not_found" if isinstance(error, NotFound) and error.what == "model" else error.code
    return {
        "error": {
            "message": str(error),
            "type": _TYPES.get(status, "server_error"),
            "param": error.what,
            "code": code,
        }
    }


def _is_of_a_store(error: BailiwickError) -> bool:
    return isinstance(error, Unavailable) and error.what in _STORES
