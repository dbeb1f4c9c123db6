"""`bailiwick demo`: the whole way, on a sample estate or on real corpora, with what was found and measured."""

from __future__ import annotations

import random
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from bailiwick.cli import demo_stages as stages
from bailiwick.cli.console import counted, print_json
from bailiwick.cli.context import Flags, flags
from bailiwick.cli.demo_material import Material, corpora, sample
from bailiwick.cli.demo_show import Show
from bailiwick.cli.demo_traffic import Answer, LiveServer
from bailiwick.datasets.model import Row
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform

_SHOWN = 6
_SHOWN_CHARACTERS = 28
_USERS = 500
_LIVE_QUERIES = 200

app = typer.Typer(add_completion=False, help="Run the whole way on a sample estate, then serve it.")


@app.command()
def demo(
    ctx: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Run on the real corpora in this folder instead.")] = None,
    leave: Annotated[bool, typer.Option("--exit", help="End after the report instead of serving on.")] = False,
) -> None:
    """Run every stage on a sample bank, print what was found and measured, and leave the server running.

    The state goes to the home folder (--home, default .bailiwick), so every other command can look at it afterwards.

    Examples:
      bailiwick demo --exit
      bailiwick --home /tmp/try demo --data ../shared/data
    """
    root = flags(ctx)
    material = corpora(data) if data else sample()
    show = Show(quiet=root.json)
    with _interruptible() as interrupted, ExitStack() as cleanup:
        cleanup.callback(root.platform.close)
        report, server = _run(root, material, show, cleanup)
        if root.json:
            print_json(report)
        _goodbye(root, server.base, report, leave, show)
        if not leave:
            server.wait(interrupted)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Let SIGTERM end the program as Ctrl-C does, so that the server does not outlive it.

    Yields whether that was asked: what a handler raises is lost where Python ignores exceptions, as in a finaliser.
    """
    asked: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(root: Flags, material: Material, show: Show, cleanup: ExitStack) -> tuple[dict[str, Any], LiveServer]:
    platform, actor = root.platform, root.actor("demo")
    report: dict[str, Any] = {"material": material.title}
    show.say(f"[bold]Bailiwick[/] on {escape(material.title)}; state in [bold]{platform.settings.home}[/]")
    report["domains"] = _domains(platform, material, actor, show)
    report["extraction"] = _extraction(platform, material, actor, show)
    show.stage("Labelled queries become versioned training data")
    datasets = stages.import_labelled(platform, material.labelled, actor)
    for each in datasets:
        counts = {split: sum(sizes.get(split, 0) for sizes in each.domains.values()) for split in _SPLITS}
        show.say(f"[bold]{each.id}[/]: {each.rows:,} queries, " + ", ".join(f"{n:,} {s}" for s, n in counts.items()))
    queries = stages.unseen(platform, datasets)
    report["detection"] = _detection(platform, datasets, queries, actor, show)
    trained = _training(platform, datasets, actor, show, report)
    challenger = _challenger(platform, trained, actor, show, report)
    server = _serve(root, show, cleanup)
    _live(server, queries, show, report)
    if challenger is not None:
        _promote(platform, server, challenger, queries, actor, show, report)
    report["seconds"] = round(show.seconds, 1)
    report["stages"] = show.stages
    return report, server


_SPLITS = ("train", "validation", "test")


def _domains(platform: Platform, material: Material, actor: Actor, show: Show) -> list[str]:
    show.stage("Domains: the areas of expertise")
    active = stages.import_domains(platform, material, actor)
    show.say(f"{len(active)} active domains: {', '.join(active)}")
    return active


def _extraction(platform: Platform, material: Material, actor: Actor, show: Show) -> dict[str, Any]:
    show.stage("Extraction: files become a knowledge graph")
    with show.progress() as tell:
        reports = stages.extract(platform, material, actor, tell)
    for each in reports:
        lineage = f"; lineage of {each.columns_resolved} of {each.columns_total} columns" if each.columns_total else ""
        show.say(
            f"[bold]{Path(each.paths[0]).name}[/]: {len(each.files)} files; "
            f"statements, tables and jobs: {counted(each.outcomes)}{lineage}"
        )
    stats = platform.graph.stats()
    show.say(f"Assets: {counted(stats.nodes)}")
    show.say(f"Relations: {counted(stats.edges)}")
    chain = stages.longest_lineage(platform)
    if chain:
        show.say("The longest way of a column: " + " [dim]->[/] ".join(map(escape, chain)))
    return {"assets": dict(stats.nodes), "relations": dict(stats.edges), "longest_lineage": chain}


def _detection(platform: Platform, datasets: Any, queries: list[Row], actor: Actor, show: Show) -> dict[str, Any]:
    show.stage("Detection: which domain does each asset and each query belong to?")
    with show.progress() as tell:
        learned = stages.learn_domains(platform, datasets, actor, tell)
        tagged = stages.tag_graph(platform, actor, tell)
    routed = stages.judge_detection(platform, queries)
    show.say(
        f"Tagged {tagged.tagged_nodes:,} of {tagged.nodes:,} assets "
        f"and {tagged.tagged_edges:,} of {tagged.edges:,} relations, such as:"
    )
    width = max((len(each.domain) for each in tagged.domains), default=0)
    for each in tagged.domains[:_SHOWN]:
        show.say(f"  {each.domain:<{width}}  {escape(', '.join(each.examples[:2]))}", whole=True)
    show.say(
        f"Learned from {sum(learned.examples.values()):,} training queries. "
        f"On {routed.queries:,} queries that it never saw: "
        f"[bold]{routed.right:.1%}[/] to the right domain, {routed.abstained:.1%} to none, {routed.cpu_us:.0f} us each."
    )
    example = next((each.examples[0] for each in tagged.domains if each.examples), None)
    return {**asdict(routed), "tagged": tagged.tagged_nodes, "assets": tagged.nodes, "example": example}


def _training(
    platform: Platform, datasets: Any, actor: Actor, show: Show, report: dict[str, Any]
) -> list[stages.Trained]:
    show.stage("A model per domain, deployed only if the numbers allow")
    with show.progress() as tell:
        trained, refused = stages.train_all(platform, datasets, actor, tell)
    rows = [_model_row(each) for each in trained]
    show.table("Judged on unseen queries", ("version", "queries", "accuracy", "95 % interval", "p95 ms", "gates"), rows)
    for each in trained:
        for gate in each.deployment.gates:
            if not gate.passed:
                show.say(f"[yellow]held[/] {each.evaluation.version}: {escape(gate.reason)}")
    for domain, reason in refused.items():
        show.say(f"[yellow]not trained[/] {domain}: {escape(reason)}")
    report["models"] = [
        {
            "version": each.evaluation.version,
            "decision": each.deployment.status,
            "cpu_s": each.run.cpu_s,
            "metrics": dict(each.evaluation.metrics),
        }
        for each in trained
    ]
    report["not_trained"] = refused
    return trained


def _model_row(each: stages.Trained) -> tuple[Any, ...]:
    m = each.evaluation.metrics
    return (
        each.evaluation.version,
        int(m["test_examples"]),
        f"{m['accuracy']:.3f}",
        f"{m['accuracy_low']:.3f}-{m['accuracy_high']:.3f}",
        f"{m['latency_p95_ms']:.2f}",
        each.deployment.status.value,
    )


def _challenger(
    platform: Platform, trained: list[stages.Trained], actor: Actor, show: Show, report: dict[str, Any]
) -> stages.Challenger | None:
    show.stage("A second version takes a fifth of the users")
    challenger = stages.challenge(platform, trained, actor)
    if challenger is None:
        show.say("No second version passed the gates, so all traffic stays where it is.")
        return None
    second = challenger.trained.evaluation
    compared = challenger.comparison
    show.say(
        f"[bold]{second.version}[/], fine-tuned from {challenger.champion}: "
        f"accuracy {compared.second_accuracy:.3f} beside {compared.first_accuracy:.3f}."
    )
    show.say(
        f"On the same queries the difference is {compared.result.difference:+.3f} "
        f"(95 % interval {compared.result.low:+.3f} to {compared.result.high:+.3f}): {compared.verdict}. "
        f"It gets {stages.CANARY_SHARE / 100:.0f} % of the users of {challenger.domain}."
    )
    report["challenger"] = {
        "domain": challenger.domain,
        "champion": challenger.champion,
        "version": second.version,
        "difference": compared.result.difference,
        "verdict": compared.verdict,
    }
    return challenger


def _serve(root: Flags, show: Show, cleanup: ExitStack) -> LiveServer:
    show.stage("Live: one endpoint for the whole fleet")
    settings = root.settings
    options = ["--home", str(settings.home)]
    if root.database_url is not None:
        options += ["--database-url", root.database_url]
    server = LiveServer(options, settings.home / "serve.log", settings.host, settings.port)
    cleanup.callback(server.stop)
    server.wait_until_ready()
    show.say(f"Serving at [bold]{server.base}[/]")
    return server


def _live(server: LiveServer, queries: list[Row], show: Show, report: dict[str, Any]) -> None:
    chosen = random.Random(7).sample(queries, min(_LIVE_QUERIES, len(queries)))  # noqa: S311  (which queries to show)
    answers = [server.ask(query, f"user-{number}") for number, query in enumerate(chosen)]
    rows = [("yes" if _right(a) else "no", _shortened(a.query.text), f"{a.domain}: {a.text}") for a in answers[:_SHOWN]]
    show.table('Unseen queries, sent with model "auto"', ("right", "query", "answer"), rows, whole=("query", "answer"))
    latencies = sorted(answer.latency_ms for answer in answers)
    live = {
        "queries": len(answers),
        "routed_right": sum(a.domain == a.query.domain for a in answers) / len(answers),
        "answered_right": sum(_right(a) for a in answers) / len(answers),
        "latency_p50_ms": statistics.median(latencies),
        "latency_p95_ms": latencies[int(len(latencies) * 0.95)],
    }
    show.say(
        f"{len(answers)} live queries: {live['routed_right']:.1%} routed right, "
        f"[bold]{live['answered_right']:.1%}[/] answered right end to end; "
        f"{live['latency_p50_ms']:.1f} ms median, {live['latency_p95_ms']:.1f} ms p95, connection included."
    )
    report["live"] = live


def _right(answer: Answer) -> bool:
    return (answer.domain, answer.text) == (answer.query.domain, answer.query.label)


def _promote(
    platform: Platform,
    server: LiveServer,
    challenger: stages.Challenger,
    queries: list[Row],
    actor: Actor,
    show: Show,
    report: dict[str, Any],
) -> None:
    show.stage("Shift and promote")
    own = [query for query in queries if query.domain == challenger.domain]
    version = challenger.trained.evaluation.version

    def served() -> list[str]:
        """The version that each user gets, user by user."""
        asked = ((own[number % len(own)], f"user-{number}") for number in range(_USERS))
        return [server.ask(query, user, challenger.domain).version for query, user in asked]

    before, again = served(), served()
    moved = sum(first != second for first, second in zip(before, again, strict=True))
    share = before.count(version) / _USERS
    show.say(f"{_USERS} users of {challenger.domain}: {share:.1%} were served by the new {version}.")
    show.say(f"All of them asked again: {moved} got another version than the first time.")
    platform.delivery.promote(challenger.domain, version, actor=actor)
    time.sleep(3 * platform.settings.reload_interval_s)
    after = served()
    show.say(
        f"Promoted: {after.count(version)} of the same {_USERS} users of {challenger.domain} "
        f"are now served by [bold]{version}[/]."
    )
    report["split"] = {"users": _USERS, "asked": stages.CANARY_SHARE / 10_000, "share": share, "moved": moved}
    report["promoted"] = {"version": version, "share": after.count(version) / _USERS}


def _goodbye(root: Flags, base: str, report: dict[str, Any], leave: bool, show: Show) -> None:
    home = f"{_program()} --home {root.settings.home}"
    asset = report["detection"]["example"]
    show.stage("Yours")
    if leave:
        show.say("The server is stopped again (--exit); everything else is kept. Go on with:\n")
        show.say(f"  {home} serve   [dim]# serve the fleet again[/]", whole=True)
    else:
        for path, meaning in (
            ("/v1", "OpenAI-compatible: point any client here"),
            ("/docs", "the control plane's REST interface"),
            ("/metrics", "Prometheus metrics"),
        ):
            show.say(f"  [bold]{base + path:<32}[/] {meaning}", whole=True)
        show.say(
            f"\n  curl -s {base}/v1/chat/completions -H 'content-type: application/json' \\\n"
            '    -d \'{"model": "auto", "messages": [{"role": "user", "content": "I lost my card"}]}\'',
            whole=True,
        )
    if "challenger" in report:
        show.say(
            f"  {home} rollback {report['challenger']['domain']}   [dim]# back to the first version[/]", whole=True
        )
    if asset is not None:
        show.say(f"  {home} graph show {escape(asset)}   [dim]# its lineage and domains[/]", whole=True)
    show.say(f"  {home} audit list   [dim]# who changed what[/]", whole=True)
    if not leave:
        show.say("\nPress Ctrl-C to stop the server.")


def _program() -> str:
    """How to call this program from here: by its path where it is not on the search path."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "bailiwick" and shutil.which("bailiwick") is None else "bailiwick"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
