"""From what is stored of a run or of learning back to its report. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bailiwick.detection.model import DetectionReport, DomainSummary, LearningReport


def learning_report(state: Mapping[str, Any], *, changed: bool) -> LearningReport:
    """The report of a stored state."""
    report = state["report"]
    return LearningReport(
        revision=state["revision"],
        fingerprint=state["fingerprint"],
        changed=changed,
        examples=report["examples"],
        labels=report["labels"],
        skipped=report["skipped"],
        held_out_accuracy=report["held_out_accuracy"],
        thresholds=report["thresholds"],
        cpu_s=report["cpu_s"],
    )


def detection_report(plain: Mapping[str, Any]) -> DetectionReport:
    """The report of a stored run."""
    domains: Sequence[Mapping[str, Any]] = plain["domains"]
    return DetectionReport(
        **{
            **plain,
            "started_at": datetime.fromisoformat(plain["started_at"]),
            "finished_at": datetime.fromisoformat(plain["finished_at"]),
            "domains": tuple(DomainSummary(**{**each, "examples": tuple(each["examples"])}) for each in domains),
        }
    )
