"""How commands print: tables for people, JSON for programs, progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

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

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

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
        err.print(f"[bold red]Error:[/] {_escape(error.message)}")
        for label, value in (("where", error.where), ("allowed", error.allowed), ("do", error.remedy)):
            if value is not None:
                err.print(f"  [dim]{label}:[/] {_escape(str(value))}")
    sys.exit(next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1))


def _escape(text: str) -> str:
    return text.replace("[", "\\[")


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


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table; numbers are right-aligned."""
    listed = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for index, name in enumerate(columns):
        numeric = bool(listed) and all(isinstance(row[index], int | float) for row in listed)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*("" if cell is None else _escape(_cell(cell)) for cell in row))
    out.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
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
