"""How a benchmark reports: one record per figure, a table for people, a JSON file for programs."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
CORPORA = Path(__file__).resolve().parents[2] / "shared" / "data"


def record(
    name: str,
    value: float,
    unit: str,
    *,
    better: Literal["lower", "higher"],
    goal: float | None = None,
    peer: str | None = None,
    peer_value: float | None = None,
    runs: int = 1,
) -> dict[str, Any]:
    """One measured figure.

    Args:
        name: what was measured.
        value: the figure.
        unit: of the figure, its goal and its peer's value.
        better: which direction is good.
        goal: what was promised; the table says whether it is met, nothing fails.
        peer: what the figure is compared with.
        peer_value: the peer's figure, measured in the same run.
        runs: how many runs the value is the median of.
    """
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "goal": goal,
        "better": better,
        "peer": peer,
        "peer_value": peer_value,
        "runs": runs,
    }


def publish(name: str, records: list[dict[str, Any]]) -> None:
    """Print the records as a table and write them, with the machine, to ``results/NAME.json``."""
    show(name, records)
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": _machine(), "at": datetime.now(UTC).isoformat(timespec="seconds"), "records": records}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def show(name: str, records: list[dict[str, Any]]) -> None:
    """Print the records as a table."""
    table = Table(title=name, title_justify="left")
    for column in ("figure", "value", "unit", "goal", "met", "peer", "peer's value"):
        table.add_column(column, justify="right" if column in ("value", "goal", "peer's value") else "left")
    for row in records:
        table.add_row(
            row["name"],
            _number(row["value"]),
            row["unit"],
            _number(row["goal"]),
            _met(row),
            row["peer"] or "",
            _number(row["peer_value"]),
        )
    Console(width=150).print(table)


def _met(row: dict[str, Any]) -> str:
    if row["goal"] is None:
        return ""
    good = row["value"] <= row["goal"] if row["better"] == "lower" else row["value"] >= row["goal"]
    return "yes" if good else "NO"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
    }
