"""Keys and their limits as the faces and the audit trail show them: never a secret, never a digest. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bailiwick.governance.access.model import ClientKey, DayUsage, Limits


def key_document(key: ClientKey, now: datetime) -> dict[str, Any]:
    """One key."""
    return {
        "id": key.id,
        "name": key.name,
        "status": key.status(now).value,
        "owner": key.owner,
        "team": key.team,
        "domains": list(key.domains),
        "limits": key.limits.present(),
        "hint": f"{key.hint}...",
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "rotated_at": key.rotated_at,
        "last_used_at": key.last_used_at,
    }


def audited(key: ClientKey) -> dict[str, Any]:
    """What the audit trail keeps of a key: what people decide."""
    return {
        "name": key.name,
        "owner": key.owner,
        "team": key.team,
        "domains": list(key.domains),
        "limits": key.limits.present(),
        "hint": key.hint,
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
        "revoked": key.revoked_at is not None,
    }


def domain_limits_document(domain: str, limits: Limits) -> dict[str, Any]:
    """The limits of one domain."""
    return {"domain": domain, "limits": limits.present()}


def usage_document(usage: DayUsage, name: str) -> dict[str, Any]:
    """What one key did on one day."""
    return {
        "key": usage.key,
        "name": name,
        "day": usage.day,
        "requests": usage.requests,
        "refused": usage.refused,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "tokens": usage.tokens,
        "last_at": usage.last_at,
    }
