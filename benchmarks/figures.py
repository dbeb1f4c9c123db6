"""Tables in the docs that are written from committed figures: what a page says is what was measured.

A page holds a table between the marks ``<!-- figures: NAME -->`` and ``<!-- end -->``. Each page's own module says what
its names mean; a test holds the page to the figures.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.records import RESULTS

DOCS = Path(__file__).parents[1] / "docs"
_MARKED = re.compile(r"<!-- figures: ([\w-]+) -->\n.*?<!-- end -->", re.DOTALL)


def committed(name: str) -> list[dict[str, Any]]:
    """The records of ``results/NAME.json``."""
    found: list[dict[str, Any]] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["records"]
    return found


def renewed(page: str, table: Callable[[str], str]) -> str:
    """The page with every marked table written again.

    Args:
        page: Markdown.
        table: from a mark's name to the table's lines.
    """
    return _MARKED.sub(lambda mark: f"<!-- figures: {mark[1]} -->\n{table(mark[1])}<!-- end -->", page)


def print_or_write(page: Path, names: Iterable[str], table: Callable[[str], str], about: str | None) -> None:
    """The command line of a page's module: prints its tables, or with ``--write`` puts them into the page."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--write", action="store_true", help=f"put the tables into docs/{page.name}")
    if parser.parse_args().write:
        page.write_text(renewed(page.read_text("utf-8"), table), "utf-8")
        return
    for name in names:
        sys.stdout.write(f"{name}\n\n{table(name)}\n")
