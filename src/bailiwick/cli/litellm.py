"""`bailiwick domain import-litellm`: the domains that a configuration of LiteLLM's proxy comes to."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bailiwick.cli import domain_options as options
from bailiwick.cli import domain_views as views
from bailiwick.cli.console import out, print_json
from bailiwick.cli.context import flags
from bailiwick.cli.files import write_whole
from bailiwick.domains.document import parse_document, read_json, serialise
from bailiwick.domains.litellm.convert import convert
from bailiwick.domains.sources import read_file
from bailiwick.errors import InvalidInput, Unavailable

MAX_CONFIG_BYTES = 4 << 20


def import_litellm(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The proxy's config.yaml, or the same as JSON.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and report only.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a document for `domain import` instead.")
    ] = None,
    reason: options.Reason = None,
) -> None:
    """Create domains from the configuration of a LiteLLM proxy: all of it or nothing.

    What is not carried over as it was is named, setting by setting. Keys never are.

    Examples: bailiwick domain import-litellm config.yaml --dry-run
    """
    found = convert(_read(file), str(file))
    service = flags(ctx).platform.domains
    known = [each.domain.id for each in service.list_domains()]
    document = parse_document(json.dumps(found.document).encode(), source=str(file), known_domains=known)
    told: dict[str, Any] = {"notes": [asdict(note) for note in found.notes], "commands": list(found.commands)}
    if output is not None:
        write_whole(output, serialise(document))
        told |= {"file": str(output), "domains": len(document.domains)}
    else:
        outcome = service.import_document(document, flags(ctx).actor(reason), dry_run=dry_run)
        told |= {"outcome": asdict(outcome)}
    if flags(ctx).json:
        print_json(told)
        return
    if output is not None:
        out.print(f"Wrote {len(document.domains)} domains to {output}.", markup=False)
    else:
        views.show_import(outcome)
    if found.notes:
        out.print("Not as it was:")
    for note in found.notes:
        out.print(f"  {note.where}: {note.says}", markup=False, highlight=False)
    for command in found.commands:
        views.next_step(command)
    if output is not None:
        views.next_step(f"bailiwick domain import {output}")
    else:
        views.next_step(f"bailiwick domain import-litellm {file}" if dry_run else "bailiwick domain list")


def _read(path: Path) -> Any:
    data = read_file(path)
    if len(data) > MAX_CONFIG_BYTES:
        raise InvalidInput(
            f"the file has {len(data):,} bytes", what="file", where=str(path), allowed=f"at most {MAX_CONFIG_BYTES:,}"
        )
    if path.suffix.lower() == ".json":
        return read_json(data, source=str(path))
    try:
        import yaml
    except ImportError as error:
        raise Unavailable(
            "YAML cannot be read here: the package pyyaml is not installed",
            what="file",
            where=str(path),
            remedy="pip install 'bailiwick[yaml]', or give the same configuration as a .json file",
        ) from error
    try:
        return yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none is a ValueError
        mark = getattr(error, "problem_mark", None)
        place = str(path) if mark is None else f"{path}:{mark.line + 1}:{mark.column + 1}"
        raise InvalidInput(
            f"the file is not YAML: {getattr(error, 'problem', None) or type(error).__name__}",
            what="file",
            where=place,
            remedy="see what LiteLLM itself says of it",
        ) from error
