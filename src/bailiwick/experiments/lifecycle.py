"""The life of an experiment: draft -> running <-> paused -> concluded -> archived, as one pure table."""

from __future__ import annotations

from enum import StrEnum

from bailiwick.errors import Conflict, NotFound
from bailiwick.experiments.model import State


class Step(StrEnum):
    """What can be done to an experiment. The value is the verb of its audit entry."""

    CREATE = "create"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    REWEIGHT = "reweight"
    OVERRIDE = "override"
    CONCLUDE = "conclude"
    DEPLOY = "deploy"
    ARCHIVE = "archive"


_TABLE: dict[Step, dict[State, State]] = {
    Step.START: {State.DRAFT: State.RUNNING},
    Step.PAUSE: {State.RUNNING: State.PAUSED},
    Step.RESUME: {State.PAUSED: State.RUNNING},
    Step.REWEIGHT: {State.RUNNING: State.RUNNING},
    Step.OVERRIDE: {State.DRAFT: State.DRAFT, State.RUNNING: State.RUNNING, State.PAUSED: State.PAUSED},
    Step.CONCLUDE: {State.RUNNING: State.CONCLUDED, State.PAUSED: State.CONCLUDED},
    Step.DEPLOY: {State.CONCLUDED: State.CONCLUDED},
    Step.ARCHIVE: {State.DRAFT: State.ARCHIVED, State.CONCLUDED: State.ARCHIVED},
}

_REMEDIES = {
    State.DRAFT: "start it with `bailiwick experiment start {id}`",
    State.RUNNING: "pause it with `bailiwick experiment pause {id}`, or end it with `... conclude {id}`",
    State.PAUSED: "go on with `bailiwick experiment resume {id}`",
    State.CONCLUDED: "see `bailiwick experiment show {id}`; create another experiment to ask again",
    State.ARCHIVED: "create another experiment to ask again",
}


def after_step(experiment: str, current: State | None, step: Step) -> State:
    """Where a step leads.

    Args:
        experiment: its id, for the words of an error.
        current: None where the id was never used.
        step: what is asked for.

    Raises:
        NotFound: there is no such experiment.
        Conflict: the step is not possible from there, or the id to be created is taken.

    >>> after_step("new-model", State.DRAFT, Step.START).value
    'running'
    """
    if step is Step.CREATE:
        if current is not None:
            raise Conflict(
                f"the experiment {experiment!r} exists already and is {current}",
                what="id",
                requested=experiment,
                remedy="choose another id; an experiment's history is never written over",
            )
        return State.DRAFT
    if current is None:
        raise no_such_experiment(experiment)
    target = _TABLE[step].get(current)
    if target is None:
        raise Conflict(
            f"cannot {step} the experiment {experiment!r}: it is {current}",
            what="state",
            requested=step.value,
            allowed=[each.value for each in Step if current in _TABLE.get(each, {})],
            remedy=_REMEDIES[current].format(id=experiment),
        )
    return target


def no_such_experiment(experiment: str) -> NotFound:
    """The error for an experiment that is not there."""
    return NotFound(
        f"there is no experiment {experiment[:120]!r}",
        what="id",
        requested=experiment[:120],
        remedy="see `bailiwick experiment list`",
    )
