"""The tables of `docs/routing.md`, from the committed figures: what the page says is what was measured.

``python -m benchmarks.routing.figures`` prints them; ``--write`` puts them into the page, between the marks
``<!-- figures: NAME -->`` and ``<!-- end -->``. A test holds the page to them.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from benchmarks.records import RESULTS

PAGE = Path(__file__).parents[2] / "docs" / "routing.md"
PARTS = ("fleet", "truth", "corpora", "speed")
_MARKED = re.compile(r"<!-- figures: (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def records() -> list[dict[str, Any]]:
    """The committed figures."""
    found: list[dict[str, Any]] = json.loads((RESULTS / "routing.json").read_text("utf-8"))["records"]
    return found


def table(part: str, rows: list[dict[str, Any]]) -> str:
    """One table as Markdown."""
    lines = ["| what | found | unit | aim | beside | runs |", "|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows if row["part"] == part]
    return "\n".join(lines) + "\n"


def written(page: str, rows: list[dict[str, Any]]) -> str:
    """The page with every marked table renewed."""
    return _MARKED.sub(lambda mark: f"<!-- figures: {mark[1]} -->\n{table(mark[1], rows)}<!-- end -->", page)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    half = f" ± {row['half_width']:g}" if row.get("half_width") is not None else ""
    sign = "at most" if row["better"] == "lower" else "at least"
    return (
        row["name"],
        f"{row['value']:g}{half}",
        row["unit"],
        "" if row["goal"] is None else f"{sign} {row['goal']:g}",
        "" if row["peer"] is None else f"{row['peer']}: {row['peer_value']:g}",
        str(row["runs"]) if row["runs"] > 1 else "",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    if parser.parse_args().write:
        PAGE.write_text(written(PAGE.read_text("utf-8"), records()), "utf-8")
    else:
        for name in PARTS:
            print(f"{name}\n{table(name, records())}")
