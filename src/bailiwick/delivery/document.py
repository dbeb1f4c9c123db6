"""Deployments as JSON, the same on the command line and over REST. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bailiwick.delivery.gates import explain
from bailiwick.delivery.model import Deployment, Rollback, RollbackEvent, ServedVersion
from bailiwick.traffic.document import plan_document


def deployment_document(made: Deployment) -> dict[str, Any]:
    """A deployment with its decision in words; the share in percent of the domain's users."""
    fields = asdict(made)
    share = fields.pop("share")
    return {**fields, "share_percent": share / 100, "decision": explain(made.gates)}


def rollback_document(done: Rollback) -> dict[str, Any]:
    """What a rollback took out of service, and the plan since then."""
    return {
        "domain": done.plan.domain,
        "removed": list(done.removed),
        "restored_revision": done.restored_revision,
        "plan": plan_document(done.plan),
        "paused_experiments": list(done.paused),
        "event": event_document(done.event),
    }


def event_document(happened: RollbackEvent) -> dict[str, Any]:
    """A rollback that happened, with both metrics; what was restored in percent."""
    restored = {version: weight / 100 for version, weight in happened.restored.items()}
    return {**asdict(happened), "restored": restored}


def served_document(served: ServedVersion) -> dict[str, Any]:
    """What served a part of a domain's users, with its artefact and on whose word it did."""
    made = served.deployment
    return {
        "domain": served.domain,
        "version": served.version,
        "share_percent": served.share / 100,
        "since": served.since,
        "plan_revision": served.plan_revision,
        "changed_by": served.changed_by,
        "deployment": made.id if made else None,
        "deployed_by": made.actor if made else None,
        "approvers": list(made.approvers) if made else [],
        "artefact_sha256": made.artefact_sha256 if made else None,
        "policy_revision": made.policy_revision if made else None,
    }
