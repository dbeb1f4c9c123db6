"""`bailiwick privacy audit`: attack our own noise, digits and training, here and now."""

from __future__ import annotations

import json
from typing import Annotated

import numpy as np
import typer

from bailiwick.cli.console import out, print_json, print_table, progress_bar
from bailiwick.cli.context import flags
from bailiwick.errors import GateFailed
from bailiwick.privacy.audit.mechanism import CERTAIN, Verdict, audit
from bailiwick.privacy.audit.precision import audit_serialised
from bailiwick.privacy.mechanisms.counts import noisy_counts
from bailiwick.privacy.training_noise import Integers, add_discrete_gaussian
from bailiwick.training.privacy_audit import audit_private_training, no_noise

_GRID = 2**16
_CAP = 4


def register(app: typer.Typer) -> None:
    """Add the command to the `privacy` group."""
    app.command("audit")(run_audits)


def run_audits(
    ctx: typer.Context,
    runs: Annotated[int, typer.Option(min=1_000, max=1_000_000, help="Outputs per side.")] = 30_000,
    canaries: Annotated[int, typer.Option(min=100, max=20_000, help="Units of the training audit.")] = 1_000,
) -> None:
    """Attack our own noise and training; no data of yours is used and no budget is spent.

    Each audit gives the least epsilon that its outputs allow, at a confidence of 0.999999. Above the claim, the claim
    is refuted. The control is training without noise: an audit that does not refute it could not see anything.

    Example: bailiwick privacy audit
    """
    with progress_bar() as bar:
        task = bar.add_task("noise", total=5)
        found = {"noise of statistics": _counts(runs)}
        bar.update(task, completed=1)
        found["noise of training"] = _noise(runs)
        bar.update(task, description="digits", completed=2)
        found["digits of the noise"] = _digits(runs)
        bar.update(task, description="training", completed=3)
        found["training, one run"] = audit_private_training(1.0, canaries=canaries)
        bar.update(task, description="control", completed=4)
        control = audit_private_training(1.0, canaries=canaries, noise=no_noise)
    if flags(ctx).json:
        print_json({"audits": found, "control": control})
    else:
        rows = [
            (name, *_row(verdict), "REFUTED" if verdict.refuted else "not refuted") for name, verdict in found.items()
        ]
        rows.append(("control: no noise", *_row(control), "refuted, as it must be" if control.refuted else "MISSED"))
        print_table("Audits of our own claims", ("audit", "claim", "at least", "outputs", "verdict"), rows)
        out.print("Not refuted is not proven: an audit sees gross errors, not small ones. See docs/privacy.md.")
    wrong = [name for name, verdict in found.items() if verdict.refuted] + ([] if control.refuted else ["control"])
    if wrong:
        raise GateFailed(f"audits failed: {', '.join(wrong)}", what="audit", requested=wrong)


def _counts(runs: int) -> Verdict:
    """The noise of counts whose claim is 1, where a unit has as many rows as the cap lets through."""
    without, with_unit = (noisy_counts(np.full(runs, rows, np.int64), _CAP, 1.0) for rows in (0, _CAP))
    return audit(without, with_unit, 1.0, confidence=CERTAIN)


def _noise(runs: int) -> Verdict:
    """The noise of one training step whose claim is (1, 1e-5), on a sum that the unit moves by all it may."""
    from bailiwick.privacy.training import PrivateTrainingPlan, calibrate

    plan = calibrate(PrivateTrainingPlan(1.0, 1, 1.0, 1.0, 1, 1e-5, batch_divisor=1.0), 1.0)
    scale = plan.noise_multiplier * _GRID
    without, with_unit = (_noisy(value, runs, scale) for value in (0, _GRID))
    return audit(without, with_unit, 1.0, delta=plan.delta, confidence=CERTAIN)


def _digits(runs: int) -> Verdict:
    sides = [[json.dumps(value / _GRID) for value in _noisy(true, runs, _GRID).tolist()] for true in (0, _GRID)]
    return audit_serialised(sides[0], sides[1], 1.0)


def _noisy(value: int, runs: int, scale: float) -> Integers:
    return add_discrete_gaussian(np.full(runs, value, np.int64), scale)


def _row(verdict: Verdict) -> tuple[str, str, str]:
    return f"{verdict.claimed:g}", f"{verdict.lower_bound:.3f}", f"{verdict.outputs:,}"
