"""The tables of `docs/experiments.md`, from the committed figures: what the page says is what was measured.

``python -m benchmarks.experiment_figures`` prints them; ``--write`` puts them into the page, between the marks
``<!-- figures: NAME -->`` and ``<!-- end -->``. A test holds the page to them.
"""

from __future__ import annotations

from typing import Any

from benchmarks.figures import DOCS, committed, print_or_write, renewed

PAGE = DOCS / "experiments.md"
TABLES = {
    "watched": ("simulations.sequential", "simulations.uneven"),
    "fixed": ("simulations.fixed_horizon",),
    "adaptive": ("simulations.adaptive",),
    "speed": ("bench_assignment", "bench_statistics_fixed", "bench_statistics_sequential"),
    "replay": ("experiment_replay",),
}
"""Name of a table: the parts of `benchmarks/bench_experiments.py` that it shows."""


def records() -> list[dict[str, Any]]:
    """The committed figures."""
    return committed("experiments")


def table(name: str, rows: list[dict[str, Any]]) -> str:
    """One table as Markdown.

    Args:
        name: of `TABLES`.
        rows: all records of the benchmark.
    """
    lines = ["| what | found | promised | others | runs |", "|---|---|---|---|---|"]
    for row in rows:
        # distances from a promise are for the benchmark's verdict; the rate itself stands in the row before
        if row["part"] in TABLES[name] and row["unit"] != "points":
            lines.append("| " + " | ".join(_cells(row)) + " |")
    return "\n".join(lines) + "\n"


def written(page: str, rows: list[dict[str, Any]]) -> str:
    """The page with every marked table renewed."""
    return renewed(page, lambda name: table(name, rows))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    goal = ""
    if row["goal"] is not None:
        goal = f"at {'most' if row['better'] == 'lower' else 'least'} {_number(row['goal'], row['unit'])}"
    peer = f"{row['peer']}: {_number(row['peer_value'], row['unit'])}" if row["peer_value"] is not None else ""
    # a rate of one run is a sum over all outcomes, or an integral
    runs = f"{row['runs']:,}" if row["runs"] > 1 else "computed" if row["unit"] == "%" else ""
    return row["name"], _number(row["value"], row["unit"]), goal, peer, runs


def _number(value: float, unit: str) -> str:
    digits = f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"
    return digits if unit == "ratio" else f"{unit} = {digits}" if unit == "p" else f"{digits} {unit}"


if __name__ == "__main__":
    print_or_write(PAGE, TABLES, lambda name: table(name, records()), __doc__)
