"""`bailiwick audit`: who changed what, and the proof that nobody rewrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli.audit_verify import verify_database, verify_file, verify_proof
from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.errors import InvalidInput
from bailiwick.governance.audit import AuditEntry

app = typer.Typer(add_completion=False, help="Show who changed what, and prove that nobody rewrote it.")


@app.command("list")
def list_entries(
    ctx: typer.Context,
    subject: Annotated[str | None, typer.Option(help="Only this subject, such as domain:cards.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 20,
) -> None:
    """The latest changes, newest first."""
    entries = flags(ctx).platform.audit.entries(subject=subject, limit=limit)
    if flags(ctx).json:
        print_json(entries)
        return
    rows = [(e.sequence, e.at, e.actor, _change(e)) for e in entries]
    print_table("Audit trail", ("#", "at (UTC)", "who", "change"), rows)
    if len(entries) == limit:
        out.print("Older ones: add [bold]--limit N[/]; one subject's: [bold]--subject domain:NAME[/]")


@app.command()
def verify(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Option(help="Verify an export instead; needs no database.")] = None,
    proof: Annotated[Path | None, typer.Option(help="Verify one proof instead; needs no database.")] = None,
    heads: Annotated[Path | None, typer.Option(help="More signed heads, kept elsewhere, to hold it against.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Trust heads of this key alone (a line of `bailiwick audit key`).")
    ] = None,
) -> None:
    """Hash every entry again and hold the trail against every signed head. Exits with 1 when something is wrong.

    Examples: bailiwick audit verify · bailiwick audit verify --file audit.jsonl --heads anchored-heads --key KEY
    """
    if file is not None and proof is not None:
        raise InvalidInput("verify an export or a proof, not both", what="file", remedy="leave one out")
    if proof is not None:
        verify_proof(ctx, proof, key)
    elif file is not None:
        verify_file(ctx, file, heads, key)
    else:
        verify_database(ctx, heads, key)


@app.command()
def prove(
    ctx: typer.Context,
    sequence: Annotated[int, typer.Argument(min=1, help="Number of the entry, as `audit list` shows it.")],
    to: Annotated[Path | None, typer.Option("--to", help="Write the proof to this file.")] = None,
) -> None:
    """Prove that an entry is in the trail: its text, its path in the tree, and the signed head.

    The proof is JSON, and is verified without the database: bailiwick audit verify --proof FILE
    """
    found = flags(ctx).platform.transparency.prove(sequence)
    if to is None:
        print_json(found)
        return
    from bailiwick.governance.proof import proof_text

    to.write_text(proof_text(found), "utf-8")
    if flags(ctx).json:
        print_json({"file": to, "sequence": sequence, "position": found.position})
    else:
        out.print(f"entry {sequence} is leaf {found.position} of the tree; the proof is in {to}", soft_wrap=True)


@app.command()
def export(
    ctx: typer.Context,
    to: Annotated[Path, typer.Argument(help="File to write, JSON lines.")],
) -> None:
    """Write the whole trail with its signed heads, for an auditor who has no access to the database."""
    count = 0
    with to.open("w", encoding="utf-8") as file:
        for line in flags(ctx).platform.transparency.export():
            file.write(line + "\n")
            count += line.startswith('{"position"')
    if flags(ctx).json:
        print_json({"file": to, "entries": count})
    else:
        out.print(f"{count} entries are in {to}. Verify it anywhere with:", soft_wrap=True)
        key = flags(ctx).platform.transparency.verifier_key
        out.print(f"  bailiwick audit verify --file {to} --key '{key}'", markup=False, soft_wrap=True)


@app.command()
def head(ctx: typer.Context) -> None:
    """Sign a head over everything recorded until now, and give it to every anchor."""
    made, problems = flags(ctx).platform.transparency.publish()
    if flags(ctx).json:
        print_json({"size": made.size, "root": made.root.hex(), "note": made.note, "problems": problems})
        return
    out.print(made.note, markup=False, highlight=False, soft_wrap=True)
    for problem in problems:
        out.print(f"[yellow]{problem}[/]", soft_wrap=True)


@app.command("key")
def show_key(ctx: typer.Context) -> None:
    """The public key that heads are verified with; give it to your auditors once, by another way."""
    key = flags(ctx).platform.transparency.verifier_key
    if flags(ctx).json:
        print_json({"key": key})
    else:
        out.print(key, markup=False, highlight=False, soft_wrap=True)


def _change(entry: AuditEntry) -> str:
    kind, _, name = entry.subject.partition(":")
    subject = name if name.startswith(f"{kind}-") else entry.subject
    return f"{entry.action} {subject}" + (f" ({entry.reason})" if entry.reason else "")


@app.callback()
def main() -> None:
    """Show who changed what, and prove that nobody rewrote it."""
