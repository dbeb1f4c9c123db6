"""Experiments as OpenFeature flags, in the words of its Remote Evaluation Protocol. Pure.

The flag ``EXPERIMENT`` has the arm's parameters as its value, or the arm's name where no arm sets any;
``EXPERIMENT.PARAMETER`` has one parameter. Whoever takes no part gets no value, nor does one whose arm does not set the
parameter: the application goes on with its own default.

Source: open-feature/protocol, service/openapi.yaml, version 0.3.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.gateway.model import Snapshot
from bailiwick.gateway.participants import Evaluated
from bailiwick.gateway.requests import parse_object
from bailiwick.traffic.enter import assignment
from bailiwick.traffic.model import Arm, Assignment, ExperimentPlan, Scalar

MAX_TARGETING_KEY = 512
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The answer to one flag.

    Args:
        document: as the protocol wants it, without what is particular to one request.
        status: of HTTP, where the flag was asked for alone.
        assigned: the arm that was given; None where none was.
    """

    document: dict[str, Any]
    status: int = 200
    domain: str = ""
    assigned: Assignment | None = None


class RefusedContext(InvalidInput):
    """An evaluation request that cannot be read; ``code`` is the protocol's."""


def parse_evaluation(raw: bytes, request_id: str) -> Evaluated:
    """The subject of an evaluation: ``{"context": {"targetingKey": "user-42", ...}}``.

    Raises:
        RefusedContext: the body is no JSON object, or the context in it is malformed.
    """
    try:
        body = parse_object(raw)
    except InvalidInput as error:
        raise _refused("PARSE_ERROR", error.message) from error
    context = body.get("context", {})
    if not isinstance(context, dict):
        raise _refused("INVALID_CONTEXT", "`context` must be an object")
    key = context.get("targetingKey")
    if key is not None and not (isinstance(key, str) and len(key) <= MAX_TARGETING_KEY):
        raise _refused("INVALID_CONTEXT", f"`targetingKey` must be a text of at most {MAX_TARGETING_KEY} characters")
    return Evaluated(key or None, context, request_id)


def evaluate(snapshot: Snapshot, key: str, subject: Evaluated) -> Evaluation:
    """One flag for one subject."""
    experiment, _, parameter = key.partition(".")
    domain = snapshot.flags.get(experiment)
    if domain is None:
        if experiment in snapshot.ended:
            return _no_value(key, {"experiment": experiment})
        return _not_found(key)
    compiled = snapshot.served[domain].experiments
    plan = compiled.plan(experiment)
    if parameter and parameter not in parameters_of(plan):
        return _not_found(key)
    unit = subject.unit(plan.unit)
    if unit is None:
        return _failed(key, "TARGETING_KEY_MISSING", _missing(plan))
    assigned = assignment(compiled, experiment, subject.attribute, unit)
    metadata: dict[str, Scalar] = {"experiment": experiment, "domain": domain, "epoch": plan.split.revision}
    if assigned is None:
        return _no_value(key, metadata, domain)
    document = {
        "key": key,
        "reason": _reason(assigned),
        "variant": assigned.arm.name,
        "metadata": {**metadata, "propensity": assigned.propensity},
        **_value(plan, assigned.arm, parameter),
    }
    return Evaluation(document, domain=domain, assigned=assigned)


def evaluate_all(snapshot: Snapshot, subject: Evaluated) -> Iterator[Evaluation]:
    """Every experiment's flag and those of its parameters, for one subject."""
    for experiment in sorted(snapshot.flags):
        plan = snapshot.served[snapshot.flags[experiment]].experiments.plan(experiment)
        for key in (experiment, *(f"{experiment}.{parameter}" for parameter in sorted(parameters_of(plan)))):
            yield evaluate(snapshot, key, subject)


def parameters_of(plan: ExperimentPlan) -> frozenset[str]:
    """The names of what the arms set."""
    return frozenset(name for arm in plan.arms for name in arm.parameters)


def failure(error: RefusedContext, key: str | None = None) -> dict[str, Any]:
    """The document for a request that cannot be read."""
    document = {"errorCode": error.code, "errorDetails": str(error)}
    return document if key is None else {"key": key[:_SHOWN], **document}


def _value(plan: ExperimentPlan, arm: Arm, parameter: str) -> dict[str, Any]:
    if parameter:
        return {"value": _typed(plan, parameter, arm.parameters[parameter])} if parameter in arm.parameters else {}
    if not parameters_of(plan):
        return {"value": arm.name}
    return {"value": {name: _typed(plan, name, value) for name, value in sorted(arm.parameters.items())}}


def _typed(plan: ExperimentPlan, parameter: str, value: Scalar) -> Scalar:
    """A number has a fraction in every arm if it has one in any: an SDK reads one type."""
    is_float = any(isinstance(arm.parameters.get(parameter), float) for arm in plan.arms)
    return float(value) if is_float else value


def _reason(assigned: Assignment) -> str:
    if not assigned.counted:
        return "TARGETING_MATCH"
    return "STATIC" if assigned.propensity == 1 else "SPLIT"


def _no_value(key: str, metadata: Mapping[str, Scalar], domain: str = "") -> Evaluation:
    """The protocol's list of reasons is closed and knows no DEFAULT; some providers insist on a variant."""
    document = {"key": key, "reason": "DISABLED", "variant": "", "metadata": dict(metadata)}
    return Evaluation(document, domain=domain)


def _missing(plan: ExperimentPlan) -> str:
    field = "targetingKey" if plan.unit == "user" else plan.unit.removeprefix("header:").lower()
    return f"the experiment {plan.experiment!r} divides by {plan.unit!r}; give `{field}` in the context"


def _not_found(key: str) -> Evaluation:
    return _failed(key, "FLAG_NOT_FOUND", f"no experiment runs under the flag {key[:_SHOWN]!r}", 404)


def _failed(key: str, code: str, details: str, status: int = 400) -> Evaluation:
    document: Mapping[str, Any] = {"key": key[:_SHOWN], "errorCode": code, "errorDetails": details}
    return Evaluation(dict(document), status)


def _refused(code: str, details: str) -> RefusedContext:
    error = RefusedContext(details, what="context")
    error.code = code
    return error
