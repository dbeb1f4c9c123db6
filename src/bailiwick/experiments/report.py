"""A report on an experiment: what it is, what is known of it, what should be done; and its JSON form. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from bailiwick.experiments.document import experiment_document
from bailiwick.experiments.findings import Analysis, Decision
from bailiwick.experiments.model import Experiment
from bailiwick.experiments.words import decision_words


@dataclass(frozen=True, slots=True)
class Report:
    """An experiment, what is known of it now, and what should be done."""

    experiment: Experiment
    analysis: Analysis
    decision: Decision


def report_document(report: Report) -> dict[str, Any]:
    """A report for JSON; what cannot be told, or has no bound, is null."""
    findings = asdict(report.analysis)
    del findings["evidence"]
    document = {
        "experiment": experiment_document(report.experiment),
        "analysis": findings,
        "decision": {
            **asdict(report.decision),
            "final": report.decision.final,
            "words": decision_words(report.decision),
        },
    }
    made: dict[str, Any] = plain(document)
    return made


def plain(value: Any) -> Any:
    """A value that JSON can hold: no infinities, no NaN, no enums, instants as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    return value
