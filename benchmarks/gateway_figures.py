"""The tables of `docs/gateway.md`, from the committed figures: what the page says is what was measured.

``python -m benchmarks.gateway_figures`` prints them; ``--write`` puts them into the page, between the marks
``<!-- figures: NAME -->`` and ``<!-- end -->``. A test holds the page to them.
"""

from __future__ import annotations

from typing import Any

from benchmarks.figures import DOCS, committed, print_or_write

PAGE = DOCS / "gateway.md"
RESULTS_SHOWN = ("gateway",)
"""Files in `benchmarks/results`; each is a table of its own."""


def table(name: str) -> str:
    """One results file as a Markdown table."""
    lines = ["| what | found | aim | beside |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in committed(name)]
    return "\n".join(lines) + "\n"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    aim = ""
    if row["goal"] is not None:
        aim = f"at {'most' if row['better'] == 'lower' else 'least'} {_number(row['goal'])}"
    beside = "" if row["peer_value"] is None else f"{row['peer']}: {_number(row['peer_value'])}"
    return row["name"], f"{_number(row['value'])} {row['unit']}", aim, beside


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    print_or_write(PAGE, RESULTS_SHOWN, table, __doc__)
