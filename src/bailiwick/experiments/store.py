"""The tables of experiments: one row per experiment, and the evidence that every look carries to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    select,
    update,
)

from bailiwick.errors import Conflict
from bailiwick.experiments.document import design_document, parse_design
from bailiwick.experiments.findings import Carried
from bailiwick.experiments.model import Conclusion, Epoch, Experiment, PowerCheck, State, Verdict
from bailiwick.storage.database import Database
from bailiwick.storage.schema import Json, UtcDateTime, metadata
from bailiwick.traffic.model import Arm

experiment = Table(
    "experiment",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("domain", String(64), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("hypothesis", Text, nullable=False),
    Column("primary_metric", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("design", Json, nullable=False),
    Column("epochs", Json, nullable=False),
    Column("overrides", Json, nullable=False),
    Column("planned_units", Integer, nullable=False),
    Column("power_check", Json, nullable=True),
    Column("forced", Text, nullable=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("started_at", UtcDateTime, nullable=True),
    Column("ended_at", UtcDateTime, nullable=True),
    Column("verdict", String(20), nullable=True),
    Column("winner", String(64), nullable=True),
    Column("conclusion", Json, nullable=True),
    Index("ix_experiment_state", "state"),
    Index("ix_experiment_domain", "domain", "created_at"),
)
"""``ab_tests`` (kinds ab and aa) and ``multi_variant_tests`` (multivariant and bandit) are views of it."""

experiment_evidence = Table(
    "experiment_evidence",
    metadata,
    Column("experiment", String(64), ForeignKey("experiment.id"), primary_key=True),
    Column("name", String(300), primary_key=True),
    Column("state", Json, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
"""What each watched hypothesis carries from look to look: what was shown once stays shown, however often one looks."""


def lock(connection: Connection, id: str) -> Experiment | None:
    """The experiment, its row held until the unit ends; None where there is none."""
    return _first(connection.execute(select(experiment).where(experiment.c.id == id).with_for_update()).first())


def find(connection: Connection, id: str) -> Experiment | None:
    """The experiment, or None."""
    return _first(connection.execute(select(experiment).where(experiment.c.id == id)).first())


def listed(
    connection: Connection, *, domain: str | None = None, states: Sequence[State] = (), limit: int = 1_000
) -> list[Experiment]:
    """Experiments, newest first."""
    query = select(experiment).order_by(experiment.c.created_at.desc(), experiment.c.id).limit(limit)
    if domain is not None:
        query = query.where(experiment.c.domain == domain)
    if states:
        query = query.where(experiment.c.state.in_([state.value for state in states]))
    return [_experiment(row) for row in connection.execute(query)]


def add(database: Database, connection: Connection, new: Experiment) -> bool:
    """Write a new experiment; False when its id is taken."""
    return database.insert_new(connection, experiment, {"id": new.id, **_values(new)})


def save(connection: Connection, changed: Experiment) -> None:
    """Write the next revision of an experiment.

    Raises:
        Conflict: somebody else made that revision first.
    """
    is_next = (experiment.c.id == changed.id) & (experiment.c.revision == changed.revision - 1)
    if connection.execute(update(experiment).where(is_next).values(**_values(changed))).rowcount != 1:
        raise Conflict(
            f"the experiment {changed.id!r} was changed by somebody else",
            what="revision",
            remedy="look at it again, then decide",
        )


def evidence(connection: Connection, id: str) -> dict[str, Carried]:
    """What was carried from the last look, by hypothesis."""
    query = select(experiment_evidence.c.name, experiment_evidence.c.state).where(
        experiment_evidence.c.experiment == id
    )
    return {row.name: {key: _number_in(value) for key, value in row.state.items()} for row in connection.execute(query)}


def carry(database: Database, connection: Connection, id: str, evidence: Mapping[str, Carried], at: datetime) -> None:
    """Keep what the next look needs. The caller holds the experiment's row since it read the evidence before."""
    rows = [
        {"experiment": id, "name": name, "state": {key: _number_out(value) for key, value in state.items()}, "at": at}
        for name, state in evidence.items()
    ]
    database.upsert(connection, experiment_evidence, rows)


def _number_out(value: float | None) -> float | str | None:
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value  # JSON knows no infinity


def _number_in(value: float | str | None) -> float | None:
    return float(value) if isinstance(value, str) else value


def _values(value: Experiment) -> dict[str, Any]:
    conclusion = value.conclusion
    return {
        "domain": value.design.domain,
        "kind": value.design.kind.value,
        "hypothesis": value.design.hypothesis,
        "primary_metric": value.design.primary.metric,
        "state": value.state.value,
        "revision": value.revision,
        "design": design_document(value.design),
        "epochs": [_epoch_out(epoch) for epoch in value.epochs],
        "overrides": dict(value.overrides),
        "planned_units": value.planned_units,
        "power_check": asdict(value.power_check) if value.power_check else None,
        "forced": value.forced,
        "created_at": value.created_at,
        "created_by": value.created_by,
        "started_at": value.started_at,
        "ended_at": value.ended_at,
        "verdict": conclusion.verdict.value if conclusion else None,
        "winner": conclusion.winner if conclusion else None,
        "conclusion": _conclusion_out(conclusion) if conclusion else None,
    }


def _first(row: Row[Any] | None) -> Experiment | None:
    return None if row is None else _experiment(row)


def _experiment(row: Row[Any]) -> Experiment:
    return Experiment(
        design=parse_design(row.design, where=f"the experiment {row.id!r} in the database"),
        state=State(row.state),
        revision=row.revision,
        planned_units=row.planned_units,
        created_at=row.created_at,
        created_by=row.created_by,
        epochs=tuple(_epoch_in(epoch) for epoch in row.epochs),
        started_at=row.started_at,
        ended_at=row.ended_at,
        overrides=row.overrides,
        power_check=PowerCheck(**row.power_check) if row.power_check else None,
        forced=row.forced,
        conclusion=_conclusion_in(row.conclusion) if row.conclusion else None,
    )


def _epoch_out(epoch: Epoch) -> dict[str, Any]:
    arms = [{"name": arm.name, "version": arm.version, "parameters": dict(arm.parameters)} for arm in epoch.arms]
    return {
        "number": epoch.number,
        "at": epoch.at.isoformat(),
        "arms": arms,
        "weights": dict(epoch.weights),
        "reason": epoch.reason,
    }


def _epoch_in(stored: Mapping[str, Any]) -> Epoch:
    return Epoch(
        number=stored["number"],
        at=datetime.fromisoformat(stored["at"]),
        arms=tuple(Arm(**arm) for arm in stored["arms"]),
        weights=stored["weights"],
        reason=stored["reason"],
    )


def _conclusion_out(conclusion: Conclusion) -> dict[str, Any]:
    return {**asdict(conclusion), "verdict": conclusion.verdict.value, "at": conclusion.at.isoformat()}


def _conclusion_in(stored: Mapping[str, Any]) -> Conclusion:
    given = dict(stored)
    given["verdict"] = Verdict(given["verdict"])
    given["at"] = datetime.fromisoformat(given["at"])
    given["reasons"] = tuple(given["reasons"])
    return Conclusion(**given)
