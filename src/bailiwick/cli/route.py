"""Explain where the gateway sends a query."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from bailiwick.backends.model import Operation
from bailiwick.backends.pool import UpstreamPool
from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.gateway.model import ModelRequest
from bailiwick.gateway.snapshot import Compiler
from bailiwick.gateway.sources import PlatformSources
from bailiwick.gateway.targets import targets
from bailiwick.routing.model import AUTO

app = typer.Typer(add_completion=False, help="Explain where the gateway sends a query.")


@app.command("explain")
def explain(
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(help="What a user asks.")],
    model: Annotated[str, typer.Option(help="The request's model: auto, or a domain.")] = AUTO,
    user: Annotated[str, typer.Option(help="The request's user: keeps a version.")] = "anonymous",
) -> None:
    """Say which domain and version would answer a query, and why; nothing is sent.

    Example: bailiwick route explain "where is my new card" --user ada
    """
    platform = flags(ctx).platform
    snapshot = Compiler(PlatformSources(platform), UpstreamPool(), os.environ, platform.clock).compile(None)
    request = ModelRequest(Operation.CHAT, model, None, query, user, False, {})
    found = list(targets(request, snapshot, user))
    first = found[0]
    if flags(ctx).json:
        print_json(
            {
                "domain": first.route.domain,
                "version": first.version,
                "method": first.route.method.value,
                "confidence": first.route.confidence,
                "reason": first.route.reason,
                "alternatives": first.route.alternatives,
                "fallbacks": [target.route.domain for target in found[1:]],
            }
        )
        return
    out.print(f"[bold]{first.route.domain}[/] answers with {first.version}")
    out.print(f"  {first.route.method.value}, confidence {first.route.confidence:.3f}: ", end="")
    out.print(first.route.reason, markup=False)
    if len(found) > 1:
        out.print(f"  if it cannot: {', '.join(target.route.domain for target in found[1:])}")
    if first.route.alternatives:
        print_table("Other candidates", ("domain", "score"), first.route.alternatives)
    for problem in snapshot.problems:
        out.print(f"  not served: {problem}", markup=False, style="dim")


@app.callback()
def main() -> None:
    """Explain where the gateway sends a query."""
