"""What must hold between domains: fallbacks exist, are active where they are needed, and never go in a circle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.domains.model import Lifecycle
from bailiwick.errors import Conflict, InvalidInput


@dataclass(frozen=True, slots=True)
class Standing:
    """As much of a domain as its neighbours need to know."""

    lifecycle: Lifecycle
    fallback: str | None


def check_references(
    standings: Mapping[str, Standing], default_domain: str | None, *, where: str | None = None
) -> None:
    """Check every reference between domains.

    Args:
        standings: all domains that are not deleted, by id.
        default_domain: the domain that answers what no other claims.
        where: the file or request that brought them.

    Raises:
        InvalidInput: a fallback does not exist, or fallbacks go in a circle.
        Conflict: an active domain's fallback, or the default domain, is not active (or is gone).
    """
    for domain_id in sorted(standings):
        _check_fallback(domain_id, standings, where)
    if default_domain is None:
        return
    default = standings.get(default_domain)
    if default is None:
        raise InvalidInput(
            f"the default domain {default_domain!r} does not exist",
            what="default_domain",
            where=where,
            requested=default_domain,
            remedy="name another default first",
        )
    if default.lifecycle is not Lifecycle.ACTIVE:
        raise Conflict(
            f"the default domain {default_domain!r} must be active, not {default.lifecycle}",
            what="default_domain",
            where=where,
            remedy=f"activate {default_domain!r}, or name another default first",
        )


def check_not_needed(
    domain_id: str, after: Lifecycle, standings: Mapping[str, Standing], default_domain: str | None
) -> None:
    """Check that nobody relies on a domain that is about to leave.

    Args:
        domain_id: the domain.
        after: archived: only active domains rely on it; deleted: every domain that names it does. Else: nobody.
        standings: all domains that are not deleted, by id.
        default_domain: the domain that answers what no other claims.

    Raises:
        Conflict: it is the default domain, or others fall back to it; names them.
    """
    if after not in (Lifecycle.ARCHIVED, Lifecycle.DELETED):
        return
    relying = [
        key
        for key, standing in sorted(standings.items())
        if standing.fallback == domain_id and (after is Lifecycle.DELETED or standing.lifecycle is Lifecycle.ACTIVE)
    ]
    reasons = ["it is the default domain"] if default_domain == domain_id else []
    if relying:
        names = f"{', '.join(map(repr, relying[:5]))}{' and others' if relying[5:] else ''}"
        reasons.append(f"it is the fallback of {names}")
    if reasons:
        raise Conflict(
            f"domain {domain_id!r} cannot be {after}: {' and '.join(reasons)}",
            what="id",
            requested=domain_id,
            remedy="name another default or fallback first",
        )


def _check_fallback(domain_id: str, standings: Mapping[str, Standing], where: str | None) -> None:
    field = f"domains.{domain_id}.fallback"
    place = f"{where}: {field}" if where else field
    own = standings[domain_id]
    if own.fallback is None:
        return
    fallback = standings.get(own.fallback)
    if fallback is None:
        raise InvalidInput(
            f"domain {domain_id!r}: fallback: there is no domain {own.fallback!r}",
            what="fallback",
            where=place,
            requested=own.fallback,
            remedy=f"create {own.fallback!r} first, or give {domain_id!r} another fallback",
        )
    if own.lifecycle is Lifecycle.ACTIVE and fallback.lifecycle is not Lifecycle.ACTIVE:
        raise Conflict(
            f"domain {domain_id!r} is active and falls back to {own.fallback!r}, which is {fallback.lifecycle}",
            what="fallback",
            where=place,
            requested=own.fallback,
            remedy=f"activate {own.fallback!r}, or give {domain_id!r} another fallback first",
        )
    _check_circle(domain_id, standings, place)


def _check_circle(domain_id: str, standings: Mapping[str, Standing], place: str) -> None:
    path = [domain_id]
    while (standing := standings.get(path[-1])) is not None and standing.fallback is not None:
        path.append(standing.fallback)
        if path[-1] == domain_id:
            raise InvalidInput(
                f"domain {domain_id!r}: fallback: goes in a circle: {' -> '.join(path)}",
                what="fallback",
                where=place,
                requested=path[1],
                remedy="let one of them have no fallback",
            )
        if path[-1] in path[:-1]:
            return  # a circle further down, reported for the domains that lie on it
