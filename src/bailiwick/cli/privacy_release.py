"""`bailiwick privacy plan` and `bailiwick privacy release`: what would it cost, and then do it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.datasets.private_questions import MEANINGS, Settings, Statistic
from bailiwick.datasets.private_statistics import Asked, Planned
from bailiwick.errors import InvalidInput
from bailiwick.evaluation.private_metrics import PrivateMetric
from bailiwick.privacy.applicability import of_file
from bailiwick.privacy.costs import Cost, Level
from bailiwick.privacy.planning import Forecast, forecast
from bailiwick.privacy.releases import Release

_MEANINGS = {str(statistic): meaning for statistic, meaning in MEANINGS.items()} | {
    "accuracy": "share of right answers (mean), and test rows (count)",
    "confusion": "test rows by true and predicted label",
    "test-loss": "mean cross-entropy on test rows in nats, clamped, and test rows (count)",
    "validation-loss": "the same on validation rows",
    "training-loss": "the same on the rows that it learned from",
}
_NAMESPACE = typer.Option(help="Of the privacy unit's budget, such as bank-customers.")
_STATISTIC = typer.Option("--statistic", help="Repeatable: " + "; ".join(f"{s}: {m}" for s, m in MEANINGS.items()))
_DOMAIN = typer.Option(help="Only rows of this domain, paid from its budget too.")
_EPSILON = typer.Option(help="Of the whole release.")
_DELTA = typer.Option(help="Of the whole release; only a vocabulary needs one.")
_LEVEL = typer.Option(help="Instead of --epsilon: low (2.0, 1e-4), medium (1.0, 1e-5), high (0.5, 1e-6).")
_WORDS = typer.Option(min=1, help="Different words of one unit that are counted, at most.")
_TOP = typer.Option(min=1, help="How many labels top-labels names.")
_KEY = typer.Option(help="Asked again with the same key, the stored release comes back at no cost.")


def register(app: typer.Typer) -> None:
    """Add the commands to the `privacy` group."""
    app.command("plan")(plan)
    app.command("release")(release)
    app.command("release-metrics")(release_metrics)


def plan(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Name or id of a data set.")],
    statistic: Annotated[list[Statistic], _STATISTIC],
    namespace: Annotated[str, _NAMESPACE],
    domain: Annotated[str | None, _DOMAIN] = None,
    epsilon: Annotated[float | None, _EPSILON] = None,
    delta: Annotated[float, _DELTA] = 0.0,
    level: Annotated[Level | None, _LEVEL] = None,
    words_per_unit: Annotated[int, _WORDS] = Settings().words_per_unit,
    top: Annotated[int, _TOP] = Settings().top,
) -> None:
    """What would it cost, and how exact would it be? Nothing is charged.

    Example: bailiwick privacy plan queries --namespace bank-customers --statistic labels --domain cards --level medium
    """
    applies = of_file(dataset) if Path(dataset).exists() else None
    if applies is not None and not applies.applies:
        if flags(ctx).json:
            print_json({"applies": False, "reason": applies.reason})
        else:
            out.print(f"{dataset}: {applies.words}.")
        return
    asked = _asked(dataset, statistic, namespace, domain, _cost(epsilon, delta, level), words_per_unit, top)
    planned = flags(ctx).platform.private_statistics.plan(asked)
    rows = forecast(planned.priced)
    if flags(ctx).json:
        print_json(plan_document(planned, rows))
        return
    _print_plan(planned, rows)
    out.print("\nNext: the same options with [bold]bailiwick privacy release[/]")


def release(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Name or id of a data set.")],
    statistic: Annotated[list[Statistic], _STATISTIC],
    namespace: Annotated[str, _NAMESPACE],
    domain: Annotated[str | None, _DOMAIN] = None,
    epsilon: Annotated[float | None, _EPSILON] = None,
    delta: Annotated[float, _DELTA] = 0.0,
    level: Annotated[Level | None, _LEVEL] = None,
    words_per_unit: Annotated[int, _WORDS] = Settings().words_per_unit,
    top: Annotated[int, _TOP] = Settings().top,
    key: Annotated[str | None, _KEY] = None,
) -> None:
    """Charge for statistics, release them, and print the report card.

    Example: bailiwick privacy release queries --namespace bank-customers --statistic labels --domain cards --epsilon 1
    """
    applies = of_file(dataset)
    if Path(dataset).exists() and not applies.applies:
        raise InvalidInput(applies.words, what="dataset", where=dataset, remedy="it can be read without a budget")
    asked = _asked(dataset, statistic, namespace, domain, _cost(epsilon, delta, level), words_per_unit, top)
    found = flags(ctx).platform.private_statistics.release(asked, actor=flags(ctx).actor(), idempotency_key=key)
    _print_release(found, as_json=flags(ctx).json)


def release_metrics(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A version, or a domain: its newest.")],
    metric: Annotated[list[PrivateMetric], typer.Option("--metric", help="Repeatable.")],
    namespace: Annotated[str, _NAMESPACE],
    dataset: Annotated[str | None, typer.Option(help="Whose test rows; default: that of its training.")] = None,
    epsilon: Annotated[float | None, _EPSILON] = None,
    level: Annotated[Level | None, _LEVEL] = None,
    key: Annotated[str | None, _KEY] = None,
) -> None:
    """Publish metrics of a version on private rows; those of a private version become its metrics, for gates.

    A version that learned from private rows without --private is refused: no noise on its metrics protects those.

    Example: bailiwick privacy release-metrics cards --metric accuracy --namespace bank-customers --epsilon 1
    """
    platform = flags(ctx).platform
    found = platform.private_metrics.release(
        platform.registry.resolve(version).id,
        metric,
        namespace,
        actor=flags(ctx).actor(),
        cost=_cost(epsilon, 0.0, level),
        dataset=dataset,
        idempotency_key=key,
    )
    _print_release(found, as_json=flags(ctx).json)


def plan_document(planned: Planned, rows: tuple[Forecast, ...]) -> dict[str, Any]:
    """A plan for programs; a method that does not apply is null."""
    return {
        "applies": True,
        "dataset": planned.dataset,
        "accounts": [str(key) for key in planned.keys],
        "cost": planned.priced.plan.cost.words,
        "plan": planned.priced.plan,
        "errors": planned.priced.errors,
        "repeated": [
            {"times": row.times, "delta": row.delta, **{name: _finite(value) for name, value in row.epsilon.items()}}
            for row in rows
        ],
    }


def _asked(
    dataset: str,
    statistics: list[Statistic],
    namespace: str,
    domain: str | None,
    cost: Cost | None,
    words_per_unit: int,
    top: int,
) -> Asked:
    return Asked(dataset, tuple(statistics), namespace, domain, cost, Settings(words_per_unit, top))


def _cost(epsilon: float | None, delta: float, level: Level | None) -> Cost | None:
    if epsilon is not None and level is not None:
        raise InvalidInput("state --epsilon or --level, not both", what="epsilon", requested=[epsilon, level.value])
    if epsilon is not None:
        return Cost.of(epsilon, delta)
    return level.cost if level is not None else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _print_plan(planned: Planned, rows: tuple[Forecast, ...]) -> None:
    accounts = ", ".join(str(key) for key in planned.keys)
    out.print(f"Would cost [bold]{planned.priced.plan.cost.words}[/] of {accounts}. Nothing was charged.")
    errors = [(error.of, error.unit, error.scale, error.within_95) for error in planned.priced.errors]
    print_table("Expected error, from noise alone", ("answer", "in", "noise scale", "95 % within"), errors)
    names = tuple(rows[0].epsilon)
    cells = [(row.times, row.delta, *(_finite(row.epsilon[name]) for name in names)) for row in rows]
    print_table("Epsilon when a fixed plan runs it so often, by accounting", ("times", "delta", *names), cells)


def _print_release(found: Release, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for name, answer in found.output.items():
        _print_answer(name, answer)
    card = found.card
    budget = f"epsilon {card['epsilon']}" if card["epsilon"] else f"rho {card['rho']}"
    lines = [
        ("released", "again, with no new noise and at no cost" if found.replayed else "now"),
        ("guarantee", f"{budget}, delta {card['delta']}"),
        ("protects", f"{card['unit']['column']} of {card['unit']['namespace']}, {card['adjacency']}"),
        ("uses", f"at most {card['contribution_cap']} rows of one unit"),
        ("accounts", ", ".join(card["accounts"])),
        *(("all together", f"{most} of {name}") for name, most in card.get("lifetime_budgets", {}).items()),
        ("lifetime", card["reset_policy"]),
        ("mechanisms", "; ".join(f"{use['name']} ({use['parameters'].get('of', '')})" for use in card["mechanisms"])),
        ("accounting", card["accounting"]),
        *(("not protected", line) for line in card["not_protected"]),
        ("drawn with", ", ".join(f"{name} {version}" for name, version in card["libraries"].items())),
        ("charge", card["charge"]),
        ("output sha256", card["output_hash"]),
    ]
    print_table("Report card", ("", ""), lines)


def _print_answer(name: str, answer: Mapping[str, Any]) -> None:
    out.print(f"[bold]{name}[/]: {_MEANINGS.get(name, '')}")
    if "cells" in answer:
        rows = [(*cell["key"], cell["count"]) for cell in answer["cells"]]
        print_table("", (*answer["columns"], "count"), rows)
    elif "values" in answer:
        out.print(f"Listed from a noisy count of {answer['threshold']} on.")
        print_table("", ("value", "units"), [(value["key"], value["count"]) for value in answer["values"]])
    elif "quantiles" in answer:
        rows = [(each["probability"], each["value"]) for each in answer["quantiles"]]
        print_table("", ("quantile", "value"), rows)
    elif "estimated_shares" in answer:
        out.print(f"{len(answer['records'])} randomised records (in full with --json) suggest:")
        print_table("", ("value", "share"), answer["estimated_shares"].items())
    elif "most_frequent" in answer:
        out.print(", ".join(answer["most_frequent"]))
    else:
        print_table("", tuple(answer), [tuple(answer.values())])
