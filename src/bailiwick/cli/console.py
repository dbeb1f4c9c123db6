"""How commands print: tables for people, JSON for programs, progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, NoReturn

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bailiwick.errors import (
    BailiwickError,
    BudgetExhausted,
    Conflict,
    GateFailed,
    InvalidInput,
    NotFound,
    PolicyDenied,
    Unavailable,
)

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class _PlainConsole(Console):
    """Shows control characters instead of sending them: names come from files, and a terminal obeys what it is sent."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(text.translate(_CONTROLS), **options)


out = _PlainConsole(highlight=False)
err = _PlainConsole(stderr=True, highlight=False)

_LONGEST_WORD = 48
"""Longer pieces are broken all the same: digests, and identifiers that nobody types."""

_GAP = 2
"""Characters between two columns."""

EXIT_CODES: dict[type[BailiwickError], int] = {
    InvalidInput: 2,
    NotFound: 3,
    Conflict: 4,
    PolicyDenied: 5,
    BudgetExhausted: 6,
    GateFailed: 7,
    Unavailable: 8,
}


def fail(error: BailiwickError, *, as_json: bool) -> NoReturn:
    """Print the error on standard error and exit with its code."""
    if as_json:
        print(json.dumps({"error": error.fields()}, default=plain), file=sys.stderr)
    else:
        err.print(f"[bold red]Error:[/] {escape(error.message)}")
        for label, value in (("where", error.where), ("allowed", error.allowed), ("do", error.remedy)):
            if value is not None:
                shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
                err.print(f"  [dim]{label}:[/] {escape(shown)}")
    sys.exit(next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1))


def plain(value: Any) -> Any:
    """What `json.dumps` cannot do by itself: dataclasses, instants, enums, tuples as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, default=plain, indent=2))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, whole: Sequence[str] = ()
) -> None:
    """A table; numbers are right-aligned.

    Prose is wrapped between words. What has no space in it, such as an id, a name or an instant, is never broken, so
    that it can be copied: rather than that, the table gets wider than the terminal.

    Args:
        title: printed above it.
        columns: their names.
        rows: one value per column; None is left empty.
        whole: columns whose lines are never broken although they hold spaces.
    """
    listed = [list(row) for row in rows]
    table = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    needed = _GAP * (len(columns) - 1)
    for index, name in enumerate(columns):
        cells = [row[index] for row in listed]
        numeric = bool(cells) and all(isinstance(cell, int | float) for cell in cells)
        unbroken = name in whole or all(isinstance(cell, datetime) or not _is_prose(_cell(cell)) for cell in cells)
        narrowest = _narrowest((name, *map(_cell, cells)), whole=unbroken)
        needed += narrowest
        table.add_column(
            name,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=unbroken,
            min_width=narrowest,
        )
    for row in listed:
        table.add_row(*(escape(_cell(cell)) for cell in row))
    if needed > out.width:
        table.width = needed
    out.print(table, crop=False)


def _is_prose(text: str) -> bool:
    return " " in text or len(text) > _LONGEST_WORD


def _narrowest(texts: Iterable[str], *, whole: bool) -> int:
    """Characters of the longest piece that is not to be broken."""
    pieces = (piece for text in texts for piece in (text.splitlines() if whole else text.split()))
    return min(_LONGEST_WORD, max((cell_len(piece) for piece in pieces), default=1))


def counted(counts: Mapping[str, int]) -> str:
    """What was counted in one line, most first: ``182 columns, 29 tables``."""
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in ordered if count)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"  # the columns' names say UTC
    return str(value)


def progress_bar() -> Progress:
    """A progress display on standard error; silent when that is not a terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        disable=not err.is_terminal,
    )
