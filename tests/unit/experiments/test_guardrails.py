"""Guardrails on rates and quantiles whose values are not independent, or come from epochs of different users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from experiment_findings import NOW, running
from numpy.typing import NDArray

from bailiwick.experiments.evidence import Totals, lay_out
from bailiwick.experiments.findings import Carried, GuardrailFinding, Standing
from bailiwick.experiments.guarding import watch_mean
from bailiwick.experiments.model import Epoch, Experiment
from bailiwick.experiments.quantiles import watch_quantile
from bailiwick.experiments.rates import watch_rates
from bailiwick.metrics.exposures import ArmTotals
from bailiwick.metrics.sketch import Sketch
from bailiwick.statistics.moments import UnitMoments

FAILED: dict[str, Any] = {"metric": "failed", "margin": 0.02}
P95 = {"metric": "latency_ms", "margin": "10%", "quantile": 0.95}

Units = Sequence[NDArray[np.float64]]
"""The values of each unit."""


def _arm(epoch: int, arm: str, metric: str, units: Units) -> ArmTotals:
    sums = [float(values.sum()) for values in units]
    counts = [float(len(values)) for values in units]
    return ArmTotals("new-model", epoch, arm, metric, UnitMoments.of(sums, counts), Sketch.of(np.concatenate(units)))


def _two_epochs(experiment: Experiment) -> Experiment:
    first = experiment.epochs[0]
    later = Epoch(2, NOW + timedelta(hours=1), first.arms, {"control": 1_000, "treatment": 9_000})
    return replace(experiment, epochs=(replace(first, weights={"control": 9_000, "treatment": 1_000}), later))


def _rate(
    experiment: Experiment, *shown: ArmTotals, before: Mapping[str, Carried] | None = None
) -> tuple[GuardrailFinding, dict[str, Carried]]:
    totals = lay_out(shown, len(experiment.epochs))
    [found], carried = watch_mean(experiment, totals, experiment.design.guardrails[0], before or {})
    return found, carried


def _once(failed: int, of: int) -> Units:
    return [np.array([1.0 if number < failed else 0.0]) for number in range(of)]


def test_rate__few_failures_of_users_who_ask_once__is_told_exactly() -> None:
    experiment = running(guardrails=[FAILED])
    held, _ = _rate(experiment, *(_arm(1, arm, "failed", _once(1, 2_000)) for arm in ("control", "treatment")))
    assert held.standing is Standing.HOLDS
    broken, _ = _rate(
        experiment, _arm(1, "control", "failed", _once(1, 2_000)), _arm(1, "treatment", "failed", _once(150, 2_000))
    )
    assert broken.standing is Standing.BREACHED


def test_rate__one_user_who_fails_often__is_one_user() -> None:
    """300 failures of one retrying user among 600 users; 300 of 900 requests would be an enormous rate."""
    experiment = running(guardrails=[FAILED])
    retrying = [*_once(0, 599), np.ones(300)]
    found, _ = _rate(experiment, _arm(1, "control", "failed", _once(3, 600)), _arm(1, "treatment", "failed", retrying))
    assert found.standing is not Standing.BREACHED


def test_rate__bounds_once_shown__are_carried_to_the_asymptotic_test() -> None:
    experiment = running(guardrails=[FAILED])
    early = (_arm(1, arm, "failed", _once(1, 2_000)) for arm in ("control", "treatment"))
    _, carried = _rate(experiment, *early)
    late = (_arm(1, arm, "failed", _once(80, 2_500)) for arm in ("control", "treatment"))
    found, _ = _rate(experiment, *late, before=carried)
    assert found.standing is Standing.HOLDS


def test_rate__epochs_with_other_users__are_not_pooled() -> None:
    """In both epochs the arms are equal; pooled, the treatment, which got most users of the bad day, looks worse."""
    experiment = _two_epochs(running(guardrails=[FAILED]))
    shown = [
        _arm(1, "control", "failed", _once(4, 4_500)),
        _arm(1, "treatment", "failed", _once(0, 500)),
        _arm(2, "control", "failed", _once(20, 500)),
        _arm(2, "treatment", "failed", _once(180, 4_500)),
    ]
    found, _ = _rate(experiment, *shown)
    assert found.standing is not Standing.BREACHED


def test_quantile__epochs_with_other_users__are_not_pooled() -> None:
    experiment = _two_epochs(running(guardrails=[P95]))
    random = np.random.default_rng(1)
    shown = [
        _arm(epoch, arm, "latency_ms", [np.array([value]) for value in random.lognormal(np.log(scale), 0.2, count)])
        for epoch, arm, scale, count in (
            (1, "control", 10.0, 9_000),
            (1, "treatment", 10.0, 1_000),
            (2, "control", 100.0, 1_000),
            (2, "treatment", 100.0, 9_000),
        )
    ]
    totals = lay_out(shown, 2)
    [found], _ = watch_quantile(experiment, totals, experiment.design.guardrails[0], {})
    assert found.standing is not Standing.BREACHED
    slow = [
        replace(each, sketch=Sketch.of(random.lognormal(np.log(60.0), 0.2, 1_000))) if each.arm == "treatment" else each
        for each in shown[:2]
    ]
    [worse], _ = watch_quantile(experiment, lay_out(slow, 2), experiment.design.guardrails[0], {})
    assert worse.standing is Standing.BREACHED


@pytest.mark.parametrize("often", [1, 10])
def test_rate__at_the_margin_and_watched__rarely_called_good_or_bad(often: int) -> None:
    """200 histories, 10 looks each, of users whose requests are all alike: at the margin both verdicts are wrong."""
    experiment = running(planned_units=2_000, guardrails=[FAILED])
    guardrail, rule = experiment.design.guardrails[0], replace(experiment.design.rule, burn_in_events=1_000_000)
    random = np.random.default_rng(often)
    wrong = 0
    for _ in range(200):
        failing = {"control": random.random(2_000) < 0.005, "treatment": random.random(2_000) < 0.025}
        sizes = 1 + random.poisson(often - 1, 2_000)
        carried: Carried = {}
        for users in range(200, 2_001, 200):
            moments = {
                (FAILED["metric"], arm): (UnitMoments.of((fails * sizes)[:users], sizes[:users]),)
                for arm, fails in failing.items()
            }
            carried = watch_rates(Totals(1, moments, {}), guardrail, ("control", "treatment"), rule, 1_000, carried)
        wrong += min(value or 1.0 for value in carried.values()) <= 0.05
    assert wrong / 200 <= 0.10  # two one-sided verdicts at 5 % each
