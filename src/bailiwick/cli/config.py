"""`bailiwick config`: every setting, its value and where it came from."""

from __future__ import annotations

import os
from typing import Any

import typer
from pydantic import SecretStr
from sqlalchemy import make_url

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.settings import Settings, config_file, file_values

app = typer.Typer(add_completion=False, help="Print every setting and where it came from.")


@app.command()
def show(ctx: typer.Context) -> None:
    """Print every setting, its value, where it came from and what it is for.

    A flag wins over the environment (BAILIWICK_<NAME>), the environment over the file. Passwords are not shown.
    """
    chosen = flags(ctx)
    rows = [_row(chosen.settings, name, chosen.given) for name in Settings.model_fields]
    if chosen.json:
        print_json([dict(zip(("name", "value", "origin", "meaning"), row, strict=True)) for row in rows])
        return
    print_table("Settings", ("name", "value", "from", "meaning"), rows)
    out.print(f"[dim]File: {config_file() or 'none (bailiwick.toml here, or $BAILIWICK_CONFIG)'}[/]")


def _row(settings: Settings, name: str, given: dict[str, Any]) -> tuple[str, Any, str, str | None]:
    value = getattr(settings, name)
    shown = "(set)" if isinstance(value, SecretStr) else value if isinstance(value, int | float) else _text(value)
    return name, shown, _origin(name, given), Settings.model_fields[name].description


def _text(value: Any) -> str | None:
    if isinstance(value, str) and "://" in value:
        return make_url(value).render_as_string(hide_password=True)
    return None if value is None else str(value)


def _origin(name: str, given: dict[str, Any]) -> str:
    if given.get(name) is not None:
        return "flag"
    if f"BAILIWICK_{name.upper()}" in os.environ:
        return "environment"
    return "file" if name in file_values() else "default"
