"""What feedback may say."""

from __future__ import annotations

import math

from bailiwick.errors import InvalidInput
from bailiwick.metrics.observations import LARGEST_VALUE, is_request_id

_MAX_LABEL = 1_000
_MAX_COMMENT = 10_000


def check_feedback(
    request_id: str,
    metric: str,
    value: float | None,
    label: str | None,
    comment: str | None,
    domain: str | None,
    version: str | None,
) -> None:
    """Refuse feedback that names no request, says nothing, or does not fit the tables.

    Raises:
        InvalidInput: naming the part at fault.
    """
    if not is_request_id(request_id):
        raise InvalidInput(
            f"{request_id[:120]!r} is no request id",
            what="request_id",
            allowed="1 to 100 letters, digits or ._:-",
            remedy="take it from the answer's x-request-id header",
        )
    if value is None and label is None and comment is None:
        raise InvalidInput("the feedback says nothing", what="value", remedy="give a value, a label or a comment")
    if value is not None and not (
        isinstance(value, int | float) and math.isfinite(value) and abs(value) <= LARGEST_VALUE
    ):
        raise InvalidInput(f"the value {value!r} is no finite number", what="value", requested=str(value))
    sizes = (
        ("metric", metric, 200),
        ("label", label, _MAX_LABEL),
        ("comment", comment, _MAX_COMMENT),
        ("domain", domain, 64),
        ("version", version, 200),
    )
    for name, text, limit in sizes:
        if text is not None and (not text or len(text) > limit or not _storable(text)):
            raise InvalidInput(
                f"the {name} of the feedback does not fit", what=name, allowed=f"1 to {limit} characters of text"
            )


def _storable(text: str) -> bool:
    """PostgreSQL stores neither NUL nor lone surrogates."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
