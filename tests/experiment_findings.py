"""Experiments and totals for tests of the pure parts: what arms showed, without any store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trials import a_design

from bailiwick.experiments.analysis import analyse
from bailiwick.experiments.decide import decide
from bailiwick.experiments.findings import Analysis, Decision
from bailiwick.experiments.model import Experiment, State
from bailiwick.experiments.plans import first_epoch
from bailiwick.metrics.exposures import ArmTotals, ArmUnits
from bailiwick.metrics.sketch import Sketch
from bailiwick.statistics.moments import UnitMoments

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

Shown = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Values of units by arm and metric."""


def running(planned_units: int = 4_000, **design: Any) -> Experiment:
    made = Experiment(a_design(**design), State.RUNNING, 2, planned_units, NOW, "ada", started_at=NOW)
    return replace(made, epochs=(first_epoch(made, NOW),))


def totals_of(shown: Shown, epoch: int = 1) -> tuple[list[ArmTotals], list[ArmUnits]]:
    totals = [
        ArmTotals("new-model", epoch, arm, metric, UnitMoments.of(values), Sketch.of(values))
        for arm, metrics in shown.items()
        for metric, values in metrics.items()
    ]
    counts = {arm: len(next(iter(metrics.values()))) for arm, metrics in shown.items()}
    return totals, [ArmUnits("new-model", epoch, arm, count, count, 0) for arm, count in counts.items()]


def look(experiment: Experiment, shown: Shown, days: float = 1.0) -> tuple[Analysis, Decision]:
    now = NOW + timedelta(days=days)
    analysis = analyse(experiment, *totals_of(shown), {}, now)
    return analysis, decide(experiment, analysis, now)


def yes(successes: int, of: int) -> NDArray[np.float64]:
    """So many ones among zeros."""
    return np.repeat([1.0, 0.0], [successes, of - successes])


def arms(control: int, *treatments: int, of: int = 1000) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Successes on `correct`: of the control, and of the treatment, or of treatments named t1, t2, ..."""
    names: Sequence[str] = ["treatment"] if len(treatments) == 1 else [f"t{n + 1}" for n in range(len(treatments))]
    return {
        "control": {"correct": yes(control, of)},
        **{name: {"correct": yes(successes, of)} for name, successes in zip(names, treatments, strict=True)},
    }
