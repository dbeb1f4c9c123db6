"""`bailiwick dataset`: import, list and show training data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.datasets.from_graph import GraphSelection
from bailiwick.datasets.model import Dataset, Split
from bailiwick.datasets.readers import Columns
from bailiwick.datasets.splitting import Shares
from bailiwick.graph.model import NodeKind

app = typer.Typer(add_completion=False, help="Import, list and show training data.", no_args_is_help=True)

_USUAL = Shares()


@app.command("import")
def import_file(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Labelled texts: .csv, .tsv or .jsonl.")],
    name: Annotated[str | None, typer.Option(help="Name of the data set; default: from the file.")] = None,
    domain: Annotated[str | None, typer.Option(help="Domain of every row.")] = None,
    domain_column: Annotated[str | None, typer.Option(help="Column of the domain; default: domain.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text; default: text, query...")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label; default: label, intent...")] = None,
    unit_column: Annotated[
        str | None, typer.Option(help="Column of the person or thing a row came from: never in two splits.")
    ] = None,
    split_column: Annotated[str | None, typer.Option(help="Column of train, validation or test.")] = None,
    test_file: Annotated[Path | None, typer.Option(help="Rows to judge with; FILE is then for training.")] = None,
    validation_file: Annotated[Path | None, typer.Option(help="Rows to choose and calibrate with.")] = None,
    test_share: Annotated[float, typer.Option(min=0, max=0.9, help="Of rows without a split.")] = _USUAL.test,
    validation_share: Annotated[float, typer.Option(min=0, max=0.9)] = _USUAL.validation,
    independent_units: Annotated[
        bool, typer.Option(help="Clean and split each unit on its own, for private training.")
    ] = False,
) -> None:
    """Snapshot a labelled file as a data set, split without leakage.

    Example: bailiwick dataset import estate/queries.csv --unit-column customer
    """
    snapshot = flags(ctx).platform.datasets.import_file(
        file,
        actor=flags(ctx).actor(),
        name=name,
        columns=Columns(text_column, label_column, domain_column, unit_column, split_column),
        domain=domain,
        test=test_file,
        validation=validation_file,
        shares=Shares(test_share, validation_share),
        independent_units=independent_units,
    )
    if flags(ctx).json:
        print_json(snapshot)
        return
    _print(snapshot)
    first = next(iter(snapshot.domains))
    out.print(f"\nNext: [bold]bailiwick train {first} --dataset {snapshot.name}[/]")


@app.command("from-graph")
def from_graph(
    ctx: typer.Context,
    domain: Annotated[str, typer.Argument(help="Whose model the rows are to train.")],
    name: Annotated[str | None, typer.Option(help="Name of the data set; default: graph-DOMAIN.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Only elements tagged with this domain; repeatable; default: all.")
    ] = None,
    kind: Annotated[list[NodeKind] | None, typer.Option(help="Only such elements; repeatable.")] = None,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Of the tag.")] = 0.5,
) -> None:
    """Snapshot the tagged graph: statements, tables and columns as texts, their domains as labels.

    Example: bailiwick dataset from-graph estate --name tagged
    """
    usual = GraphSelection(domain)
    selection = GraphSelection(domain, tuple(label or ()), tuple(kind or usual.kinds), min_score)
    platform = flags(ctx).platform
    snapshot = platform.datasets.import_graph(
        platform.graph, selection, name=name or f"graph-{domain}", actor=flags(ctx).actor()
    )
    if flags(ctx).json:
        print_json(snapshot)
        return
    _print(snapshot)
    out.print(f"\nNext: [bold]bailiwick train {domain} --dataset {snapshot.name}[/]")


@app.command("list")
def list_datasets(ctx: typer.Context) -> None:
    """Every data set, newest first."""
    found = flags(ctx).platform.datasets.list()
    if flags(ctx).json:
        print_json(found)
        return
    rows = [(d.id, d.rows, len(d.domains), d.source, d.created_at) for d in found]
    print_table("Data sets", ("id", "rows", "domains", "source", "made (UTC)"), rows)
    if not found:
        out.print("None yet. Next: [bold]bailiwick dataset import FILE[/]")


@app.command("show")
def show(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Name or id.")],
    domain: Annotated[str | None, typer.Option(help="Show the labels of this domain.")] = None,
) -> None:
    """One data set: rows by domain and split, and what was left out on the way in.

    Example: bailiwick dataset show queries --domain cards
    """
    snapshot = flags(ctx).platform.datasets.get(dataset)
    if flags(ctx).json:
        print_json(snapshot)
        return
    _print(snapshot)
    if domain:
        labels = sorted(snapshot.labels.get(domain, {}).items(), key=lambda item: (-item[1], item[0]))
        print_table(f"Labels of {domain}", ("label", "rows"), labels)


def _print(snapshot: Dataset) -> None:
    out.print(f"Data set [bold]{snapshot.id}[/] from {snapshot.source}, sha256 {snapshot.sha256[:16]}...")
    rows = [
        (domain, *(counts.get(split, 0) for split in Split), len(snapshot.labels[domain]))
        for domain, counts in snapshot.domains.items()
    ]
    print_table(f"{snapshot.rows} rows", ("domain", "train", "validation", "test", "labels"), rows)
    found = snapshot.findings
    notes = {
        "without a text, label or domain, left out": found.empty,
        "repeated, left out": found.duplicates,
        "with a text or unit that a judging split holds, left out": found.leaking,
        "with a text that carries two labels, kept": found.conflicting,
    }
    for meaning, count in notes.items():
        if count:
            out.print(f"  {count} rows {meaning}")
    for place in found.examples:
        out.print(f"    [dim]{place}[/]", highlight=False)
