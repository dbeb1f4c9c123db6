"""What each declared rule promises, and what it finds: whole experiments through the analysis and the decision.

`python -m benchmarks.simulations.experiment_rules` prints the table of docs/experiments.md. Every experiment is
analysed ten times on its way to the planned units, as somebody would who looks between the scheduled looks too, with
the evidence carried; a verdict is what stands at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from bailiwick.experiments.analysis import analyse
from bailiwick.experiments.decide import decide
from bailiwick.experiments.document import parse_design
from bailiwick.experiments.findings import Carried
from bailiwick.experiments.model import Experiment, Method, State, Verdict
from bailiwick.experiments.plans import first_epoch
from bailiwick.metrics.exposures import ArmTotals, ArmUnits
from bailiwick.metrics.sketch import Sketch
from bailiwick.statistics.moments import UnitMoments

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VISITS = 10

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]
"""Values of so many units, of mean about 0 and deviation about 1."""

POPULATIONS: Mapping[str, Draw] = {
    "normal": lambda random, units: random.normal(size=units),
    "Bernoulli 0.1": lambda random, units: (random.random(units) < 0.1) / 0.3,
    "log-normal": lambda random, units: random.lognormal(0.0, 0.8, units) / 1.3,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one experiment at its end: a difference was called, the treatment ships, and the units when it was settled."""

    significant: bool
    ships: bool
    units: int


def an_experiment(method: Method, arms: int, planned: int, looks: int = 5) -> Experiment:
    """A running experiment of this rule, with equal shares."""
    names = ["control", *(f"treatment-{number}" for number in range(1, arms))]
    design = parse_design(
        {
            "id": "rule",
            "domain": "cards",
            "primary": {"metric": "score", "better": "higher"},
            "minimum_effect": 0.01,
            "arms": [{"name": name, "version": name} for name in names],
            "burn_in_units": 50,
            "rule": method.value,
            "looks": looks,
        }
    )
    made = Experiment(design, State.RUNNING, 2, planned, NOW, "simulation", started_at=NOW)
    return replace(made, epochs=(first_epoch(made, NOW),))


def live(experiment: Experiment, values: Mapping[str, Floats], visits: int = VISITS) -> Outcome:
    """One experiment, visited again and again until all its units are in."""
    evidence: Mapping[str, Carried] = {}
    settled, per_arm = 0, len(next(iter(values.values())))
    significant = ships = False
    for visit in range(1, visits + 1):
        taken = per_arm * visit // visits
        totals = [_totals(arm, shown[:taken]) for arm, shown in values.items()]
        units = [ArmUnits("rule", 1, arm, taken, taken, 0) for arm in values]
        now = NOW + timedelta(days=visit / visits)
        analysis = analyse(experiment, totals, units, evidence, now)
        evidence = {**evidence, **analysis.evidence}
        significant = any(effect.significant for effect in analysis.primary)
        ships = decide(experiment, analysis, now).verdict is Verdict.SHIP
        if not settled and significant:
            settled = taken * len(values)
    return Outcome(significant, ships, settled or per_arm * len(values))


def outcomes(
    method: Method,
    repetitions: int,
    *,
    arms: int = 2,
    units: int = 600,
    effect: float = 0.0,
    draw: str = "normal",
    visits: int = VISITS,
) -> list[Outcome]:
    """Many experiments; the same seed gives every method the same users.

    Args:
        method: the declared rule.
        repetitions: how many experiments.
        arms: the control included.
        units: per arm.
        effect: that every treatment has, in deviations.
        draw: name of the population.
        visits: how often each is analysed.
    """
    random = np.random.default_rng([arms, units, round(effect * 1_000)])
    experiment = an_experiment(method, arms, arms * units)
    found = []
    for _ in range(repetitions):
        shown = {
            arm.name: POPULATIONS[draw](random, units) + effect * (arm.name != "control") for arm in experiment.arms
        }
        found.append(live(experiment, shown, visits))
    return found


def _totals(arm: str, values: Floats) -> ArmTotals:
    return ArmTotals("rule", 1, arm, "score", UnitMoments.of(values), Sketch.of(values[:5] - 0.5))


def main(repetitions: int) -> None:
    """Print a row per rule."""
    print("| rule | A/A, 2 arms | A/A, 4 arms | log-normal, 2 arms | finds the planned effect | units until then |")
    print("|---|---|---|---|---|---|")
    for method in Method:
        error = [
            np.mean([each.significant for each in outcomes(method, repetitions, arms=arms, draw=draw)])
            for arms, draw in ((2, "normal"), (4, "normal"), (2, "log-normal"))
        ]
        there = outcomes(method, repetitions, effect=2.8 * (2 / 600) ** 0.5)
        power, units = np.mean([each.ships for each in there]), np.mean([each.units for each in there]) / 1_200
        print(f"| `{method}` | {' | '.join(f'{each:.1%}' for each in error)} | {power:.1%} | {units:.0%} of the plan |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
