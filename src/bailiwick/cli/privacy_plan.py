"""`bailiwick privacy plan`: what would statistics, a training or metrics cost? Nothing is charged, no row is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.cli.privacy_release import DELTA, DOMAIN, EPSILON, LEVEL, STATISTIC, TOP, WORDS, asked_of, cost_of
from bailiwick.cli.train import parse_family_settings
from bailiwick.datasets.private_questions import Settings, Statistic
from bailiwick.errors import InvalidInput
from bailiwick.evaluation.private_metrics import PrivateMetric
from bailiwick.models.catalogue import DEFAULT_PRIVATE_FAMILY
from bailiwick.privacy.applicability import of_file
from bailiwick.privacy.charging import in_words
from bailiwick.privacy.costs import Level
from bailiwick.privacy.quotes import Payment, Quote, quote_document, training_document

_TRAINING = {
    "noise_multiplier": ("noise multiplier", "deviation of the noise on a sum of gradients, in clips"),
    "steps": ("steps", "noisy sums of gradients"),
    "sample_rate": ("sample rate", "probability that a unit takes part in a step"),
    "clip": ("clip", "longest gradient of one unit"),
    "contribution_cap": ("contribution cap", "examples of one unit that are used at most"),
    "batch_divisor": ("batch divisor", "public number of units per step"),
    "count_noise": ("noise of the count", "deviation of the noisy number of units, paid for in the same cost"),
    "signal": ("signal of one unit", "how far it stands out of the noise of all steps, in deviations"),
    "units_to_stand_out": ("units to stand out", "that agree, before a weight moves by two deviations of noise"),
}


def register(app: typer.Typer) -> None:
    """Add the command to the `privacy` group."""
    app.command("plan")(plan)


def plan(
    ctx: typer.Context,
    dataset: Annotated[
        str | None, typer.Argument(help="Name or id; with --metrics, default: that of the version's training.")
    ] = None,
    statistic: Annotated[list[Statistic] | None, STATISTIC] = None,
    train: Annotated[str | None, typer.Option(metavar="DOMAIN", help="A private training of this domain.")] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Metrics of a version (a domain: its newest), see --metric.")
    ] = None,
    metric: Annotated[list[PrivateMetric] | None, typer.Option("--metric", help="With --metrics; repeatable.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Of the budget; --train finds it if there is only one.")] = None,
    domain: Annotated[str | None, DOMAIN] = None,
    epsilon: Annotated[float | None, EPSILON] = None,
    delta: Annotated[float | None, typer.Option(help=f"{DELTA.help} A training always has one.")] = None,
    level: Annotated[Level | None, LEVEL] = None,
    words_per_unit: Annotated[int, WORDS] = Settings().words_per_unit,
    top: Annotated[int, TOP] = Settings().top,
    family: Annotated[str, typer.Option(help="With --train: the model family.")] = DEFAULT_PRIVATE_FAMILY,
    setting: Annotated[list[str] | None, typer.Option("--set", help="With --train: NAME=VALUE of the family.")] = None,
) -> None:
    """What would it cost, who would pay, and how exact would it be? Nothing is charged and no row is read.

    Without an epsilon or a level, the default of the budget is used.

    Examples:
      bailiwick privacy plan queries --namespace bank-customers --statistic labels --domain cards --level medium
      bailiwick privacy plan queries --train cards --epsilon 4
      bailiwick privacy plan --metrics cards --metric accuracy --namespace bank-customers --epsilon 0.5
    """
    wanted = {"--statistic": statistic, "--train": train, "--metrics": metrics}
    named = [option for option, value in wanted.items() if value]
    if len(named) != 1:
        raise InvalidInput("name one thing to plan", what="plan", requested=named, allowed=list(wanted))
    _check_options(
        named[0],
        {
            "--metric": (metric, "--metrics"),
            "--set": (setting, "--train"),
            "--domain": (domain, "--statistic"),
        },
    )
    root, cost = flags(ctx), cost_of(epsilon, 0.0 if train or delta is None else delta, level)
    if train:
        quote = root.platform.private_training.quote(
            train,
            _given(dataset, "DATASET"),
            epsilon=cost.epsilon if cost else None,
            delta=delta if delta is not None else (level.cost.delta if level else None),
            family=family,
            settings=parse_family_settings(setting or []),
            namespace=namespace,
        )
        following = f"bailiwick train {train} --dataset {dataset} --private"
    elif metrics:
        quote = root.platform.private_metrics.quote(
            root.platform.registry.resolve(metrics).id,
            metric or [],
            _given(namespace, "--namespace"),
            cost=cost,
            dataset=dataset,
        )
        following = f"bailiwick privacy release-metrics {metrics}"
    else:
        name = _given(dataset, "DATASET")
        if _does_not_apply(name, as_json=root.json):
            return
        given = _given(namespace, "--namespace")
        asked = asked_of(name, statistic or [], given, domain, cost, words_per_unit, top)
        quote = root.platform.private_statistics.quote(asked)
        following = f"bailiwick privacy release {name}"
    if root.json:
        print_json(_document(quote))
        return
    _print(quote)
    out.print(f"\nNext: [bold]{following}[/] with the same options", soft_wrap=True)


def _check_options(chosen: str, others: dict[str, tuple[object, str]]) -> None:
    """Refuse options that would be ignored: each goes with one kind of plan only."""
    for option, (value, belongs) in others.items():
        if value is not None and value != [] and belongs != chosen:
            raise InvalidInput(f"{option} goes with {belongs}", what=option, requested=value)


def _given(value: str | None, name: str) -> str:
    if value is None:
        raise InvalidInput(f"{name} is missing", what=name, remedy="bailiwick privacy plan --help")
    return value


def _does_not_apply(dataset: str, *, as_json: bool) -> bool:
    """Whether it is a file about nobody; says so."""
    applies = of_file(dataset) if Path(dataset).exists() else None
    if applies is None or applies.applies:
        return False
    if as_json:
        print_json({"applies": False, "reason": applies.reason})
    else:
        out.print(f"{dataset}: {applies.words}.")
    return True


def _document(quote: Quote) -> dict[str, Any]:
    """A quote for programs; a method of accounting that does not apply is null."""
    repeated = [
        {"times": row.times, "delta": row.delta, **{name: _finite(value) for name, value in row.epsilon.items()}}
        for row in quote.repeated
    ]
    return {"applies": True, **quote_document(quote), "repeated": repeated}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _print(quote: Quote) -> None:
    accounts = ", ".join(str(key) for key in quote.keys)
    out.print(f"Would cost [bold]{quote.plan.cost.words}[/] of {accounts}. Nothing was charged, no row was read.")
    out.print(f"Counted as epsilon: {quote.epsilon_cost.words}; counted as zCDP: {quote.rho_cost.words}.")
    print_table("Who would pay", ("account", "takes", "of remaining", "afterwards"), [_row(p) for p in quote.payments])
    if quote.training is not None:
        expected = training_document(quote.training)
        rows = [(name, expected[key], meaning) for key, (name, meaning) in _TRAINING.items() if expected[key]]
        print_table("What the training would do", ("", "", ""), rows)
        return
    errors = [(error.of, error.unit, error.scale, error.within_95) for error in quote.errors]
    print_table("Expected error, from noise alone", ("answer", "in", "noise scale", "95 % within"), errors)
    names = tuple(quote.repeated[0].epsilon)
    cells = [(row.times, row.delta, *(_finite(row.epsilon[name]) for name in names)) for row in quote.repeated]
    print_table("Epsilon when a fixed plan runs it so often, by accounting", ("times", "delta", *names), cells)


def _row(payment: Payment) -> tuple[str, ...]:
    left = payment.afterwards
    amounts = (payment.requested, payment.remaining)
    words = [in_words(payment.currency, each.main, each.delta) for each in amounts]
    after = in_words(payment.currency, left.main, left.delta) if left else "refused: it does not hold that"
    return (str(payment.key), *words, after)
