"""Errors as OpenAI clients know them. Pure."""

from __future__ import annotations

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
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


class TooLarge(InvalidInput):
    """The body is longer than the gateway takes."""

    code = "request_too_large"


def status_of(error: BailiwickError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, UpstreamFailed):
        return error.status
    if isinstance(error, TooLarge):
        return 413
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def error_body(error: BailiwickError, status: int) -> dict[str, Any]:
    """``{"error": {"message", "type", "param", "code"}}``."""
    code = "model_not_found" if isinstance(error, NotFound) and error.what == "model" else error.code
    return {
        "error": {
            "message": str(error),
            "type": _TYPES.get(status, "server_error"),
            "param": error.what,
            "code": code,
        }
    }
