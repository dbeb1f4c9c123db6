"""Decides what an imported document changes, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.domains.lifecycle import Step, after_step
from bailiwick.domains.model import Domain, DomainRevision, DomainSet, Lifecycle
from bailiwick.errors import Conflict


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A domain as it will be. ``step`` is ``create`` where the id is new (or was deleted), else ``update``."""

    step: Step
    domain: Domain
    lifecycle: Lifecycle


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What an import changed, or would change. Domains that the document does not name are never touched."""

    created: tuple[str, ...]
    updated: tuple[str, ...]
    unchanged: tuple[str, ...]
    default_domain: str | None
    dry_run: bool = False


def plan_import(current: Mapping[str, DomainRevision], document: DomainSet) -> list[PlannedChange]:
    """The changes that bring the current domains to what the document says of them, by id.

    A domain that the document gives no lifecycle keeps the one it has; a new one becomes active.

    Args:
        current: by id; deleted domains may be missing or marked so.
        document: what is imported.

    Raises:
        Conflict: the document makes an active or archived domain a draft again.
    """
    plan = []
    for domain_id, domain in sorted(document.domains.items()):
        present = current.get(domain_id)
        if present is None or present.lifecycle is Lifecycle.DELETED:
            plan.append(PlannedChange(Step.CREATE, domain, document.lifecycle_of(domain_id)))
            continue
        lifecycle = _reached(domain_id, present.lifecycle, document.lifecycles.get(domain_id))
        if domain != present.domain or lifecycle is not present.lifecycle:
            plan.append(PlannedChange(Step.UPDATE, domain, lifecycle))
    return plan


def _reached(domain_id: str, current: Lifecycle, stated: Lifecycle | None) -> Lifecycle:
    if stated is None or stated is current:
        return current
    if stated is Lifecycle.DRAFT:
        raise Conflict(
            f"domain {domain_id!r} is {current} and cannot become a draft again",
            what="lifecycle",
            where=f"domains.{domain_id}.lifecycle",
            remedy="leave the lifecycle out of the document, or state 'archived'",
        )
    return after_step(domain_id, current, Step.ACTIVATE if stated is Lifecycle.ACTIVE else Step.ARCHIVE)
