"""Designs as documents (a TOML or JSON file, flags, a request body), and experiments as JSON. Shares are in percent.

This is the edge where bytes become designs: the shape and the size of everything is checked here, its sense in
`bailiwick.experiments.design`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bailiwick.errors import InvalidInput
from bailiwick.experiments.model import (
    Direction,
    Experiment,
    ExperimentDesign,
    Goal,
    Guardrail,
    Kind,
    Method,
    MinimumEffect,
    Rule,
)
from bailiwick.metrics.better import lower_is_better
from bailiwick.traffic.model import SLOTS, Arm, Condition, Operator, Scalar
from bailiwick.traffic.weights import parse_percent

_WORD = r"^[^\x00-\x1f\x7f]+$"
NAME = r"^[A-Za-z][A-Za-z0-9._-]{0,63}$"
ID = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"

Name = Annotated[str, Field(pattern=NAME)]
Id = Annotated[str, Field(pattern=ID)]
Metric = Annotated[str, Field(pattern=_WORD, min_length=1, max_length=200)]
Share = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Amount = Annotated[str | float, Field(description="0.02 in the metric's unit, or '5%' of the control's value")]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GoalBody(_Shape):
    """A metric and which way is good; by its name where left out."""

    metric: Metric
    better: Direction | None = None


class GuardrailBody(GoalBody):
    """What a winner must not hurt by more than the margin."""

    margin: Amount
    quantile: float | None = Field(None, gt=0, lt=1)


class ArmBody(_Shape):
    """One arm; the first is the control."""

    name: Name
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@+-]{1,200}$")] | None = None
    weight: Share | None = Field(None, description="percent; equal shares where no arm has one")
    parameters: dict[Name, Scalar] = Field(default_factory=dict, max_length=100)


class ConditionBody(_Shape):
    """Who may take part."""

    attribute: Annotated[str, Field(pattern=_WORD, min_length=1, max_length=200)]
    operator: Operator
    values: list[Scalar] = Field(default_factory=list, max_length=1_000)


class DesignBody(_Shape):
    """A design as people write it."""

    id: Id
    domain: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
    hypothesis: Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$")] = ""
    kind: Kind | None = Field(None, description="ab with two arms, multivariant with more, where left out")
    primary: GoalBody
    minimum_effect: Amount
    arms: list[ArmBody] = Field(min_length=1, max_length=100)
    guardrails: list[GuardrailBody] = Field(default_factory=list, max_length=50)
    secondary: list[GoalBody] = Field(default_factory=list, max_length=100)
    unit: Annotated[str, Field(pattern=r"^(user|session|request|header:[A-Za-z0-9-]{1,64})$")] = "user"
    layer: Id = "default"
    coverage: Share = 100.0
    holdout: Share = 0.0
    conditions: list[ConditionBody] = Field(default_factory=list, max_length=50)
    maximum_days: float = Field(28.0, gt=0, le=3_650)
    rule: Method = Field(Method.SEQUENTIAL, description="when the primary metric decides")
    looks: int = Field(5, ge=2, le=20, description="scheduled looks of the group-sequential and the hybrid rule")
    planned_units: int | None = Field(None, ge=2, le=2_000_000_000, description="from the power check where left out")
    level: float = 0.95
    power: float = 0.8
    feedback_hours: float = Field(72.0, gt=0, le=24 * 90)
    burn_in_units: int = Field(200, ge=2, le=10_000_000)
    burn_in_events: int = Field(25, ge=1, le=10_000_000)
    automatic: bool = False
    deploy: bool = False
    floor: Share = 10.0
    reweight_minutes: int = Field(60, ge=1, le=60 * 24 * 30)


def parse_design(document: Mapping[str, Any], *, where: str | None = None) -> ExperimentDesign:
    """A design from a document.

    Raises:
        InvalidInput: a field is unknown, missing, or does not have the shape that is asked for.
    """
    try:
        return design_of(DesignBody.model_validate(document))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "design"
        raise InvalidInput(
            f"{field}: {first['msg'].removeprefix('Value error, ')}",
            what=field,
            where=where,
            requested=str(first.get("input"))[:200],
            remedy="see `bailiwick experiment create --help`",
        ) from error


def design_of(body: DesignBody) -> ExperimentDesign:
    """The design that a checked document describes."""
    size, relative = parse_amount(body.minimum_effect, what="minimum_effect")
    kind = body.kind or (Kind.AB if len(body.arms) <= 2 else Kind.MULTIVARIANT)
    return ExperimentDesign(
        id=body.id,
        domain=body.domain,
        hypothesis=body.hypothesis.strip(),
        kind=kind,
        primary=_goal(body.primary),
        minimum_effect=MinimumEffect(size, relative),
        arms=tuple(Arm(arm.name, arm.version, dict(arm.parameters)) for arm in body.arms),
        weights=_weights(body.arms),
        guardrails=tuple(_guardrail(each) for each in body.guardrails),
        secondary=tuple(_goal(each) for each in body.secondary),
        unit=body.unit,
        layer=body.layer,
        coverage=parse_percent(str(body.coverage)),
        holdout=parse_percent(str(body.holdout)),
        conditions=tuple(Condition(each.attribute, each.operator, tuple(each.values)) for each in body.conditions),
        maximum_days=body.maximum_days,
        power=body.power,
        feedback_hours=body.feedback_hours,
        planned_units=body.planned_units,
        rule=Rule(
            method=body.rule,
            looks=body.looks,
            level=body.level,
            burn_in_units=body.burn_in_units,
            burn_in_events=body.burn_in_events,
            automatic=body.automatic,
            deploy=body.deploy,
            floor=parse_percent(str(body.floor)),
            reweight_minutes=body.reweight_minutes,
        ),
    )


def design_document(design: ExperimentDesign) -> dict[str, Any]:
    """A design as the document that `parse_design` reads back."""
    rule = design.rule
    return {
        "id": design.id,
        "domain": design.domain,
        "hypothesis": design.hypothesis,
        "kind": design.kind.value,
        "primary": {"metric": design.primary.metric, "better": design.primary.better.value},
        "minimum_effect": _amount(design.minimum_effect.size, relative=design.minimum_effect.relative),
        "arms": [arm_document(arm, design.weights) for arm in design.arms],
        "guardrails": [
            {
                "metric": each.metric,
                "better": each.better.value,
                "margin": _amount(each.margin, relative=each.relative),
                "quantile": each.quantile,
            }
            for each in design.guardrails
        ],
        "secondary": [{"metric": each.metric, "better": each.better.value} for each in design.secondary],
        "unit": design.unit,
        "layer": design.layer,
        "coverage": design.coverage / 100,
        "holdout": design.holdout / 100,
        "conditions": [
            {"attribute": each.attribute, "operator": each.operator.value, "values": list(each.values)}
            for each in design.conditions
        ],
        "maximum_days": design.maximum_days,
        "rule": rule.method.value,
        "looks": rule.looks,
        "planned_units": design.planned_units,
        "level": rule.level,
        "power": design.power,
        "feedback_hours": design.feedback_hours,
        "burn_in_units": rule.burn_in_units,
        "burn_in_events": rule.burn_in_events,
        "automatic": rule.automatic,
        "deploy": rule.deploy,
        "floor": rule.floor / 100,
        "reweight_minutes": rule.reweight_minutes,
    }


def experiment_document(experiment: Experiment) -> dict[str, Any]:
    """An experiment with its fate, for JSON."""
    present = experiment.present
    return {
        **design_document(experiment.design),
        "state": experiment.state.value,
        "revision": experiment.revision,
        "epoch": present.number if present else 0,
        "epochs": [
            {
                "number": epoch.number,
                "at": epoch.at,
                "reason": epoch.reason,
                "arms": [arm_document(arm, epoch.weights) for arm in epoch.arms],
            }
            for epoch in experiment.epochs
        ],
        "planned_units": experiment.planned_units,
        "created_at": experiment.created_at,
        "created_by": experiment.created_by,
        "started_at": experiment.started_at,
        "ended_at": experiment.ended_at,
        "overrides": dict(experiment.overrides),
        "power_check": asdict(experiment.power_check) if experiment.power_check else None,
        "forced": experiment.forced,
        "conclusion": asdict(experiment.conclusion) if experiment.conclusion else None,
    }


def arm_document(arm: Arm, weights: Mapping[str, int]) -> dict[str, Any]:
    """An arm with its share in percent."""
    return {
        "name": arm.name,
        "version": arm.version,
        "weight": weights.get(arm.name, 0) / 100,
        "parameters": dict(arm.parameters),
    }


def parse_amount(given: str | float, *, what: str) -> tuple[float, bool]:
    """A number and whether it is a share of the control's value.

    Raises:
        InvalidInput: neither a number nor a percentage.

    >>> parse_amount("5%", what="margin"), parse_amount(0.02, what="margin")
    ((0.05, True), (0.02, False))
    """
    text = str(given).strip()
    relative = text.endswith("%")
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        raise InvalidInput(
            f"{what}: {text[:100]!r} is neither a number nor a percentage",
            what=what,
            requested=text[:100],
            allowed="0.02 (in the metric's unit) or 5% (of the control's value)",
        ) from None
    return (number / 100, True) if relative else (number, False)


def usual_direction(metric: str) -> Direction:
    """Which way of a metric is good, by its name.

    >>> usual_direction("latency_ms").value, usual_direction("correct").value
    ('lower', 'higher')
    """
    return Direction.LOWER if lower_is_better(metric) else Direction.HIGHER


def equal_weights(arms: list[str]) -> dict[str, int]:
    """Equal shares that sum to 100 %, the first arms getting what cannot be divided.

    >>> equal_weights(["a", "b", "c"])
    {'a': 3334, 'b': 3333, 'c': 3333}
    """
    share, rest = divmod(SLOTS, len(arms))
    return {name: share + (index < rest) for index, name in enumerate(arms)}


def _weights(arms: list[ArmBody]) -> dict[str, int]:
    if all(arm.weight is None for arm in arms):
        return equal_weights([arm.name for arm in arms])
    missing = [arm.name for arm in arms if arm.weight is None]
    if missing:
        raise InvalidInput(
            f"the arm {missing[0]!r} has no weight, but others have",
            what=missing[0],
            remedy="give every arm its percentage, or none",
        )
    return {arm.name: parse_percent(str(arm.weight)) for arm in arms}


def _goal(body: GoalBody) -> Goal:
    return Goal(body.metric, body.better or usual_direction(body.metric))


def _guardrail(body: GuardrailBody) -> Guardrail:
    margin, relative = parse_amount(body.margin, what=f"margin of {body.metric}")
    return Guardrail(body.metric, body.better or usual_direction(body.metric), margin, relative, body.quantile)


def _amount(size: float, *, relative: bool) -> str | float:
    return f"{size * 100:.12g}%" if relative else size
