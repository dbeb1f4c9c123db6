"""The rule: what is found leads to one decision, with its reasons."""

from __future__ import annotations

import math

import numpy as np
import pytest
from experiment_findings import arms, look, running, totals_of, yes

from bailiwick.experiments.analysis import analyse
from bailiwick.experiments.findings import Standing
from bailiwick.experiments.model import Verdict
from bailiwick.experiments.words import decision_words


def test_decide__before_the_burn_in__nothing_whatever_is_seen() -> None:
    _, decision = look(running(), arms(0, 40, of=40))
    assert decision.verdict is Verdict.CONTINUE and decision.reasons[0].startswith("burn-in: correct needs 50")


def test_decide__better_treatment__ships_with_the_size_in_words() -> None:
    _, decision = look(running(), arms(700, 800))
    assert (decision.verdict, decision.arm) == (Verdict.SHIP, "treatment")
    assert decision_words(decision).startswith("treatment improves correct by ")
    assert decision_words(decision).endswith("points; decision: ship treatment")


@pytest.mark.parametrize(
    ("failures", "verdict", "standing"),
    [
        (0, Verdict.SHIP, Standing.HOLDS),
        (30, Verdict.CONTINUE, Standing.OPEN),
        (200, Verdict.STOP_HARM, Standing.BREACHED),
    ],
)
def test_decide__guardrail__must_be_shown_to_hold(failures: int, verdict: Verdict, standing: Standing) -> None:
    experiment = running(guardrails=[{"metric": "failed", "margin": 0.03}])
    shown = arms(700, 800)
    shown["control"]["failed"] = yes(0, 1000)
    shown["treatment"]["failed"] = yes(failures, 1000)
    analysis, decision = look(experiment, shown)
    assert analysis.guardrails[0].standing is standing and decision.verdict is verdict


@pytest.mark.parametrize(("slower", "standing"), [(1.0, Standing.HOLDS), (1.6, Standing.BREACHED)])
def test_decide__quantile_guardrail__is_watched_on_the_tail(slower: float, standing: Standing) -> None:
    experiment = running(guardrails=[{"metric": "latency_ms", "margin": "25%", "quantile": 0.95}])
    random = np.random.default_rng(4)
    shown = {
        arm: {"correct": yes(700, 4000), "latency_ms": random.lognormal(math.log(20), 0.3, 4000) * factor}
        for arm, factor in (("control", 1.0), ("treatment", slower))
    }
    assert look(experiment, shown)[0].guardrails[0].standing is standing


def test_decide__lower_is_better__a_fall_improves() -> None:
    random = np.random.default_rng(3)
    shown = {arm: {"latency_ms": random.normal(mean, 3, 500)} for arm, mean in (("control", 20), ("treatment", 15))}
    _, decision = look(running(primary={"metric": "latency_ms"}), shown)
    assert decision.verdict is Verdict.SHIP and "improves latency_ms by" in decision.reasons[0]


def test_decide__no_effect_that_would_matter_is_possible__keeps_the_control() -> None:
    _, decision = look(running(minimum_effect=0.08), arms(7000, 7000, of=10_000))
    assert decision.verdict is Verdict.KEEP_CONTROL


def test_decide__time_is_up_and_nothing_shown__is_inconclusive() -> None:
    experiment = running(minimum_effect=0.001)
    assert look(experiment, arms(700, 705), days=27)[1].verdict is Verdict.CONTINUE
    assert look(experiment, arms(700, 705), days=28)[1].verdict is Verdict.INCONCLUSIVE


def test_decide__several_better_treatments__the_best_ships() -> None:
    three = [{"name": name, "version": version} for name, version in (("control", "v1"), ("t1", "v2"), ("t2", "v3"))]
    analysis, decision = look(running(arms=three), arms(700, 790, 850))
    assert (decision.verdict, decision.arm) == (Verdict.SHIP, "t2")
    assert [rank.arm for rank in analysis.ranking] == ["t2", "t1", "control"]
    assert sum(rank.best for rank in analysis.ranking) == pytest.approx(1)


def test_decide__equal_arms_that_differ__mistrusts_the_machinery() -> None:
    same = [{"name": name, "version": "v1"} for name in ("control", "treatment")]
    _, decision = look(running(kind="aa", arms=same), arms(700, 850))
    assert decision.verdict is Verdict.INCONCLUSIVE and "mistrust the machinery" in decision.reasons[-1]


def test_analyse__covariate__takes_variance_away_and_narrows_the_interval() -> None:
    from bailiwick.metrics.exposures import ArmTotals
    from bailiwick.metrics.sketch import Sketch
    from bailiwick.statistics.moments import UnitMoments

    random = np.random.default_rng(9)
    experiment = running(primary={"metric": "latency_ms"})
    found = {}
    for informed in (False, True):
        totals = []
        for arm in ("control", "treatment"):
            before = random.normal(20, 5, 800)
            after = before + random.normal(0, 1, 800)
            moments = UnitMoments.of(after, covariates=before if informed else None)
            totals.append(ArmTotals("new-model", 1, arm, "latency_ms", moments, Sketch.of(after)))
        found[informed] = analyse(experiment, totals, [], {}, experiment.created_at).primary[0]
    assert found[False].variance_saved == 0 and found[True].variance_saved > 0.9
    width = {informed: e.always_valid.high - e.always_valid.low for informed, e in found.items()}
    assert width[True] < width[False] / 3


def test_analyse__arm_without_any_value__says_that_nothing_is_known() -> None:
    totals, units = totals_of({"control": {"correct": yes(10, 100)}})
    analysis = analyse(running(), totals, units, {}, running().created_at)
    assert analysis.waiting is not None and math.isnan(analysis.primary[0].always_valid.estimate)
