"""Show the servers behind upstream models, as a running gateway sees them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Annotated, Any

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.domains.schema import checked_http_url
from bailiwick.errors import InvalidInput, Unavailable

app = typer.Typer(add_completion=False, help="Show the servers behind upstream models, as a running gateway sees them.")

_WITHIN_S = 10


@app.command("list")
def list_backends(
    ctx: typer.Context,
    url: Annotated[str | None, typer.Option(help="The running server; default: host and port of the settings.")] = None,
) -> None:
    """List the replicas of upstream models, and the members of ensembles: state, load, latency and failures.

    What a gateway has learned of its upstreams lives in its process, so it must be running.

    Example: bailiwick backend list --url http://127.0.0.1:8700
    """
    settings = flags(ctx).settings
    found = _fetched(url or f"http://{settings.host}:{settings.port}")
    if flags(ctx).json:
        print_json(found)
        return
    if not found:
        out.print("The gateway calls no upstream and serves no ensemble.")
        out.print("`bailiwick domain create --help` and `bailiwick ensemble create --help` show how one is named.")
        return
    members = [each for each in found if each.get("kind") == "ensemble_member"]
    replicas = [each for each in found if each not in members]
    if replicas:
        columns = ("domain", "replica", "state", "under way", "latency ms", "calls", "failures")
        rows = [(each["domain"], each["replica"], *_seen(each)) for each in replicas]
        print_table("Upstreams", columns, rows)
    for ensemble in dict.fromkeys(each["ensemble"] for each in members):
        own = [each for each in members if each["ensemble"] == ensemble]
        headings = ("member", "state", "under way", "p95 ms", "calls", "failures")
        print_table(f"Members of {ensemble}", headings, [(each["member"], *_seen(each)) for each in own])
        for each in own:
            if each["why"]:
                out.print(f"{each['member']}: {each['why']}", soft_wrap=True)


def _seen(each: dict[str, Any]) -> tuple[Any, ...]:
    """State, load, latency and failures of one."""
    state = each["state"] if each["share"] == 1 else f"{each['state']} ({each['share']:.0%})"
    return state, each["under_way"], f"{each['latency_ms']:.1f}", each["calls"], each["failures"]


def _fetched(url: str) -> list[dict[str, Any]]:
    try:
        address = checked_http_url(url)
    except ValueError as error:
        raise InvalidInput(f"--url {error}", what="--url", requested=url[:200]) from error
    try:
        with urllib.request.urlopen(f"{address}/v1/backends", timeout=_WITHIN_S) as response:  # noqa: S310 - checked
            found: list[dict[str, Any]] = json.load(response)["data"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            f"no gateway answers at {address}: {getattr(error, 'reason', None) or type(error).__name__}",
            what="--url",
            requested=address,
            remedy="start it with `bailiwick serve`, or name it with --url",
        ) from error
    return found


@app.callback()
def main() -> None:
    """Show the servers behind upstream models, as a running gateway sees them."""
