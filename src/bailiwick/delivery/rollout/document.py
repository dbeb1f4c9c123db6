"""Rollouts and their policies as documents: what files and REST say, in percent, seconds and weekdays. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from bailiwick.clock import in_utc
from bailiwick.delivery.rollout.freeze import FreezeWindow, Weekday
from bailiwick.delivery.rollout.model import (
    BlastRadius,
    Direction,
    Evidence,
    JudgeRule,
    MetricRule,
    Rollout,
    RolloutPolicy,
    Statistic,
    Step,
    Transition,
)
from bailiwick.delivery.rollout.policy import check_policy, default_policy
from bailiwick.delivery.rollout.schedule import DEFAULT_STEPS, check_steps
from bailiwick.errors import InvalidInput
from bailiwick.traffic.weights import parse_percent

Instant = Annotated[AwareDatetime, AfterValidator(in_utc)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")]
_Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class StepEntry(_Entry):
    """One step of a schedule."""

    share_percent: float = Field(gt=0, le=100, description="of the domain's users, at most two decimals")
    dwell_s: float = Field(300, ge=0, description="seconds that it lasts at least")
    sample: int = Field(200, ge=0, le=10**9, description="units of canary and control, each, before the next step")
    margin_scale: float = Field(1, gt=0, le=1e6, description="factor on every margin while deciding to leave it")
    approval: bool = Field(False, description="somebody must approve before the next step")


class MetricEntry(_Entry):
    """What the canary may not make worse."""

    metric: Name
    statistic: Statistic
    direction: Direction = Field(description="which way is good")
    margin: float = Field(ge=0, le=1e12, description="how much worse is harmless, in the metric's units")
    relative: bool = Field(False, description="the margin is a share of the control's value")
    required: bool = Field(True, description="promotion needs evidence on it; else it only guards")


class FreezeEntry(_Entry):
    """When nothing advances: start and end, or weekdays with the hour they begin at."""

    name: Name
    start: Instant | None = None
    end: Instant | None = None
    days: list[_Day] = Field([], max_length=7)
    opens: time = time(0)
    hours: float = Field(24, gt=0, le=168, description="how long a weekly freeze lasts")
    timezone: str = Field("UTC", max_length=100)


class PolicyDocument(_Entry):
    """A schedule and how it is judged; what is left out keeps its default."""

    steps: list[StepEntry] | None = Field(None, min_length=1, max_length=50)
    rule: JudgeRule = JudgeRule.SEQUENTIAL
    metrics: list[MetricEntry] | None = Field(None, min_length=1, max_length=20)
    alpha: float = Field(0.05, ge=1e-6, lt=0.5, description="chance to abort a harmless canary, ever")
    hold_back_percent: float = Field(5, ge=0, le=50, description="stays on the baseline while guarding")
    guard_s: float = Field(3600, ge=0, description="how long the hold-back guards")
    max_hold_s: float | None = Field(86_400, ge=0, description="longest wait for a decision beyond the dwell")
    on_max_hold: Literal["pause", "abort"] = "pause"
    most_requests: int | None = Field(None, ge=1, description="that the canary may be tried on before it is proven")
    most_units: int | None = Field(None, ge=1, description="likewise, in users")
    planned_units: int = Field(1_000, ge=1, le=10**9, description="of each arm, near which it is judged most sharply")
    freezes: list[FreezeEntry] = Field([], max_length=100)


def parse_policy(document: Mapping[str, Any]) -> tuple[tuple[Step, ...], RolloutPolicy]:
    """Schedule and policy of a document as read from a file.

    Raises:
        InvalidInput: a name is unknown, a value of the wrong type or out of bounds, or the schedule does not rise.
    """
    try:
        parsed = PolicyDocument.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"the rollout policy: {where}: {first['msg']}", what=where) from error
    return policy_of(parsed)


def policy_of(parsed: PolicyDocument) -> tuple[tuple[Step, ...], RolloutPolicy]:
    """Schedule and policy of a document that fits its schema.

    >>> steps, policy = policy_of(PolicyDocument(hold_back_percent=2))
    >>> [step.weight for step in steps], policy.hold_back
    ([100, 1000, 5000, 10000], 200)

    Raises:
        InvalidInput: the schedule does not rise to 100 %, or the policy requires nothing.
    """
    steps: tuple[Step, ...] = DEFAULT_STEPS
    if parsed.steps is not None:
        steps = tuple(
            Step(_points(step.share_percent), step.dwell_s, step.sample, step.margin_scale, step.approval)
            for step in parsed.steps
        )
    usual = default_policy(parsed.rule)
    metrics = usual.metrics
    if parsed.metrics is not None:
        metrics = tuple(
            MetricRule(each.metric, each.statistic, each.direction, each.margin, each.relative, each.required)
            for each in parsed.metrics
        )
    policy = RolloutPolicy(
        metrics=metrics,
        rule=parsed.rule,
        alpha=parsed.alpha,
        hold_back=_points(parsed.hold_back_percent),
        guard_s=parsed.guard_s,
        max_hold_s=parsed.max_hold_s,
        abort_on_max_hold=parsed.on_max_hold == "abort",
        blast_radius=BlastRadius(parsed.most_requests, parsed.most_units),
        freezes=tuple(map(_freeze, parsed.freezes)),
        planned_units=parsed.planned_units,
    )
    return check_steps(steps), check_policy(policy)


def policy_document(steps: tuple[Step, ...], policy: RolloutPolicy) -> dict[str, Any]:
    """Schedule and policy as `parse_policy` reads them."""
    return {
        "steps": [
            {
                "share_percent": step.weight / 100,
                "dwell_s": step.dwell_s,
                "sample": step.sample,
                "margin_scale": step.margin_scale,
                "approval": step.approval,
            }
            for step in steps
        ],
        "rule": policy.rule.value,
        "metrics": [_metric_document(rule) for rule in policy.metrics],
        "alpha": policy.alpha,
        "hold_back_percent": policy.hold_back / 100,
        "guard_s": policy.guard_s,
        "max_hold_s": policy.max_hold_s,
        "on_max_hold": "abort" if policy.abort_on_max_hold else "pause",
        "most_requests": policy.blast_radius.requests,
        "most_units": policy.blast_radius.units,
        "planned_units": policy.planned_units,
        "freezes": [_freeze_document(window) for window in policy.freezes],
    }


def rollout_document(rollout: Rollout) -> dict[str, Any]:
    """A rollout as it stands, weights in percent of the domain's users."""
    return {
        "id": rollout.id,
        "domain": rollout.domain,
        "version": rollout.version,
        "baseline": rollout.baseline,
        "state": rollout.state.value,
        "step": rollout.step,
        "share_percent": rollout.weight / 100,
        "seen_s": rollout.seen_s,
        "reason": rollout.reason,
        "started_at": rollout.started_at,
        "started_by": rollout.started_by,
        "ended_at": rollout.ended_at,
        "looked_at": rollout.ticked_at,
        "row_version": rollout.row_version,
        "plan_revision": rollout.plan_revision,
        "deployment": rollout.deployment,
        "policy": policy_document(rollout.steps, rollout.policy),
        "evidence": evidence_document(rollout.evidence),
    }


