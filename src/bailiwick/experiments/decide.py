"""What should be done with an experiment: a declared rule over an analysis. Pure: the same findings, the same decision.

The rule, in order:

1. Before the burn-in nothing is decided.
2. When every treatment does damage (significantly worse on the primary metric, or a guardrail breached): ``stop-harm``.
3. When the arms did not get the units that they should have got, the data cannot be trusted: ``inconclusive``.
4. An A/A experiment never ships; it ends with ``keep-control`` at the planned sample, or ``inconclusive`` where its
   equal arms differ.
5. A treatment that is significantly better, and is shown to hold every guardrail, ships; of several the best one.
6. When no treatment can be better by the minimum effect any more: ``keep-control``.
7. When the time is up: ``inconclusive``. Until then: ``continue``.

Every test behind it holds at every look together, so the rule may be asked as often as one likes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from bailiwick.experiments.findings import Analysis, ArmEffect, Decision, GuardrailFinding, Standing
from bailiwick.experiments.model import Experiment, Kind, Verdict
from bailiwick.experiments.words import effect_words, guardrail_words


def decide(experiment: Experiment, analysis: Analysis, now: datetime) -> Decision:
    """The decision that follows from an analysis.

    Args:
        experiment: with its rule, and its arms as they are now.
        analysis: of the same experiment.
        now: for the maximum duration, which counts from the start.
    """
    over = _time_is_up(experiment, now)
    if analysis.waiting is not None:
        ended = ("the time is up", analysis.waiting)
        return Decision(Verdict.INCONCLUSIVE, None, ended) if over else _continue((analysis.waiting,))
    effects = [effect for effect in analysis.primary if effect.arm in _present(experiment)]
    harmed = tuple(effect.arm for effect in effects if _does_damage(effect, analysis.guardrails))
    if experiment.design.kind is not Kind.AA and effects and len(harmed) == len(effects):
        return Decision(Verdict.STOP_HARM, None, _damage(effects, analysis.guardrails), harmed)
    alarms = tuple(_mismatch(each.epoch, each.p) for each in analysis.sample_ratio if each.alarm)
    if alarms:
        remedy = "find out which units were lost (redirects, crashes, filters), mend it, and start another experiment"
        return Decision(Verdict.INCONCLUSIVE, None, (*alarms, remedy), harmed)
    if experiment.design.kind is Kind.AA:
        return _equal_arms(experiment, analysis, effects, over=over)
    return _winner(experiment, analysis, effects, harmed, over=over)


def _winner(
    experiment: Experiment, analysis: Analysis, effects: Sequence[ArmEffect], harmed: tuple[str, ...], *, over: bool
) -> Decision:
    better = [effect for effect in effects if effect.improves and effect.arm not in harmed]
    ready = [effect for effect in better if not _open(effect.arm, analysis.guardrails)]
    if ready:
        chosen = max(ready, key=lambda effect: effect.always_valid.estimate * effect.better.sign)
        held = tuple(guardrail_words(each) for each in analysis.guardrails if each.arm == chosen.arm)
        beside = tuple(effect_words(effect) for effect in effects if effect is not chosen)
        return Decision(Verdict.SHIP, chosen.arm, (effect_words(chosen), *held, *beside), harmed)
    reasons = tuple(effect_words(effect) for effect in effects)
    waiting = tuple(guardrail_words(each) for effect in better for each in _open(effect.arm, analysis.guardrails))
    bound = minimum_effect(experiment, analysis)
    if not better and all(_is_futile(effect, bound) for effect in effects):
        futile = f"no treatment can be better by {bound:.3g} or more, which was the least that would matter"
        return Decision(Verdict.KEEP_CONTROL, None, (*reasons, futile), harmed)
    if over:
        return Decision(Verdict.INCONCLUSIVE, None, (*reasons, *waiting, "the time is up"), harmed)
    dropped = tuple(f"{arm} does damage: drop it" for arm in harmed)
    return Decision(Verdict.CONTINUE, None, (*reasons, *waiting, *dropped), harmed)


def _equal_arms(experiment: Experiment, analysis: Analysis, effects: Sequence[ArmEffect], *, over: bool) -> Decision:
    different = [effect for effect in effects if effect.significant]
    if different:
        reasons = (*(effect_words(effect) for effect in different), "equal arms differ: mistrust the machinery")
        return Decision(Verdict.INCONCLUSIVE, None, reasons)
    reasons = tuple(effect_words(effect) for effect in effects)
    if over or analysis.units >= experiment.planned_units:
        return Decision(Verdict.KEEP_CONTROL, None, (*reasons, "equal arms came out equal, as they should"))
    return _continue(reasons)


def minimum_effect(experiment: Experiment, analysis: Analysis) -> float:
    """The least improvement that would matter, in the primary metric's unit; by the control as it is measured."""
    wanted = experiment.design.minimum_effect
    if not wanted.relative:
        return wanted.size
    control, metric = experiment.design.control.name, experiment.design.primary.metric
    measured = next(e.value.estimate for e in analysis.estimates if (e.arm, e.metric) == (control, metric))
    return wanted.size * abs(measured)


def _is_futile(effect: ArmEffect, bound: float) -> bool:
    interval = effect.always_valid
    most = interval.high if effect.better.sign > 0 else -interval.low
    return math.isfinite(most) and most < bound


def _does_damage(effect: ArmEffect, guardrails: Sequence[GuardrailFinding]) -> bool:
    return effect.worsens or any(each.standing is Standing.BREACHED for each in guardrails if each.arm == effect.arm)


def _damage(effects: Sequence[ArmEffect], guardrails: Sequence[GuardrailFinding]) -> tuple[str, ...]:
    worse = [effect_words(effect) for effect in effects if effect.worsens]
    arms = {effect.arm for effect in effects}
    breached = [guardrail_words(g) for g in guardrails if g.standing is Standing.BREACHED and g.arm in arms]
    return (*worse, *breached)


def _open(arm: str, guardrails: Sequence[GuardrailFinding]) -> list[GuardrailFinding]:
    return [each for each in guardrails if each.arm == arm and each.standing is not Standing.HOLDS]


def _present(experiment: Experiment) -> set[str]:
    epoch = experiment.present
    return {arm.name for arm in (epoch.arms if epoch else experiment.design.arms)}


def _mismatch(epoch: int, p: float) -> str:
    return f"sample ratio mismatch in epoch {epoch} (p {p:.2g}): the arms did not get the units they should have got"


def _time_is_up(experiment: Experiment, now: datetime) -> bool:
    started = experiment.started_at
    return started is not None and now - started >= timedelta(days=experiment.design.maximum_days)


def _continue(reasons: tuple[str, ...]) -> Decision:
    return Decision(Verdict.CONTINUE, None, reasons)
