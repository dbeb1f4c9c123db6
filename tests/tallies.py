"""Totals of experiments, recomputed from the logs alone, to hold the kept ones against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Row, Table, select

from bailiwick.metrics.experiment_store.tables import experiment_covariate, experiment_event, experiment_unit
from bailiwick.metrics.service import MetricsService
from bailiwick.metrics.store import feedback
from bailiwick.statistics.moments import UnitMoments
from bailiwick.storage.database import Database

Place = tuple[int, str, str]


def recomputed(database: Database, experiment: str) -> tuple[dict[Place, UnitMoments], dict[Place, list[float]]]:
    """Moments and single values by (epoch, arm, metric), from events, feedback and each unit's first arm."""
    events = _rows(database, experiment_event, experiment)
    homes = {row.unit: (row.epoch, row.arm) for row in _rows(database, experiment_unit, experiment)}
    before = {row.unit: row.means for row in _rows(database, experiment_covariate, experiment)}
    with database.read() as connection:
        given = connection.execute(select(feedback).where(feedback.c.value.is_not(None))).all()
    values: dict[tuple[str, str], list[float]] = {}
    exposed: dict[str, str] = {}
    for event in sorted(events, key=lambda each: (each.at, each.writer, each.part)):
        if event.arm == homes[event.unit][1]:
            exposed.setdefault(event.request_id, event.unit)
            for metric, value in event.outcomes.items():
                values.setdefault((event.unit, metric), []).append(value)
    for row in given:
        if row.request_id in exposed:
            values.setdefault((exposed[row.request_id], row.metric), []).append(row.value)
    units: dict[Place, list[tuple[float, float, float]]] = {}
    single: dict[Place, list[float]] = {}
    for (unit, metric), found in values.items():
        place = (*homes[unit], metric)
        units.setdefault(place, []).append((sum(found), len(found), before.get(unit, {}).get(metric, 0.0)))
        single.setdefault(place, []).extend(found)
    return {place: UnitMoments.of(*np.array(rows).T) for place, rows in units.items()}, single


def assert_totals(metrics: MetricsService, database: Database, experiment: str) -> None:
    """The kept totals and counters are those of the logs."""
    moments, single = recomputed(database, experiment)
    kept = {(each.epoch, each.arm, each.metric): each for each in metrics.arm_totals(experiment)}
    assert {place for place, each in kept.items() if each.moments.units} == moments.keys()
    for place, expected in moments.items():
        assert astuple(kept[place].moments) == pytest.approx(astuple(expected), rel=1e-9, abs=1e-6)
        assert kept[place].sketch.count == len(single[place])
        low, high = min(single[place]), max(single[place])
        assert kept[place].sketch.quantile(0) == pytest.approx(low, rel=0.011)
        assert kept[place].sketch.quantile(1) == pytest.approx(high, rel=0.011)
    events = _rows(database, experiment_event, experiment)
    homes = {row.unit: (row.epoch, row.arm) for row in _rows(database, experiment_unit, experiment)}
    for arm in metrics.arm_units(experiment):
        mine = {unit for unit, home in homes.items() if home == (arm.epoch, arm.arm)}
        served = [each.arm == arm.arm for each in events if each.unit in mine]
        assert (arm.units, arm.requests, arm.crossed) == (len(mine), sum(served), len(served) - sum(served))


def _rows(database: Database, table: Table, experiment: str) -> Sequence[Row[Any]]:
    with database.read() as connection:
        return connection.execute(select(table).where(table.c.experiment == experiment)).all()
