"""Units of experiments: the arm and epoch of their first exposure, what they did, what was known of them before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import (
    Connection,
    delete,
    func,
    select,
)

from bailiwick.metrics.experiment_store.event_rows import _gather
from bailiwick.metrics.experiment_store.tables import (
    experiment_arm,
    experiment_covariate,
    experiment_feedback,
    experiment_terms,
    experiment_unit,
    insert_or,
)
from bailiwick.metrics.store import feedback, request_log
from bailiwick.metrics.tally import UnitKey, UnitState
from bailiwick.storage.bulk import among


def units(connection: Connection, keys: Collection[UnitKey]) -> dict[UnitKey, UnitState]:
    """What is known of units; those that are unknown are left out."""
    table = experiment_unit.c
    wanted = {key.unit for key in keys}
    query = select(experiment_unit).where(among(connection.dialect.name, table.unit, wanted))
    return {
        UnitKey(row.experiment, row.unit): UnitState(
            row.epoch, row.arm, {metric: (total, count) for metric, (total, count) in row.sums.items()}, row.covariates
        )
        for row in connection.execute(query)
    }


def covariates(connection: Connection, keys: Collection[UnitKey]) -> dict[UnitKey, Mapping[str, float]]:
    """The covariates of units."""
    if not keys:
        return {}
    query = select(experiment_covariate).where(
        among(connection.dialect.name, experiment_covariate.c.unit, {key.unit for key in keys})
    )
    return {UnitKey(row.experiment, row.unit): row.means for row in connection.execute(query)}


def write_units(connection: Connection, states: Mapping[UnitKey, UnitState]) -> None:
    """Write the new state of units."""
    rows = [
        {
            "unit": key.unit,
            "experiment": key.experiment,
            "epoch": state.epoch,
            "arm": state.arm,
            "sums": state.sums,
            "covariates": state.covariates,
        }
        for key, state in states.items()
    ]
    insert_or(connection, experiment_unit, rows, ("sums",))


def has_units(connection: Connection, experiment: str) -> bool:
    """Whether any unit of the experiment is in the totals."""
    query = select(experiment_arm.c.arm).where(experiment_arm.c.experiment == experiment).limit(1)
    return connection.execute(query).first() is not None


def unit_means(
    connection: Connection, since: datetime, until: datetime, domain: str | None
) -> dict[str, dict[str, float]]:
    """The mean of each metric by unit, from the log of requests and the feedback on them. ``until`` is excluded."""
    return {
        unit: {metric: total / count for metric, (total, count) in metrics.items()}
        for unit, metrics in unit_sums(connection, since, until, domain).items()
    }


def unit_sums(
    connection: Connection, since: datetime, until: datetime, domain: str | None
) -> dict[str, dict[str, tuple[float, int]]]:
    """Sum and number of each metric's values by unit, from the log and the feedback. ``until`` is excluded."""
    table = request_log.c
    span = [table.unit.is_not(None), table.at >= since, table.at < until]
    if domain is not None:
        span.append(table.domain == domain)
    sums: dict[str, dict[str, tuple[float, int]]] = {}
    for row in connection.execute(select(table.unit, table.outcomes).where(*span)):
        _gather(sums.setdefault(row.unit, {}), row.outcomes or {})
    judged = (
        select(table.unit, feedback.c.metric, feedback.c.value)
        .join(feedback, feedback.c.request_id == table.request_id)
        .where(*span, feedback.c.value.is_not(None), feedback.c.at < until)
    )
    for unit, metric, value in connection.execute(judged):
        _gather(sums.setdefault(unit, {}), {metric: value})
    return sums


def newest_requests_since(connection: Connection, domain: str, since: datetime, most: int) -> datetime | None:
    """When the oldest of the newest so many requests of known units was answered; None where there is none."""
    table = request_log.c
    newest = (
        select(table.at)
        .where(table.domain == domain, table.at >= since, table.unit.is_not(None))
        .order_by(table.at.desc())
        .limit(most)
        .subquery()
    )
    found: datetime | None = connection.execute(select(func.min(newest.c.at))).scalar()
    return found


def forget(connection: Connection, experiment: str) -> int:
    """Delete what is known of an experiment's units: their sums, covariates and feedback; the totals stay.

    Returns:
        How many units are forgotten.
    """
    for table in (experiment_covariate, experiment_feedback):
        connection.execute(delete(table).where(table.c.experiment == experiment))
    return connection.execute(delete(experiment_unit).where(experiment_unit.c.experiment == experiment)).rowcount


def write_covariates(
    connection: Connection,
    experiment: str,
    means: Mapping[str, Mapping[str, float]],
    since: datetime,
    until: datetime,
    window: timedelta,
) -> None:
    """Set the covariates of an experiment, instead of those that it had."""
    connection.execute(delete(experiment_covariate).where(experiment_covariate.c.experiment == experiment))
    rows = [{"unit": unit, "experiment": experiment, "means": each} for unit, each in means.items()]
    insert_or(connection, experiment_covariate, rows, ())
    terms = {
        "experiment": experiment,
        "feedback_window_s": window.total_seconds(),
        "covariates_since": since,
        "covariates_until": until,
    }
    insert_or(connection, experiment_terms, [terms], ("covariates_since", "covariates_until"))
