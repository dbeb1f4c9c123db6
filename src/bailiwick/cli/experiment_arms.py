"""The commands of `bailiwick experiment` that change who takes part in what."""

from __future__ import annotations

from typing import Annotated

import typer

from bailiwick.cli.context import flags
from bailiwick.cli.experiment_options import Id, Reason, Revision, arm_documents
from bailiwick.cli.experiment_outcomes import resolved, say, say_epoch
from bailiwick.traffic.model import Arm
from bailiwick.traffic.weights import parse_percent, parse_weights


def weights(
    ctx: typer.Context,
    id: Id,
    shares: Annotated[list[str], typer.Argument(metavar="ARM=PERCENT...", help="The shares of all arms.")],
    reason: Reason = None,
    revision: Revision = None,
) -> None:
    """Give the arms new shares. Opens an epoch, which is analysed apart."""
    made = flags(ctx).platform.experiments.reweight(
        id, parse_weights(shares), actor=flags(ctx).actor(reason), revision=revision
    )
    say_epoch(ctx, made)


def add_arm(
    ctx: typer.Context,
    id: Id,
    arm: Annotated[str, typer.Argument(metavar="NAME=VERSION", help="The arm, and the version that serves it.")],
    share: Annotated[str | None, typer.Option(help="Its percentage; an equal share by default.")] = None,
    parameter: Annotated[list[str] | None, typer.Option(help="ARM.NAME=VALUE: what it sets besides.")] = None,
    reason: Reason = None,
    revision: Revision = None,
) -> None:
    """Let one more arm take part. Opens an epoch."""
    domain = flags(ctx).platform.experiments.get(id).design.domain
    [document] = resolved(ctx, domain, arm_documents([arm], (), parameter or ()))
    made = flags(ctx).platform.experiments.add_arm(
        id,
        Arm(document["name"], document["version"], document["parameters"]),
        None if share is None else parse_percent(share),
        actor=flags(ctx).actor(reason),
        revision=revision,
    )
    say_epoch(ctx, made)


def drop_arm(
    ctx: typer.Context,
    id: Id,
    arm: Annotated[str, typer.Argument(help="A treatment.")],
    reason: Reason = None,
    revision: Revision = None,
) -> None:
    """Let an arm take part no longer. Opens an epoch; what it showed is kept."""
    made = flags(ctx).platform.experiments.drop_arm(id, arm, actor=flags(ctx).actor(reason), revision=revision)
    say_epoch(ctx, made)


def override(
    ctx: typer.Context,
    id: Id,
    unit: Annotated[str, typer.Argument(help="The tester, as requests name the user.")],
    arm: Annotated[str | None, typer.Argument(help="The arm to see; default: where chance puts the tester.")] = None,
    reason: Reason = None,
    revision: Revision = None,
) -> None:
    """Put a tester into an arm; testers are not counted."""
    made = flags(ctx).platform.experiments.override(id, unit, arm, actor=flags(ctx).actor(reason), revision=revision)
    say(ctx, made, f"shows {unit} {arm or 'what chance says'}", f"bailiwick experiment show {id}")
