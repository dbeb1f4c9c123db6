"""`bailiwick privacy release` and `release-metrics`: charge for answers, give them, and print the report card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.datasets.private_questions import MEANINGS, Settings, Statistic
from bailiwick.datasets.private_statistics import Asked
from bailiwick.errors import InvalidInput
from bailiwick.evaluation.private_metrics import PrivateMetric
from bailiwick.privacy.applicability import of_file
from bailiwick.privacy.costs import Cost, Level
from bailiwick.privacy.releases import Release

_MEANINGS = {str(statistic): meaning for statistic, meaning in MEANINGS.items()} | {
    "accuracy": "share of right answers (mean), and test rows (count)",
    "confusion": "test rows by true and predicted label",
    "test-loss": "mean cross-entropy on test rows in nats, clamped, and test rows (count)",
    "validation-loss": "the same on validation rows",
    "training-loss": "the same on the rows that it learned from",
}
NAMESPACE = typer.Option(help="Of the privacy unit's budget, such as bank-customers.")
STATISTIC = typer.Option("--statistic", help="Repeatable: " + "; ".join(f"{s}: {m}" for s, m in MEANINGS.items()))
DOMAIN = typer.Option(help="Only rows of this domain, paid from its budget too.")
EPSILON = typer.Option(help="Of the whole release.")
DELTA = typer.Option(help="Of the whole release; only a vocabulary needs one.")
LEVEL = typer.Option(help="Instead of --epsilon: low (2.0, 1e-4), medium (1.0, 1e-5), high (0.5, 1e-6).")
WORDS = typer.Option(min=1, help="Different words of one unit that are counted, at most.")
TOP = typer.Option(min=1, help="How many labels top-labels names.")
_KEY = typer.Option(help="Asked again with the same key, the stored release comes back at no cost.")


def register(app: typer.Typer) -> None:
    """Add the commands to the `privacy` group."""
    app.command("release")(release)
    app.command("release-metrics")(release_metrics)


def release(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Name or id of a data set.")],
    statistic: Annotated[list[Statistic], STATISTIC],
    namespace: Annotated[str, NAMESPACE],
    domain: Annotated[str | None, DOMAIN] = None,
    epsilon: Annotated[float | None, EPSILON] = None,
    delta: Annotated[float, DELTA] = 0.0,
    level: Annotated[Level | None, LEVEL] = None,
    words_per_unit: Annotated[int, WORDS] = Settings().words_per_unit,
    top: Annotated[int, TOP] = Settings().top,
    key: Annotated[str | None, _KEY] = None,
) -> None:
    """Charge for statistics, release them, and print the report card.

    Example: bailiwick privacy release queries --namespace bank-customers --statistic labels --domain cards --epsilon 1
    """
    applies = of_file(dataset)
    if Path(dataset).exists() and not applies.applies:
        raise InvalidInput(applies.words, what="dataset", where=dataset, remedy="it can be read without a budget")
    asked = asked_of(dataset, statistic, namespace, domain, cost_of(epsilon, delta, level), words_per_unit, top)
    found = flags(ctx).platform.private_statistics.release(asked, actor=flags(ctx).actor(), idempotency_key=key)
    _print_release(found, as_json=flags(ctx).json)


def release_metrics(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A version, or a domain: its newest.")],
    metric: Annotated[list[PrivateMetric], typer.Option("--metric", help="Repeatable.")],
    namespace: Annotated[str, NAMESPACE],
    dataset: Annotated[str | None, typer.Option(help="Whose test rows; default: that of its training.")] = None,
    epsilon: Annotated[float | None, EPSILON] = None,
    level: Annotated[Level | None, LEVEL] = None,
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
        cost=cost_of(epsilon, 0.0, level),
        dataset=dataset,
        idempotency_key=key,
    )
    _print_release(found, as_json=flags(ctx).json)


def asked_of(
    dataset: str,
    statistics: list[Statistic],
    namespace: str,
    domain: str | None,
    cost: Cost | None,
    words_per_unit: int,
    top: int,
) -> Asked:
    """The options of a release of statistics as a request."""
    return Asked(dataset, tuple(statistics), namespace, domain, cost, Settings(words_per_unit, top))


def cost_of(epsilon: float | None, delta: float, level: Level | None) -> Cost | None:
    """What the options say a release costs; None where they do not.

    Raises:
        InvalidInput: both an epsilon and a level, a delta without an epsilon, or an amount that cannot be counted.
    """
    if delta and epsilon is None:
        raise InvalidInput("--delta goes with --epsilon", what="delta", requested=delta, remedy="state --epsilon too")
    if epsilon is not None and level is not None:
        raise InvalidInput("state --epsilon or --level, not both", what="epsilon", requested=[epsilon, level.value])
    if epsilon is not None:
        return Cost.of(epsilon, delta)
    return level.cost if level is not None else None


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
