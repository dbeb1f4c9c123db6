"""A decision with what became of its request, as it is written to the log. Holds none of the request's text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bailiwick.routing.model import Decision, Features
from bailiwick.routing.rewards import FAILED

_SERVER_FAILED = 500


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """One decided request.

    Args:
        answered: the domain that answered; empty where none did. A fallback's answer counts for the domain that was
            chosen: left out, a domain that often fails would look like one that never does.
        status: of HTTP; from 500 on the answer failed, and is worth nothing.
        tokens: of request and answer; None where they were not counted.
    """

    request_id: str
    at: datetime
    decision: Decision
    answered: str
    version: str
    status: int
    latency_ms: float
    tokens: int | None

    def row(self) -> dict[str, Any]:
        """The columns of the log."""
        decision = self.decision
        failed = self.status >= _SERVER_FAILED
        return {
            "request_id": self.request_id,
            "at": self.at,
            "mode": decision.mode.value,
            "method": decision.method.value,
            "domain": decision.domain,
            "proposed": decision.proposed,
            "propensity": decision.propensity,
            "detected": decision.features.detected,
            "context": decision.context,
            "draw": decision.draw,
            "revision": decision.revision,
            "rule": decision.rule,
            "follow_up": decision.follow_up,
            "answered": decision.domain if failed else self.answered,
            "version": self.version,
            "status": self.status,
            "latency_ms": self.latency_ms,
            "tokens": self.tokens,
            "seen": seen_document(decision),
            "metric": FAILED if failed else None,
            "value": 0.0 if failed else None,
            "right_domain": None,
            "judged_at": None,
        }


def seen_document(decision: Decision) -> dict[str, Any]:
    """What a decision looked at, for JSON."""
    features = decision.features
    return {
        "detected": features.detected,
        "abstained": features.abstained,
        "ranking": [list(pair) for pair in features.ranking],
        "length": features.length,
        "operation": features.operation,
        "candidates": [[each.domain, each.prior, each.expected, each.probability] for each in decision.candidates],
    }


def features_from(seen: Mapping[str, Any]) -> Features:
    """The features in what `seen_document` wrote."""
    return Features(
        detected=seen["detected"],
        abstained=seen["abstained"],
        ranking=tuple((domain, float(score)) for domain, score in seen["ranking"]),
        length=seen["length"],
        operation=seen["operation"],
    )
