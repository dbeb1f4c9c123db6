"""Routing's results for JSON. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from bailiwick.routing.analytics import RoutingAnalytics
from bailiwick.routing.evaluate import PolicyEvaluation
from bailiwick.routing.policy import Policy, policy_document


def evaluation_document(found: PolicyEvaluation) -> dict[str, Any]:
    """An evaluation; what is not finite is None."""
    document = asdict(found)
    document["verdict"] = found.verdict.value
    for each, estimate in zip(document["estimates"], found.estimates, strict=True):
        each["interval"] = estimate.interval.value
    cleaned: dict[str, Any] = _finite(document)
    return cleaned


def analytics_document(found: RoutingAnalytics) -> dict[str, Any]:
    """Analytics, instants as text."""
    cleaned: dict[str, Any] = _finite(asdict(found))
    return {**cleaned, "since": found.since.isoformat(), "until": found.until.isoformat()}


def proposal_document(policy: Policy) -> dict[str, Any]:
    """A policy that was not published."""
    return {"contexts": len(policy.means) + len(policy.linear), **policy_document(policy)}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
