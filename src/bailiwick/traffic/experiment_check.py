"""Whether an experiment's plan makes sense in itself. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.traffic.conditions import compile_condition
from bailiwick.traffic.model import ALGORITHM, SLOTS, Arm, Condition, ExperimentPlan, Scalar
from bailiwick.traffic.weights import check_weights

MAX_OVERRIDES = 1_000
MAX_CONDITIONS = 50
MAX_VALUES = 1_000
MAX_PARAMETERS = 50
MAX_TEXT = 512
"""Characters of a unit, of a value and of an attribute's name."""

MAX_VERSION = 200
"""Characters of a model version's id."""
MAX_EPOCH = 2**31 - 1

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ARM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,99}")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_HEADER = re.compile(r"header:[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_KINDS = frozenset({"user", "session", "request"})
_LARGEST = 2**53


def check_experiment(plan: ExperimentPlan) -> None:
    """Check a plan before it is stored.

    Raises:
        InvalidInput: naming the field that is wrong.
    """
    _match(_ID, plan.experiment, "experiment", "letters, digits, - and _, at most 64; it is also the key of a flag")
    _match(_ID, plan.domain, "domain", "the id of a domain")
    _match(_ID, plan.layer, "layer", "letters, digits, - and _, at most 64")
    _check_unit_kind(plan.unit)
    _check_slots(plan.slots)
    _check_arms(plan.arms)
    _check_split(plan)
    _check_conditions(plan.conditions)
    _check_overrides(plan)


def _check_unit_kind(unit: str) -> None:
    if unit not in _KINDS and not _HEADER.fullmatch(unit):
        raise _wrong("unit", unit, "user, session, request, or header:NAME")


def _check_slots(slots: Sequence[tuple[int, int]]) -> None:
    place = 0
    for first, end in slots:
        if not (_is_whole(first) and _is_whole(end) and place <= first < end <= SLOTS):
            raise _wrong("slots", [first, end], f"sorted, disjoint ranges [first, end) of whole slots, 0 to {SLOTS}")
        place = end
    if not slots:
        raise _wrong("slots", [], "at least one slot")


def _check_arms(arms: Sequence[Arm]) -> None:
    names = [arm.name for arm in arms]
    if len(names) < 2:
        raise _wrong("arms", names, "at least two arms")
    for arm in arms:
        _match(_ARM, arm.name, "arms", "letters, digits and . _ : @ + -, at most 100")
        if arm.version is not None and not (_is_text(arm.version) and 1 <= len(arm.version) <= MAX_VERSION):
            raise _wrong("version", arm.version, "the id of a model version")
        if len(arm.parameters) > MAX_PARAMETERS:
            raise _wrong("parameters", len(arm.parameters), f"at most {MAX_PARAMETERS} for an arm")
        for name, value in arm.parameters.items():
            _match(_PARAMETER, name, "parameters", "letters, digits and _ . -, at most 64")
            _check_scalar(f"parameters.{name}", value)
    for name in names:
        if names.count(name) > 1:
            raise _wrong("arms", name, "each arm once")
    _check_parameter_kinds(arms)


def _check_parameter_kinds(arms: Sequence[Arm]) -> None:
    """A parameter is one kind of thing in every arm, so that an application can read it."""
    kinds: dict[str, str] = {}
    for arm in arms:
        for name, value in arm.parameters.items():
            kind = "a truth value" if isinstance(value, bool) else "a text" if isinstance(value, str) else "a number"
            if kinds.setdefault(name, kind) != kind:
                raise _wrong(f"parameters.{name}", value, f"{kinds[name]}, as in the other arms")


def _check_split(plan: ExperimentPlan) -> None:
    split = plan.split
    if split.domain != plan.domain or split.algorithm != ALGORITHM or not _is_whole(split.revision):
        raise _wrong("split", [split.domain, split.revision, split.algorithm], f"a split of the domain {plan.domain!r}")
    if not 1 <= split.revision <= MAX_EPOCH:
        raise _wrong("split", split.revision, f"an epoch from 1 to {MAX_EPOCH}")
    if not (split.salt and _is_text(split.salt) and len(split.salt) <= 100):
        raise _wrong("split", split.salt, "a salt of 1 to 100 characters")
    borders = [0, *(piece.end for piece in split.ranges)]
    if [piece.first for piece in split.ranges] != borders[:-1] or borders != sorted(set(borders)):
        raise _wrong("split", borders, "ranges that follow each other")
    check_weights(split.weights)
    unknown = sorted(split.weights.keys() - {arm.name for arm in plan.arms})
    if unknown:
        raise _wrong("split", unknown[0], [arm.name for arm in plan.arms])


def _check_conditions(conditions: Sequence[Condition]) -> None:
    if len(conditions) > MAX_CONDITIONS:
        raise _wrong("conditions", len(conditions), f"at most {MAX_CONDITIONS}")
    for condition in conditions:
        if not (condition.attribute and _is_text(condition.attribute)):
            raise _wrong("conditions", condition.attribute, "the name of an attribute")
        if len(condition.values) > MAX_VALUES:
            raise _wrong("conditions", len(condition.values), f"at most {MAX_VALUES} values")
        for value in condition.values:
            _check_scalar(f"conditions.{condition.attribute}", value)
        compile_condition(condition)


def _check_overrides(plan: ExperimentPlan) -> None:
    if len(plan.overrides) > MAX_OVERRIDES:
        raise _wrong("overrides", len(plan.overrides), f"at most {MAX_OVERRIDES} units")
    names = {arm.name for arm in plan.arms}
    for unit, arm in plan.overrides.items():
        if not (unit and _is_text(unit)):
            raise _wrong("overrides", unit, f"units of 1 to {MAX_TEXT} characters")
        if arm not in names:
            raise _wrong("overrides", arm, sorted(names))


def _check_scalar(what: str, value: Scalar) -> None:
    if isinstance(value, str):
        fits = _is_text(value)
    elif isinstance(value, float):
        fits = math.isfinite(value)
    else:
        fits = isinstance(value, bool) or (isinstance(value, int) and abs(value) <= _LARGEST)
    if not fits:
        raise _wrong(what, value, "a text, a truth value or a finite number")


def _is_text(value: Any) -> bool:
    """Whether both databases can hold it: no control characters, no halves of surrogate pairs."""
    return isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable()


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _match(pattern: re.Pattern[str], value: Any, what: str, allowed: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _wrong(what, value, allowed)


def _wrong(what: str, value: Any, allowed: str | Iterable[str]) -> InvalidInput:
    return InvalidInput(
        f"{what} cannot be {repr(value)[:200]}",
        what=what,
        requested=repr(value)[:200],
        allowed=allowed if isinstance(allowed, str) else list(allowed),
    )
