"""Designs as documents, refusals in words, and the plan's arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
from trials import a_design, design_document

from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.experiments.design import check_design
from bailiwick.experiments.document import design_document as written
from bailiwick.experiments.document import parse_design
from bailiwick.experiments.lifecycle import Step, after_step
from bailiwick.experiments.model import Direction, State
from bailiwick.experiments.planning import MetricHistory, check_power, detectable_effect, units_needed

VERSIONS = {"v1": "cards", "v2": "cards", "v3": "cards", "w1": "loans"}


def test_design__written_and_parsed__is_the_same() -> None:
    design = a_design(
        minimum_effect="7%",
        guardrails=[
            {"metric": "latency_ms", "margin": "12.5%", "quantile": 0.99},
            {"metric": "failed", "margin": 0.01},
        ],
        coverage=33.33,
        holdout=5,
    )
    assert parse_design(written(design)) == design
    assert design.guardrails[0].better is Direction.LOWER and design.primary.better is Direction.HIGHER


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"arms": [{"name": "only", "version": "v1"}]}, "1 arm"),
        ({"kind": "aa"}, "differs from 'control'"),
        ({"kind": "multivariant"}, "with 2 arm"),
        ({"arms": [{"name": "a", "version": "v1"}, {"name": "b", "version": "w1"}]}, "a version of 'loans'"),
        ({"level": 95}, "a level of 95"),
        ({"power": 0.1}, "a power of 0.1"),
        ({"minimum_effect": "nan"}, "minimum_effect is nan"),
        ({"guardrails": [{"metric": "failed", "margin": -0.1}]}, "margin of failed"),
        ({"secondary": [{"metric": "correct"}]}, "named twice"),
        ({"coverage": 0}, "no unit takes part"),
        ({"kind": "bandit", "floor": 60}, "a floor of 60 %"),
        ({"kind": "aa", "arms": [{"name": n, "version": "v1"} for n in "ab"], "deploy": True}, "no winner to deploy"),
    ],
)
def test_check_design__what_cannot_work__is_named_with_a_remedy(changes: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidInput, match=names) as refused:
        check_design(a_design(**changes), versions=VERSIONS, metrics=frozenset())
    assert refused.value.remedy or refused.value.allowed


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"id": "1 space"},
        {"id": "x" * 65},
        {"minimum_effect": "a lot"},
        {"arms": []},
        {"arms": [{"name": "a", "weight": 50}, {"name": "b"}]},
        {"maximum_days": float("nan")},
        {"unit": "header:"},
        {"primary": {"metric": "a\x00b"}},
    ],
)
def test_parse_design__of_the_wrong_shape__is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        parse_design(design_document(**changes))


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.CREATE])
@pytest.mark.parametrize("state", list(State))
def test_after_step__every_pair__leads_somewhere_or_is_refused_with_a_remedy(state: State, step: Step) -> None:
    try:
        assert isinstance(after_step("x", state, step), State)
    except Conflict as refused:
        assert refused.remedy and state.value in refused.message


def test_after_step__nothing_there__is_not_found() -> None:
    with pytest.raises(NotFound):
        after_step("x", None, Step.START)


def test_planning__sample_size_and_effect__are_one_curve() -> None:
    units = units_needed(0.02, 0.4, 4.0, 0.95, 0.8)
    assert detectable_effect(units, 0.4, 4.0, 0.95, 0.8) == pytest.approx(0.02, rel=1e-4)


def test_check_power__metric_that_never_varied__is_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot tell arms apart"):
        check_power(a_design(), MetricHistory(1.0, 0.0, 500, 100))
    with pytest.raises(InvalidInput, match="whose mean is 0"):
        check_power(a_design(minimum_effect="5%"), MetricHistory(0.0, 1.0, 500, 100))
    with pytest.raises(InvalidInput, match="takes"):
        check_power(a_design(minimum_effect=1e-9), MetricHistory(0.5, 0.5, 500, 100))
