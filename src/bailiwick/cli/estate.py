"""`bailiwick estate`: a copy of the sample estate, to try commands on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli.console import out, print_json
from bailiwick.cli.context import flags
from bailiwick.errors import Conflict

SAMPLE = Path(__file__).resolve().parents[1] / "estate"

app = typer.Typer(add_completion=False, help="Copy the sample estate here.")


@app.command()
def copy(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder to make.")] = Path("estate"),
) -> None:
    """Copy the sample estate, an invented retail bank, into a folder, to follow the docs with."""
    if folder.exists():
        raise Conflict(f"{str(folder)!r} exists already", what="folder", remedy="name another folder, or remove it")
    shutil.copytree(SAMPLE, folder)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    if flags(ctx).json:
        print_json({"folder": str(folder), "files": files})
        return
    out.print(f"Copied {len(files)} files to [bold]{folder}[/]. Next:")
    out.print(f"  bailiwick domain import {folder}/domains.json")
    out.print(f"  bailiwick extract {folder}")
