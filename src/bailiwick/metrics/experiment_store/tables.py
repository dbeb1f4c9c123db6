"""The tables of experiments: the log of exposures, how far it was tallied, units, totals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bailiwick.statistics.moments import UnitMoments
from bailiwick.storage.schema import Json, UtcDateTime, metadata

_MOMENTS = tuple(UnitMoments.__dataclass_fields__)


metric_state = Table(
    "metric_state",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("secret", LargeBinary, nullable=True),
    Column("until", UtcDateTime, nullable=True),
)


experiment_event = Table(
    "experiment_event",
    metadata,
    Column("writer", String(40), primary_key=True),
    Column("part", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("experiment", String(200), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("arm", String(200), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("request_id", String(100), nullable=True, index=True),
    Column("domain", String(64), nullable=False),
    Column("version", String(200), nullable=False),
    Column("propensity", Float(53), nullable=False),
    Column("outcomes", Json, nullable=False),
)


experiment_writer = Table(
    "experiment_writer",
    metadata,
    Column("writer", String(40), primary_key=True),
    Column("head", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)


experiment_mark = Table(
    "experiment_mark",
    metadata,
    Column("writer", String(40), primary_key=True),
    Column("part", BigInteger, nullable=False),
)


experiment_unit = Table(
    "experiment_unit",
    metadata,
    Column("unit", String(32), primary_key=True),
    Column("experiment", String(200), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("arm", String(200), nullable=False),
    Column("sums", Json, nullable=False),
    Column("covariates", Json, nullable=False),
)


experiment_covariate = Table(
    "experiment_covariate",
    metadata,
    Column("unit", String(32), primary_key=True),
    Column("experiment", String(200), primary_key=True),
    Column("means", Json, nullable=False),
    Index("ix_experiment_covariate_experiment", "experiment"),
)


experiment_feedback = Table(
    "experiment_feedback",
    metadata,
    Column("request_id", String(100), primary_key=True),
    Column("metric", String(200), primary_key=True),
    Column("experiment", String(200), primary_key=True),
    Column("unit", String(32), nullable=False),
    Column("value", Float(53), nullable=True),
)


experiment_total = Table(
    "experiment_total",
    metadata,
    Column("experiment", String(200), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("arm", String(200), primary_key=True),
    Column("metric", String(200), primary_key=True),
    *(Column(name, Float(53), nullable=False) for name in _MOMENTS),
    Column("sketch", LargeBinary, nullable=False),
)


experiment_arm = Table(
    "experiment_arm",
    metadata,
    Column("experiment", String(200), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("arm", String(200), primary_key=True),
    Column("units", BigInteger, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("crossed", BigInteger, nullable=False),
)


experiment_terms = Table(
    "experiment_terms",
    metadata,
    Column("experiment", String(200), primary_key=True),
    Column("feedback_window_s", Float(53), nullable=False),
    Column("covariates_since", UtcDateTime, nullable=True),
    Column("covariates_until", UtcDateTime, nullable=True),
)


def insert_or(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], overwrite: Collection[str]
) -> None:
    """Insert rows in one prepared statement, and overwrite these columns of those that exist (none: keep them)."""
    if not rows:
        return
    statement = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
    keys = list(table.primary_key)
    if overwrite:
        changes = {name: statement.excluded[name] for name in overwrite}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), rows)
    else:
        connection.execute(statement.on_conflict_do_nothing(index_elements=keys), rows)


def lock(connection: Connection, name: str) -> Row[Any]:
    """Wait until nobody else does this kind of upkeep; the row of its state. Held until the end of the unit."""
    insert_or(connection, metric_state, [{"name": name, "revision": 0}], ())
    return connection.execute(
        update(metric_state)
        .where(metric_state.c.name == name)
        .values(revision=metric_state.c.revision + 1)
        .returning(*metric_state.c)
    ).one()


def secret(connection: Connection, name: str, fresh: bytes) -> bytes:
    """The secret of this database, which is made once."""
    insert_or(connection, metric_state, [{"name": name, "revision": 0, "secret": fresh}], ())
    query = select(metric_state.c.secret).where(metric_state.c.name == name)
    found: bytes = connection.execute(query).scalar_one()
    return found
