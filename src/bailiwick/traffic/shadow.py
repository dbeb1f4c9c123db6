"""Who answers in the shadow, and which requests are copied to it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bailiwick.errors import InvalidInput
from bailiwick.traffic.assign import slot
from bailiwick.traffic.model import SLOTS, Shadow, SlotRange


def check_shadow(shadow: Shadow) -> Shadow:
    """The shadow as it is.

    Raises:
        InvalidInput: it names no version, or its share is out of bounds.
    """
    share = shadow.share
    if not shadow.version or isinstance(share, bool) or not isinstance(share, int) or not 1 <= share <= SLOTS:
        raise InvalidInput(
            f"a shadow of {share!r} basis points by {shadow.version!r}",
            what="share",
            requested=str(share),
            allowed=f"1 to {SLOTS}",
        )
    return shadow


def useful(shadow: Shadow | None, ranges: Iterable[SlotRange]) -> Shadow | None:
    """The shadow, unless its version serves everybody: then there is nobody to compare it with."""
    if shadow is None or {piece.version for piece in ranges} == {shadow.version}:
        return None
    return shadow


def is_copied(shadow: Shadow, salt: str, request_id: str) -> bool:
    """Whether a request is among the share that is copied, by a hash that is independent of who is served by whom.

    >>> is_copied(Shadow("v2", SLOTS), "s", "r1")
    True
    """
    return shadow.share >= SLOTS or slot(f"{salt}:shadow", request_id) < shadow.share
