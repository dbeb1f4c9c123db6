"""The life of a domain: draft -> active -> archived -> deleted, as one pure table."""

from __future__ import annotations

from enum import StrEnum

from bailiwick.domains.model import Lifecycle
from bailiwick.errors import Conflict, NotFound

_LIVING = (Lifecycle.DRAFT, Lifecycle.ACTIVE, Lifecycle.ARCHIVED)


class Step(StrEnum):
    """What can be done to a domain. The value is the verb of its audit entry."""

    CREATE = "create"
    UPDATE = "update"
    ACTIVATE = "activate"
    ARCHIVE = "archive"
    DELETE = "delete"


def after_step(domain_id: str, current: Lifecycle | None, step: Step, *, force: bool = False) -> Lifecycle:
    """Where a step leads.

    Activating an active domain, or archiving an archived one, leads to where it is: a repeated request does no harm.
    The id of a deleted domain can be created again; its history goes on.

    Args:
        domain_id: for the words of an error.
        current: None where the id was never used.
        step: what is asked for.
        force: needed to delete.

    Raises:
        NotFound: there is no such domain, or it was deleted.
        Conflict: the step is not possible from there.

    >>> after_step("cards", Lifecycle.DRAFT, Step.ACTIVATE).value
    'active'
    """
    if step is Step.CREATE:
        if current in _LIVING:
            raise Conflict(
                f"domain {domain_id!r} exists already and is {current}",
                what="id",
                requested=domain_id,
                remedy=f"change it with `bailiwick domain update {domain_id}`, or choose another id",
            )
        return Lifecycle.DRAFT
    if current is None or current is Lifecycle.DELETED:
        raise no_such_domain(domain_id, deleted=current is Lifecycle.DELETED)
    if step is Step.DELETE:
        if not force:
            raise Conflict(
                f"deleting domain {domain_id!r} ({current}) needs force",
                what="force",
                remedy="archive it instead, or repeat with force (--force, ?force=true); its history stays either way",
            )
        return Lifecycle.DELETED
    return {Step.UPDATE: current, Step.ACTIVATE: Lifecycle.ACTIVE, Step.ARCHIVE: Lifecycle.ARCHIVED}[step]


def no_such_domain(domain_id: str, *, deleted: bool = False) -> NotFound:
    """The error for a domain that is not there, or no longer."""
    if deleted:
        return NotFound(
            f"domain {domain_id!r} was deleted",
            what="id",
            requested=domain_id,
            remedy=f"see `bailiwick domain history {domain_id}`; creating it again goes on with its history",
        )
    return NotFound(
        f"there is no domain {domain_id!r}", what="id", requested=domain_id, remedy="see `bailiwick domain list`"
    )
