"""The three ways of `bailiwick audit verify`: the database, an export, one proof."""

from __future__ import annotations

from pathlib import Path

import typer

from bailiwick.cli.console import out, print_json
from bailiwick.cli.context import flags
from bailiwick.errors import InvalidInput
from bailiwick.governance.anchors import read_heads
from bailiwick.governance.checkpoint import parse, parse_verifier_key
from bailiwick.governance.export import read_export
from bailiwick.governance.proof import read_proof, verify_inclusion_proof
from bailiwick.governance.verify import SourcedHead, Verification, verify_trail


def verify_database(ctx: typer.Context, heads: Path | None, key: str | None) -> None:
    """Hold the database against its heads, the anchors' and those given."""
    keys = None if key is None else [parse_verifier_key(key)]
    _report(ctx, flags(ctx).platform.transparency.verify(_given(heads), keys), "the database")


def verify_file(ctx: typer.Context, file: Path, heads: Path | None, key: str | None) -> None:
    """Hold an export against its own heads and those given; nothing else is asked."""
    export = read_export(file)
    inside = [SourcedHead(head, "database") for head in export.heads]
    found = verify_trail(export.entries, [*inside, *_given(heads)], [parse_verifier_key(key or export.key)])
    _report(ctx, found, str(file))
    if key is None and not flags(ctx).json:
        out.print("The key is the one that the file itself names: add [bold]--key[/] with the one you know.")


def verify_proof(ctx: typer.Context, file: Path, key: str | None) -> None:
    """Check one inclusion proof."""
    if key is None:
        raise InvalidInput(
            "a proof is verified with a key that you know",
            what="key",
            remedy="add --key with the line that `bailiwick audit key` prints on the server",
        )
    proof = read_proof(file)
    problem = verify_inclusion_proof(proof, parse_verifier_key(key))
    size = parse(proof.head).size
    if flags(ctx).json:
        print_json({"proved": problem is None, "problem": problem, "position": proof.position, "size": size})
    elif problem is None:
        out.print(f"[green]proved[/]: leaf {proof.position} of the {size} that were signed is")
        out.print(proof.body, markup=False, soft_wrap=True)
    else:
        out.print(f"[red]not proved[/]: {problem}")
    if problem is not None:
        raise typer.Exit(1)


def _given(heads: Path | None) -> list[SourcedHead]:
    if heads is None:
        return []
    try:
        return [SourcedHead(head, str(heads)) for head in read_heads(heads)]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{heads} cannot be read: {error}", what="heads", where=str(heads)) from error


def _report(ctx: typer.Context, found: Verification, what: str) -> None:
    if flags(ctx).json:
        print_json(
            {
                "intact": found.intact,
                "entries": found.entries,
                "waiting": found.waiting,
                "heads": found.heads,
                "anchored": found.anchored,
                "findings": found.findings,
            }
        )
    elif found.intact:
        out.print(f"[green]intact[/]: {found.entries} entries, {found.heads} signed heads agree with them")
        if found.anchored < found.entries:
            beyond = found.entries - found.anchored
            out.print(
                f"{beyond} of them are under no head outside {what}: who owns it and the signing key could still"
                " rewrite those.",
                soft_wrap=True,
            )
    else:
        out.print(f"[red]not intact[/] ({found.entries} entries):")
        for finding in found.findings:
            out.print(f"  - {finding}", markup=False, soft_wrap=True)
    if not found.intact:
        raise typer.Exit(1)
