"""`bailiwick ensemble`: versions that are several models deciding together."""

from __future__ import annotations

from typing import Annotated

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.cli.ensemble_options import Options, members_of
from bailiwick.cli.ensemble_views import print_explanation, print_report, print_version
from bailiwick.datasets.model import Split
from bailiwick.models.ensemble.selection import Limits
from bailiwick.models.ensemble.spec import TEXTS, Strategy

app = typer.Typer(
    add_completion=False,
    help="Versions that are several models deciding together. An ensemble is deployed, compared and rolled back like "
    "any other version.",
    no_args_is_help=True,
)

REFERENCE = "VERSION|DOMAIN"
_Members = Annotated[
    list[str],
    typer.Option("--member", help="DOMAIN@VERSION, a version, DOMAIN~1, or a domain (whatever it serves); several."),
]
_Costs = Annotated[
    list[str] | None, typer.Option("--cost", metavar="MEMBER=NUMBER", help="Of 1,000 tokens, in any unit.")
]
_Quorum = Annotated[int | None, typer.Option(help="Members that must answer; default: more than half.")]
_Deadline = Annotated[float, typer.Option("--deadline-ms", help="Whoever has not answered by then is left out.")]
_Slow = Annotated[float | None, typer.Option("--slow-ms", help="Slower answers count against their member.")]
_CostWeight = Annotated[
    float, typer.Option("--cost-weight", help="select: the quality (0 to 1) that one unit of cost must buy.")
]


@app.command(
    epilog="Examples:  bailiwick ensemble create cards --strategy vote --member cards~1 --member cards~0  |  "
    "bailiwick ensemble create chat --strategy best-of --member gpt --member llama --judge gpt"
)
def create(
    ctx: typer.Context,
    domain: Annotated[str, typer.Argument(help="Whose version it becomes.")],
    members: _Members,
    strategy: Annotated[Strategy, typer.Option(help="How the members decide.")] = Strategy.VOTE,
    cost: _Costs = None,
    threshold: Annotated[
        list[str] | None, typer.Option(metavar="MEMBER=NUMBER", help="cascade: confidence that is enough.")
    ] = None,
    quorum: _Quorum = None,
    deadline_ms: _Deadline = 10_000.0,
    slow_ms: _Slow = None,
    judge: Annotated[str | None, typer.Option(help="best-of: who picks the answer, named like a member.")] = None,
) -> None:
    """Register an ensemble that has nothing to learn."""
    platform = flags(ctx).platform
    options = Options(costs=cost or [], thresholds=threshold or [])
    chosen = members_of(platform, members, options)
    judging = members_of(platform, [judge], Options())[0] if judge is not None else None
    terms = options.terms(quorum, deadline_ms, slow_ms, 0.0, judging)
    version = platform.ensembles.create(domain, chosen, strategy, actor=flags(ctx).actor(), terms=terms)
    made = platform.ensembles.get(version.id)[1]
    print_version(ctx, version, made)
    if flags(ctx).json:
        return
    if made.spec.follows or made.spec.strategy in TEXTS:
        out.print("What its members will say cannot be measured beforehand, so it passes no gate. Next, one of:")
        out.print(f"  bailiwick deploy {version.id} --force --reason '...'", markup=False, soft_wrap=True)
        out.print(f"  bailiwick traffic shadow {domain} {version.id} --share 10%", markup=False, soft_wrap=True)
        return
    out.print(f"Next: [bold]bailiwick ensemble evaluate {version.id}[/]", soft_wrap=True)


@app.command(
    epilog="Examples:  bailiwick ensemble fit cards --strategy stacking --member cards~1 --member cards~0 --dataset "
    "queries  |  bailiwick ensemble fit cards --strategy cascade --member cards~1 --cost cards~1=1 --member cards~0 "
    "--cost cards~0=10 --dataset queries --max-loss 0.005"
)
def fit(
    ctx: typer.Context,
    domain: Annotated[str, typer.Argument(help="Whose version it becomes.")],
    members: _Members,
    dataset: Annotated[str, typer.Option(help="Id or name; its held-out rows are learned from.")],
    strategy: Annotated[Strategy, typer.Option(help="What is learned.")] = Strategy.STACKING,
    split: Annotated[Split, typer.Option(help="Whose rows; never the test rows.")] = Split.VALIDATION,
    max_loss: Annotated[
        float, typer.Option("--max-loss", help="cascade: accuracy to give up against the last member, at most.")
    ] = 0.01,
    cost: _Costs = None,
    quorum: _Quorum = None,
    deadline_ms: _Deadline = 10_000.0,
    slow_ms: _Slow = None,
    cost_weight: _CostWeight = 0.0,
) -> None:
    """Learn weights, thresholds or qualities on held-out rows, and register the ensemble.

    Rows that a member, or a version that it descends from, has learned from are left out.
    """
    platform = flags(ctx).platform
    options = Options(costs=cost or [])
    version = platform.ensembles.fit(
        domain,
        members_of(platform, members, options),
        strategy,
        dataset,
        actor=flags(ctx).actor(),
        split=split,
        largest_loss=max_loss,
        terms=options.terms(quorum, deadline_ms, slow_ms, cost_weight, None),
    )
    print_version(ctx, version, platform.ensembles.get(version.id)[1])
    if not flags(ctx).json:
        out.print(f"Next: [bold]bailiwick ensemble evaluate {version.id}[/]", soft_wrap=True)


@app.command("list")
def list_ensembles(
    ctx: typer.Context, domain: Annotated[str | None, typer.Option(help="Only this domain's.")] = None
) -> None:
    """Ensembles, newest first."""
    found = flags(ctx).platform.ensembles.list(domain)
    if flags(ctx).json:
        print_json(found)
        return
    rows = [
        (
            version.id,
            version.card["ensemble"]["strategy"],
            len(version.card["ensemble"]["members"]),
            round(version.metrics["accuracy"], 4) if "accuracy" in version.metrics else None,
        )
        for version in found
    ]
    print_table("Ensembles", ("version", "strategy", "members", "accuracy"), rows)
    if not found:
        out.print("None yet. Next: [bold]bailiwick ensemble create --help[/]")


@app.command()
def show(ctx: typer.Context, version: Annotated[str, typer.Argument(metavar=REFERENCE)]) -> None:
    """One ensemble: its members, what each counts, and what was learned from what."""
    print_version(ctx, *flags(ctx).platform.ensembles.get(version))


@app.command()
def evaluate(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(metavar=REFERENCE)],
    dataset: Annotated[str | None, typer.Option(help="Default: the one that it was fitted on.")] = None,
) -> None:
    """Measure an ensemble on untouched test rows, against the member that held-out rows find best.

    The result becomes the version's metrics, which the gates of `bailiwick deploy` read.
    """
    report = flags(ctx).platform.ensemble_evaluation.evaluate(version, actor=flags(ctx).actor(), dataset=dataset)
    print_report(ctx, report)


@app.command(epilog='Example:  bailiwick ensemble explain cards "my card was stolen" --max-cost 0.5')
def explain(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(metavar=REFERENCE)],
    text: Annotated[str, typer.Argument(help="The query.")],
    max_cost: Annotated[float | None, typer.Option("--max-cost", help="As x-bailiwick-max-cost.")] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option("--max-latency-ms", help="As x-bailiwick-max-latency-ms.")
    ] = None,
) -> None:
    """How an ensemble comes to its label for one text: who is asked, what each says, who decides."""
    limits = Limits(max_cost, max_latency_ms)
    print_explanation(ctx, flags(ctx).platform.ensemble_evaluation.explain(version, text, limits))
