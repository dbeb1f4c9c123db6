"""Decisions are functions of what was found: replaying gives the same, and units in one sum are as good as in two."""

from __future__ import annotations

import numpy as np
from experiment_findings import NOW, look, running, totals_of, yes
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.experiments.analysis import analyse
from bailiwick.experiments.decide import decide
from bailiwick.experiments.findings import Carried
from bailiwick.experiments.model import Verdict

successes = st.integers(0, 600)
histories = st.lists(st.tuples(successes, successes), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(histories, st.floats(0.001, 0.5))
def test_decide__same_history_replayed__gives_the_same_decisions(
    history: list[tuple[int, int]], minimum_effect: float
) -> None:
    experiment = running(minimum_effect=minimum_effect, guardrails=[{"metric": "correct", "margin": 0.1}])

    def replay() -> list[object]:
        evidence: dict[str, Carried] = {}
        said: list[object] = []
        control = treatment = np.empty(0)
        for ours, theirs in history:
            control, treatment = np.append(control, yes(ours, 600)), np.append(treatment, yes(theirs, 600))
            totals = totals_of({"control": {"correct": control}, "treatment": {"correct": treatment}})
            analysis = analyse(experiment, *totals, evidence, NOW)
            evidence = dict(analysis.evidence)
            said.append((decide(experiment, analysis, NOW), repr(analysis)))
        return said

    assert replay() == replay()


@settings(max_examples=60, deadline=None)
@given(successes, successes)
def test_decide__arms_exchanged__never_ships_both_ways(ours: int, theirs: int) -> None:
    experiment = running(minimum_effect=0.001)
    one = look(experiment, {"control": {"correct": yes(ours, 600)}, "treatment": {"correct": yes(theirs, 600)}})[1]
    other = look(experiment, {"control": {"correct": yes(theirs, 600)}, "treatment": {"correct": yes(ours, 600)}})[1]
    assert (one.verdict is Verdict.SHIP) <= (other.verdict is Verdict.STOP_HARM)
    assert (one.verdict is Verdict.SHIP) <= (theirs > ours)
