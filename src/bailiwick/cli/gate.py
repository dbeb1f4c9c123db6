"""`bailiwick gate`: what a domain asks of a deployment."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from bailiwick.cli.console import EXIT_CODES, out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.delivery.degradation import RollbackEvidence
from bailiwick.delivery.gates import explain
from bailiwick.delivery.policy import GatePolicy, PolicyRecord, policy_document
from bailiwick.errors import GateFailed, InvalidInput

app = typer.Typer(help="Show, set and try what a domain asks of a deployment.", no_args_is_help=True)

Domain = Annotated[str, typer.Argument(help="A domain's id.")]
Environment = Annotated[str | None, typer.Option(help="Default: the setting `environment`.")]

_DEFAULT_WORDS = {None: "not asked", (): "none", True: "on", False: "off"}
_OF_DOMAIN = ("min_accuracy", "max_latency_p95_ms", "max_training_loss", "max_validation_loss")


@app.command(epilog="Example:  bailiwick gate show cards")
def show(
    ctx: typer.Context,
    domain: Domain,
    environment: Environment = None,
    history: Annotated[bool, typer.Option("--history", help="Every revision, newest first.")] = False,
) -> None:
    """The gate policy in force."""
    policies = flags(ctx).platform.delivery.policies
    records = [policies.current(domain, environment)]
    if history:
        records = [*policies.history(domain, environment)] or records
    if flags(ctx).json:
        documents = [policy_document(record) for record in records]
        print_json(documents if history else documents[0])
        return
    for record in records:
        _print(record)
    out.print(f"Next: [bold]bailiwick gate set {domain} KEY=VALUE[/], or [bold]bailiwick gate check {domain}[/]")


@app.command(
    name="set",
    epilog="Examples:  bailiwick gate set cards regression_margin=2% max_error_rate=5%  |  "
    "bailiwick gate set cards approvals=2 --reason 'four eyes'  |  bailiwick gate set cards approvals=  |  "
    "bailiwick gate set cards 'freezes=weekend: fri 16:00 for 64h Europe/Berlin'",
)
def set_policy(
    ctx: typer.Context,
    domain: Domain,
    changes: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="KEY= brings the default back. See `gate show`.")
    ],
    environment: Environment = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit trail.")] = None,
    revision: Annotated[int | None, typer.Option(help="Only if the policy still has this revision.")] = None,
) -> None:
    """Change what a domain asks of a deployment. Whatever waits for approval then becomes void.

    Shares may be written as 5% or 0.05. Several freezes are separated by `;`.
    """
    record = flags(ctx).platform.delivery.policies.change(
        domain,
        parse_changes(changes),
        actor=flags(ctx).actor(reason),
        environment=environment,
        expected_revision=revision,
    )
    if flags(ctx).json:
        print_json(policy_document(record))
    else:
        _print(record)


@app.command(epilog="Example:  bailiwick gate check cards")
def check(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="VERSION|DOMAIN", help="A version, or a domain: its newest version.")],
) -> None:
    """What the gates say of a version, changing nothing. Exits with 7 when it would be held."""
    delivery = flags(ctx).platform.delivery
    version = delivery.find(name)
    verdict = delivery.judge(version.domain, version.id)
    if flags(ctx).json:
        print_json(
            {
                "version": version.id,
                "passed": verdict.passed,
                "champion": verdict.champion,
                "policy_revision": verdict.policy.revision,
                "approvals_needed": verdict.policy.policy.approvals,
                "gates": verdict.gates,
            }
        )
    else:
        rows = [(gate.name, gate.measured, gate.limit, gate.verdict, gate.reason) for gate in verdict.gates]
        print_table(f"Gates of {version.id}", ("gate", "measured", "limit", "verdict", "reason"), rows)
        people = verdict.policy.policy.approvals
        passed = f"wait for {people} approval{'s' * (people > 1)}" if people else "be deployed"
        out.print(f"Would {passed if verdict.passed else 'be held'}: {explain(verdict.gates)}.", soft_wrap=True)
    raise typer.Exit(0 if verdict.passed else EXIT_CODES[GateFailed])


def parse_changes(texts: list[str]) -> dict[str, Any]:
    """Keys and values from ``KEY=VALUE`` texts.

    >>> parse_changes(["approvals=2", "max_error_rate=5%", "max_epsilon=", "automatic_rollback=off"])
    {'approvals': 2, 'max_error_rate': 0.05, 'max_epsilon': None, 'automatic_rollback': False}

    Raises:
        InvalidInput: a text has no ``=``, or a key comes twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidInput(f"{text[:80]!r} is not KEY=VALUE", what="policy", allowed="such as approvals=2")
        if key in found:
            raise InvalidInput(f"{key!r} is given twice", what=key, requested=text[:200])
        found[key] = _value(key, value.strip())
    return found


def _value(key: str, text: str) -> Any:
    if not text:
        return None
    if key == "freezes":
        return [each.strip() for each in text.split(";") if each.strip()]
    if text.lower() in ("on", "off"):
        return text.lower() == "on"
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else json.loads(text)
    except ValueError:  # a bare word is a string
        return text


def _print(record: PolicyRecord) -> None:
    since = "the defaults; nobody has set one"
    if record.at is not None:
        why = f": {record.reason}" if record.reason else ""
        since = f"revision {record.revision} of {record.at:%Y-%m-%d %H:%M:%S}Z by {record.actor}{why}"
    defaults = asdict(GatePolicy())
    rows = [
        (key, _word(key, value), "" if value == defaults[key] else _word(key, defaults[key]))
        for key, value in asdict(record.policy).items()
    ]
    print_table(f"Gate policy of {record.domain} in {record.environment}", ("key", "value", "default"), rows)
    out.print(f"It is {since}.", soft_wrap=True)
    policy = record.policy
    if policy.automatic_rollback and policy.rollback_evidence is not RollbackEvidence.SEQUENTIAL:
        out.print(
            f"[yellow]Note[/]: fixed tolerances at {policy.rollback_samples} samples also take back versions that are "
            f"no worse. Better: [bold]bailiwick gate set {record.domain} rollback_evidence=sequential[/]"
        )


def _word(key: str, value: Any) -> str:
    if value is None and key in _OF_DOMAIN:
        return "the domain's threshold"
    if value is None and key == "regression_dataset":
        return "the version's own"
    if isinstance(value, tuple) and value:
        return "\n".join(value)
    if value is None or isinstance(value, bool) or value == ():
        return _DEFAULT_WORDS[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