def evidence_document(evidence: Evidence) -> dict[str, Any]:
    """What is known, metric by metric."""
    return {
        "canary_units": evidence.canary_units,
        "control_units": evidence.control_units,
        "canary_requests": evidence.canary_requests,
        "metrics": [
            {
                **_metric_document(each.rule),
                "finding": each.finding.value,
                "canary": each.canary,
                "control": each.control,
                "difference": each.difference,
                "low": each.low,
                "high": each.high,
                "margin_now": each.margin,
                "words": each.words,
            }
            for each in evidence.metrics
        ],
    }


def transition_document(made: Transition) -> dict[str, Any]:
    """One move of a rollout."""
    return {
        "row_version": made.row_version,
        "at": made.at,
        "action": made.action,
        "before": made.before.value if made.before else None,
        "after": made.after.value,
        "step": made.step,
        "share_percent": made.weight / 100,
        "actor": made.actor,
        "reason": made.reason,
        "forced": made.forced,
        "fence": made.fence,
        "plan_revision": made.plan_revision,
        "evidence": evidence_document(made.evidence),
    }


def _metric_document(rule: MetricRule) -> dict[str, Any]:
    return {
        "metric": rule.metric,
        "statistic": rule.statistic.value,
        "direction": rule.direction.value,
        "margin": rule.margin,
        "relative": rule.relative,
        "required": rule.required,
    }


def _freeze(entry: FreezeEntry) -> FreezeWindow:
    return FreezeWindow(
        entry.name,
        entry.start,
        entry.end,
        frozenset(Weekday[day.upper()] for day in entry.days),
        entry.opens,
        timedelta(hours=entry.hours),
        entry.timezone,
    )


def _freeze_document(window: FreezeWindow) -> dict[str, Any]:
    return {
        "name": window.name,
        "start": window.start.isoformat() if window.start else None,
        "end": window.end.isoformat() if window.end else None,
        "days": [day.name.lower() for day in sorted(window.days)],
        "opens": window.opens.isoformat(timespec="minutes"),
        "hours": window.lasts / timedelta(hours=1),
        "timezone": window.timezone,
    }


def _points(share_percent: float) -> int:
    return parse_percent(str(share_percent))
