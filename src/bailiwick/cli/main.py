"""The root command. Each subcommand's module is imported only when it is used, so that `--help` answers at once."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from bailiwick import __version__
from bailiwick.cli.boundary import let_through, typed
from bailiwick.cli.console import fail
from bailiwick.cli.context import Flags
from bailiwick.errors import BailiwickError

# name: (module, the line shown by --help). The order is the order of the way of the data.
_COMMANDS = {
    "demo": ("bailiwick.cli.demo", "Run the whole way on a sample estate, then serve it."),
    "estate": ("bailiwick.cli.estate", "Copy the sample estate here, to try commands on."),
    "serve": ("bailiwick.cli.serve", "Serve the control plane and the gateway."),
    "config": ("bailiwick.cli.config", "Print every setting and where it came from."),
    "domain": ("bailiwick.cli.domain", "Create, change, list, import and export domains."),
    "extract": ("bailiwick.cli.extract", "Read files into the knowledge graph."),
    "graph": ("bailiwick.cli.graph", "Look into the knowledge graph."),
    "detect": ("bailiwick.cli.detect", "Tag the graph, or a text, with domains."),
    "dataset": ("bailiwick.cli.dataset", "Import, list and show training data."),
    "privacy": ("bailiwick.cli.privacy", "Privacy budgets, private releases, and audits of both."),
    "train": ("bailiwick.cli.train", "Train and evaluate a domain's model."),
    "model": ("bailiwick.cli.models", "List and show model versions and their evaluations."),
    "ensemble": ("bailiwick.cli.ensemble", "Versions that are several models deciding together."),
    "gate": ("bailiwick.cli.gate", "Show, set and try what a domain asks of a deployment."),
    "deploy": ("bailiwick.cli.deploy", "Deploy a version if the gates allow it."),
    "rollout": ("bailiwick.cli.rollout", "Let a version in step by step, on evidence."),
    "deployment": ("bailiwick.cli.deployment", "List deployments; approve or reject those that wait."),
    "traffic": ("bailiwick.cli.traffic", "Show and shift the traffic between versions."),
    "rollback": ("bailiwick.cli.rollback", "Go back to the version served before."),
    "metrics": ("bailiwick.cli.metrics", "Show, compare and rank what was observed, and its trends."),
    "cache": ("bailiwick.cli.cache", "Keep answers for the same question asked again."),
    "route": ("bailiwick.cli.route", "Explain, rule, learn and judge where queries go."),
    "backend": ("bailiwick.cli.backends", "Show the servers behind upstream models."),
    "experiment": ("bailiwick.cli.experiment", "Compare versions on live traffic, and ship the better one."),
    "key": ("bailiwick.cli.key", "Keys of clients of the gateway, limits, and usage."),
    "webhook": ("bailiwick.cli.webhook", "Tell other systems of changes, by signed webhooks."),
    "audit": ("bailiwick.cli.audit", "Show who changed what."),
}


class LazyCommands(TyperGroup):
    """A group that knows its commands' names and help lines without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in with the help line, for listings."""
        if cmd_name not in _COMMANDS:
            return None
        listing = typer.Typer()
        listing.command(name=cmd_name, help=_COMMANDS[cmd_name][1])(lambda: None)
        return typer.main.get_command(listing)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is about to run: only its module is imported."""
        name = args[0]
        if name not in _COMMANDS:
            return super().resolve_command(ctx, args)  # says what was meant, and exits
        command = typer.main.get_command(importlib.import_module(_COMMANDS[name][0]).app)
        command.name = name
        return name, command, args[1:]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accept ``--json`` anywhere on the line, before or after the command."""
        own = args[: args.index("--")] if "--" in args else args
        if "--json" in own:
            args = ["--json", *(arg for arg in own if arg != "--json"), *args[len(own) :]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run, and turn every error into a message and an exit code."""
        try:
            return super().invoke(ctx)
        except (TyperException, typer.Exit, typer.Abort, BrokenPipeError):
            raise  # typer has its own way with them
        except Exception as error:
            if not isinstance(error, BailiwickError) and let_through():
                raise
            fail(typed(error), as_json=bool(ctx.params.get("json")))


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Bailiwick runs a fleet of domain models: from your files to the right answer, safely.",
)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    home: Annotated[str | None, typer.Option(help="Folder for the default database and the artefacts.")] = None,
    database_url: Annotated[str | None, typer.Option(help="Main database, SQLite or PostgreSQL.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; works with every command.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Options that every command shares."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
    ctx.obj = Flags(home=home, database_url=database_url, json=json)


def run() -> None:
    """Entry point of the `bailiwick` command."""
    try:
        app(prog_name="bailiwick")
    except KeyboardInterrupt:
        sys.exit(130)
