"""Totals of arms: what every analysis reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from bailiwick.metrics.experiment_store.tables import experiment_arm, experiment_total, insert_or
from bailiwick.metrics.exposures import ArmTotals, ArmUnits
from bailiwick.metrics.sketch import Sketch
from bailiwick.metrics.tally import ArmDifference, ArmKey, TotalDifference, TotalKey
from bailiwick.statistics.moments import UnitMoments
from bailiwick.storage.bulk import among

_MOMENTS = tuple(UnitMoments.__dataclass_fields__)


def add_totals(connection: Connection, differences: Mapping[TotalKey, TotalDifference]) -> None:
    """Add differences to the totals. Only under `lock`."""
    if not differences:
        return
    table = experiment_total.c
    touched = {key.experiment for key in differences}
    query = select(experiment_total).where(among(connection.dialect.name, table.experiment, touched))
    present = {TotalKey(row.experiment, row.epoch, row.arm, row.metric): row for row in connection.execute(query)}
    rows = []
    for key, difference in differences.items():
        row = present.get(key)
        moments = UnitMoments() if row is None else _moments(row)
        sketch = Sketch.of([]) if row is None else Sketch.from_bytes(row.sketch)
        moments += difference.moments
        sketch = Sketch.merged((sketch, difference.added))
        if difference.removed.count:
            sketch -= difference.removed
        sums = dict(zip(_MOMENTS, astuple(moments), strict=True))
        rows.append({**key._asdict(), **sums, "sketch": sketch.to_bytes()})
    insert_or(connection, experiment_total, rows, (*_MOMENTS, "sketch"))


def add_arms(connection: Connection, differences: Mapping[ArmKey, ArmDifference]) -> None:
    """Add differences to the counters of arms."""
    if not differences:
        return
    statement = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(experiment_arm)
    adding = {name: experiment_arm.c[name] + statement.excluded[name] for name in ("units", "requests", "crossed")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(experiment_arm.primary_key), set_=adding),
        [
            {**key._asdict(), "units": each.units, "requests": each.requests, "crossed": each.crossed}
            for key, each in differences.items()
        ],
    )


def arm_totals(connection: Connection, experiment: str) -> Sequence[ArmTotals]:
    """The totals of an experiment, by epoch, arm and metric."""
    table = experiment_total.c
    query = select(experiment_total).where(table.experiment == experiment)
    return [
        ArmTotals(row.experiment, row.epoch, row.arm, row.metric, _moments(row), Sketch.from_bytes(row.sketch))
        for row in connection.execute(query.order_by(table.epoch, table.arm, table.metric))
    ]


def arm_units(connection: Connection, experiment: str) -> Sequence[ArmUnits]:
    """The counters of an experiment, by epoch and arm."""
    table = experiment_arm.c
    query = select(experiment_arm).where(table.experiment == experiment).order_by(table.epoch, table.arm)
    return [ArmUnits(**row) for row in connection.execute(query).mappings()]


def _moments(row: Row[Any]) -> UnitMoments:
    values = row._mapping  # "count" is a method of every row
    return UnitMoments(*(values[name] for name in _MOMENTS))
