"""The log of exposures and outcomes as lines, for programs that analyse it themselves. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from bailiwick.metrics.events import LoggedOutcome

Format = Literal["jsonl", "csv"]

_COLUMNS = ("at", "experiment", "epoch", "arm", "unit", "request_id", "domain", "version", "propensity")


def export_lines(events: Iterable[LoggedOutcome], format: Format) -> Iterator[str]:
    """One line per exposure, each with its line end. Units are keyed digests: the same unit has the same one.

    Args:
        events: oldest first.
        format: ``jsonl``, or ``csv`` with a header, outcomes and feedback as JSON in columns of their own.
    """
    if format == "jsonl":
        yield from (json.dumps(event_document(each)) + "\n" for each in events)
        return
    yield _csv_line([*_COLUMNS, "outcomes", "feedback"])
    for each in events:
        line = event_document(each)
        nested = [json.dumps(line["outcomes"]), json.dumps(line["feedback"])]
        yield _csv_line([*("" if line[name] is None else str(line[name]) for name in _COLUMNS), *nested])


def event_document(logged: LoggedOutcome) -> dict[str, Any]:
    """One exposure with what the request showed, and what was said of it."""
    event = logged.event
    return {
        "at": event.at.isoformat(),
        "experiment": event.experiment,
        "epoch": event.epoch,
        "arm": event.arm,
        "unit": event.unit,
        "request_id": event.request_id,
        "domain": event.domain,
        "version": event.version,
        "propensity": event.propensity,
        "outcomes": dict(event.outcomes),
        "feedback": dict(logged.feedback),
    }


def _csv_line(cells: list[str]) -> str:
    # a cell that a spreadsheet would take for a formula is text
    safe = [f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell for cell in cells]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(safe)
    return buffer.getvalue()
