"""`bailiwick demo`: the whole way, on a sample estate or on real corpora, with what was found and measured."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.rule import Rule

from bailiwick.cli import demo_stages as stages
from bailiwick.cli.console import out, print_json, print_table, progress_bar
from bailiwick.cli.context import Flags, flags
from bailiwick.cli.demo_material import Material, corpora, sample
from bailiwick.cli.demo_traffic import Answer, LiveServer, shares
from bailiwick.datasets.model import Row
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform

_SHOWN = 6
_USERS = 300
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
    try:
        report, server = _run(root, material, show)
    finally:
        root.platform.close()
    if root.json:
        print_json(report)
    if leave:
        server.stop()
        return
    try:
        server.wait()
    except KeyboardInterrupt:
        server.stop()
        show.say("Stopped.")


class Show:
    """What people see of the demo; silent when a program reads the report instead."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self._start = time.monotonic()
        self._stage = 0

    def stage(self, title: str) -> None:
        """Begin a stage."""
        self._stage += 1
        if not self.quiet:
            out.print(Rule(f"[bold]{self._stage}. {title}[/]  [dim]{self.seconds:.0f} s[/]", align="left"))

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        """A line of prose; rich markup is understood."""
        if not self.quiet:
            out.print(text, soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table."""
        if not self.quiet:
            print_table(title, columns, rows)

    @contextmanager
    def progress(self) -> Iterator[stages.Tell]:
        """A bar on standard error, driven by the given function."""
        with progress_bar() as bar:
            task = bar.add_task("", total=None)
            yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total)


def _run(root: Flags, material: Material, show: Show) -> tuple[dict[str, Any], LiveServer]:
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
    server = _serve(root, show)
    try:
        _live(server, queries, show, report)
        if challenger is not None:
            _promote(platform, server, challenger, queries, actor, show, report)
    except BaseException:
        server.stop()
        raise
    report["seconds"] = round(show.seconds, 1)
    _goodbye(root, server.base, challenger.domain if challenger else "DOMAIN", show)
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
        outcomes = ", ".join(f"{count} {name}" for name, count in each.outcomes.items())
        lineage = f"; lineage of {each.columns_resolved} of {each.columns_total} columns" if each.columns_total else ""
        show.say(
            f"[bold]{Path(each.paths[0]).name}[/]: {len(each.files)} files; "
            f"statements, tables and jobs: {outcomes}{lineage}"
        )
    stats = platform.graph.stats()
    show.say("Assets: " + ", ".join(f"{count:,} {kind}" for kind, count in stats.nodes.items()))
    show.say("Relations: " + ", ".join(f"{count:,} {kind}" for kind, count in stats.edges.items()))
    return {"assets": dict(stats.nodes), "relations": dict(stats.edges)}


def _detection(platform: Platform, datasets: Any, queries: list[Row], actor: Actor, show: Show) -> dict[str, Any]:
    show.stage("Detection: which domain does each asset and each query belong to?")
    with show.progress() as tell:
        learned = stages.learn_domains(platform, datasets, actor, tell)
        tagged = stages.tag_graph(platform, actor, tell)
    routed = stages.judge_detection(platform, queries)
    show.say(
        f"Tagged {tagged.tagged_nodes:,} of {tagged.nodes:,} assets "
        f"and {tagged.tagged_edges:,} of {tagged.edges:,} relations."
    )
    show.say(
        f"Learned from {sum(learned.examples.values()):,} training queries. "
        f"On {routed.queries:,} queries that it never saw: "
        f"[bold]{routed.right:.1%}[/] to the right domain, {routed.abstained:.1%} to none, {routed.cpu_us:.0f} us each."
    )
    return {"right": routed.right, "abstained": routed.abstained, "queries": routed.queries, "cpu_us": routed.cpu_us}


def _training(
    platform: Platform, datasets: Any, actor: Actor, show: Show, report: dict[str, Any]
) -> list[stages.Trained]:
    show.stage("A model per domain: trained, judged on unseen queries, deployed if the numbers allow")
    with show.progress() as tell:
        trained, refused = stages.train_all(platform, datasets, actor, tell)
    rows = [_model_row(each) for each in trained]
    show.table("Models", ("version", "accuracy", "95 % interval", "val. loss", "p95 ms", "CPU s", "decision"), rows)
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
    validation = m.get("validation_loss")
    return (
        each.evaluation.version,
        f"{m['accuracy']:.3f}",
        f"{m['accuracy_low']:.3f} to {m['accuracy_high']:.3f}",
        "" if validation is None else f"{validation:.3f}",
        f"{m['latency_p95_ms']:.2f}",
        f"{each.run.cpu_s or 0:.1f}",
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
    before = next(each.evaluation for each in trained if each.evaluation.version == challenger.champion)
    show.say(
        f"[bold]{second.version}[/], fine-tuned from {challenger.champion}: accuracy {second.metrics['accuracy']:.3f} "
        f"beside {before.metrics['accuracy']:.3f}; it gets {stages.CANARY_SHARE / 100:.0f} % "
        f"of the users of {challenger.domain}."
    )
    report["challenger"] = {"version": second.version, "metrics": dict(second.metrics)}
    return challenger


def _serve(root: Flags, show: Show) -> LiveServer:
    show.stage("Live: one endpoint for the whole fleet")
    settings = root.settings
    options = ["--home", str(settings.home)]
    if root.database_url is not None:
        options += ["--database-url", root.database_url]
    server = LiveServer(options, settings.home / "serve.log", settings.host, settings.port)
    try:
        server.wait_until_ready()
    except BaseException:
        server.stop()
        raise
    show.say(f"Serving at [bold]{server.base}[/]")
    return server


def _live(server: LiveServer, queries: list[Row], show: Show, report: dict[str, Any]) -> None:
    chosen = random.Random(7).sample(queries, min(_LIVE_QUERIES, len(queries)))  # noqa: S311  (which queries to show)
    answers = [server.ask(query, f"user-{number}") for number, query in enumerate(chosen)]
    rows = [(a.query.text, a.domain, a.text, "yes" if _right(a) else f"no: {a.query.label}") for a in answers[:_SHOWN]]
    show.table('Unseen queries, sent with model "auto"', ("query", "routed to", "answer", "right"), rows)
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

    def served() -> dict[str, int]:
        asked = ((own[number % len(own)], f"user-{number}") for number in range(_USERS))
        return shares([server.ask(query, user, challenger.domain) for query, user in asked])

    before = served()
    again = served()
    show.say(f"{_USERS} users of {challenger.domain} were served by {_counts(before)}.")
    show.say(f"Asked again, {'each user got the version of the first time' if before == again else 'the split moved'}.")
    version = challenger.trained.evaluation.version
    platform.delivery.promote(challenger.domain, version, actor=actor)
    time.sleep(3 * platform.settings.reload_interval_s)
    after = served()
    show.say(f"Promoted [bold]{version}[/]; the same users are now served by {_counts(after)}.")
    report["split"], report["promoted"] = before, after


def _counts(versions: dict[str, int]) -> str:
    return " and ".join(f"{version} ({count})" for version, count in sorted(versions.items()))


def _goodbye(root: Flags, base: str, domain: str, show: Show) -> None:
    home = f"bailiwick --home {root.settings.home}"
    show.stage("Yours")
    show.say(f'[bold]{base}/v1[/]         OpenAI-compatible: point any client here, model "auto" or a domain')
    show.say(f"[bold]{base}/docs[/]       the control plane's REST interface")
    show.say(f"[bold]{base}/metrics[/]    Prometheus metrics")
    show.say("")
    show.say(
        f"  curl -s {base}/v1/chat/completions -H 'content-type: application/json' \\\n"
        '    -d \'{"model": "auto", "messages": [{"role": "user", "content": "I lost my card"}]}\''
    )
    show.say(f"  {home} rollback {domain}        # back to the first version, at once")
    show.say(f"  {home} graph show core.card       # a table, its lineage and its domains")
    show.say(f"  {home} audit list                 # who changed what")
    show.say("")
    show.say("Press Ctrl-C to stop the server.")
