"""Schedules, policies and evidence as the JSON that the tables keep. Pure."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from bailiwick.delivery.rollout.model import EpochWeights, Evidence, RolloutPolicy, Step

_STEPS = TypeAdapter(tuple[Step, ...])
_POLICY = TypeAdapter(RolloutPolicy)
_EVIDENCE = TypeAdapter(Evidence)
_EPOCHS = TypeAdapter(tuple[EpochWeights, ...])


def dump_steps(steps: tuple[Step, ...]) -> Any:
    """As `load_steps` reads it."""
    return _STEPS.dump_python(steps, mode="json")


def load_steps(document: Any) -> tuple[Step, ...]:
    """The steps of a stored schedule."""
    return _STEPS.validate_python(document)


def dump_policy(policy: RolloutPolicy) -> Any:
    """As `load_policy` reads it."""
    return _POLICY.dump_python(policy, mode="json")


def load_policy(document: Any) -> RolloutPolicy:
    """A stored policy."""
    return _POLICY.validate_python(document)


def dump_evidence(evidence: Evidence) -> Any:
    """As `load_evidence` reads it; every number in evidence is finite or None."""
    return _EVIDENCE.dump_python(evidence, mode="json")


def load_evidence(document: Any) -> Evidence:
    """Stored evidence."""
    return _EVIDENCE.validate_python(document)


def dump_epochs(epochs: tuple[EpochWeights, ...]) -> Any:
    """As `load_epochs` reads it."""
    return _EPOCHS.dump_python(epochs, mode="json")


def load_epochs(document: Any) -> tuple[EpochWeights, ...]:
    """The stored weights of every epoch."""
    return _EPOCHS.validate_python(document)
