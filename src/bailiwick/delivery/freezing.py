"""Whether a domain is frozen now, and what to say then. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from bailiwick.delivery.rollout.freeze import FreezeWindow, frozen_by
from bailiwick.errors import InvalidInput, PolicyDenied
from bailiwick.governance.audit import Actor


def broken_freeze(
    windows: tuple[FreezeWindow, ...], domain: str, now: datetime, actor: Actor, *, break_glass: bool
) -> dict[str, str] | None:
    """What a change at this instant breaks, for the audit trail; None where nothing is frozen.

    Raises:
        PolicyDenied: the domain is frozen, and nobody breaks the glass.
        InvalidInput: somebody does, and says no reason.
    """
    found = frozen_by(windows, now)
    if found is None:
        return None
    window, end = found
    until = end.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
    if not break_glass:
        raise PolicyDenied(
            f"{domain!r} is frozen by {window.name!r} until {until}",
            what="domain",
            requested=domain,
            where=window.name,
            remedy="wait, or say --break-glass with a --reason; a rollback is always allowed",
        )
    if not (actor.reason or "").strip():
        raise InvalidInput("breaking a freeze needs a reason", what="reason", remedy="say why with --reason")
    return {"freeze": window.name, "until": until}
