"""Deployments as JSON, the same on the command line and over REST. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bailiwick.delivery.gates import explain
from bailiwick.delivery.model import Deployment, Rollback
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
    }
