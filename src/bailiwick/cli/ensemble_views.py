"""How ensembles are printed."""

from __future__ import annotations

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.evaluation.ensembles import EnsembleReport, Explanation, report_document
from bailiwick.models.ensemble.fitted import EnsembleModel
from bailiwick.models.ensemble.spec import IN_TURN, Strategy
from bailiwick.registry.model import ModelVersion


def print_version(ctx: typer.Context, version: ModelVersion, model: EnsembleModel) -> None:
    """One ensemble with its members."""
    spec = model.spec
    if flags(ctx).json:
        print_json({"version": version, "spec": spec})
        return
    fitted = spec.fitted
    rows = [
        ("domain", version.domain),
        ("strategy", spec.strategy.value),
        ("sha256", f"{version.artefact_sha256 or '':.16}..."),
        ("labels", len(spec.labels) or "whatever the members say"),
        ("quorum", None if spec.strategy in IN_TURN else f"{spec.quorum} of {len(spec.members)} members"),
        ("deadline", f"{spec.deadline_ms:g} ms"),
        ("judge", spec.judge.name if spec.judge else None),
        (
            "learned from",
            f"{fitted['rows']} {fitted['split']} rows of {fitted['dataset']}"
            + (f"; {fitted['left_out']} left out: a member learned from them" if fitted["left_out"] else "")
            if fitted
            else None,
        ),
    ]
    print_table(version.id, ("what", "value"), [row for row in rows if row[1] is not None])
    third = "threshold" if spec.strategy is Strategy.CASCADE else "weight"
    members = [
        (
            member.name,
            None if member.accuracy is None else round(member.accuracy, 4),
            member.threshold if third == "threshold" else round(member.weight, 3),
            member.cost,
            None if member.latency_ms is None else round(member.latency_ms, 2),
        )
        for member in spec.members
    ]
    print_table("Members", ("member", "held-out accuracy", third, "cost", "p95 ms"), members)


def print_report(ctx: typer.Context, report: EnsembleReport) -> None:
    """What an ensemble is worth beside its members."""
    if flags(ctx).json:
        print_json(report_document(report))
        return
    metrics = report.evaluation.metrics
    print_table(
        f"{report.evaluation.version} on {int(metrics['test_examples'])} test texts of {report.evaluation.dataset}",
        ("metric", "value", "note"),
        [
            (
                "accuracy",
                f"{metrics['accuracy']:.4f}",
                f"95 % interval {metrics['accuracy_low']:.4f} to {metrics['accuracy_high']:.4f}",
            ),
            ("calibration error", f"{metrics['ece']:.4f}", f"Brier score {metrics['brier']:.4f}"),
            ("members asked per text", f"{report.asked:.2f}", ""),
            ("cost of 1,000 tokens", f"{report.cost:.4g}", f"{report.best_cost:.4g} for the best member alone"),
            ("p95 of one query", f"{metrics['latency_p95_ms']:.3f} ms", "on this machine"),
        ],
    )
    rows = [
        (
            each.first + (" (best on held-out)" if each.first == report.best.partition("@")[2] else ""),
            f"{each.first_accuracy:.4f}",
            f"{each.result.difference * 100:+.2f}",
            f"{each.result.low * 100:+.2f} to {each.result.high * 100:+.2f}",
            each.verdict,
        )
        for each in report.against
    ]
    if rows:
        columns = ("member", "its accuracy", "ensemble, points", "95 % interval", "ensemble is")
        print_table("Against its members", columns, rows)
    if report.decided:
        decided = [(name, f"{share:.1%}") for name, share in report.decided.items()]
        print_table("Who decided", ("member", "share of the texts"), decided)
    out.print(f"Next: [bold]bailiwick deploy {report.evaluation.version}[/]", soft_wrap=True)


def print_explanation(ctx: typer.Context, explained: Explanation) -> None:
    """How an ensemble comes to its label."""
    if flags(ctx).json:
        print_json(explained)
        return
    rows = [
        (view.member, view.label if view.asked else "not asked", view.confidence, view.note)
        for view in explained.members
    ]
    print_table(f"{explained.version} ({explained.strategy})", ("member", "says", "confidence", "note"), rows)
    out.print(f"[bold]{explained.label}[/] with confidence {explained.confidence:.3f}: {explained.why}.")
