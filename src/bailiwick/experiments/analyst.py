"""Looks at experiments: brings the totals up to date, analyses them, and carries the evidence to the next look."""

from __future__ import annotations

from collections.abc import Iterator

from bailiwick.clock import Clock
from bailiwick.errors import Conflict
from bailiwick.experiments import store
from bailiwick.experiments.analysis import analyse
from bailiwick.experiments.decide import decide
from bailiwick.experiments.lifecycle import no_such_experiment
from bailiwick.experiments.model import State
from bailiwick.experiments.report import Report
from bailiwick.experiments.service import ExperimentService
from bailiwick.metrics.events import LoggedOutcome
from bailiwick.metrics.service import MetricsService
from bailiwick.storage.database import Database


class ExperimentAnalyst:
    """Reports on experiments; safe to ask from any process, as often as one likes."""

    def __init__(
        self, database: Database, clock: Clock, metrics: MetricsService, experiments: ExperimentService
    ) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._experiments = experiments

    def report(self, id: str) -> Report:
        """The newest findings on an experiment.

        Raises:
            NotFound: there is no such experiment.
            Conflict: it has not started.
        """
        experiment = self._experiments.get(id)
        if not experiment.epochs:
            raise Conflict(
                f"the experiment {id!r} has not started: there is nothing to analyse",
                what="state",
                requested=id,
                remedy=f"start it with `bailiwick experiment start {id}`",
            )
        self._metrics.flush()
        self._metrics.experiments.tally_all()
        totals = self._metrics.arm_totals(id)
        units = self._metrics.arm_units(id)
        now = self._clock.now()
        with self._database.write() as connection:
            present = store.lock(connection, id)
            if present is None:
                raise no_such_experiment(id)
            analysis = analyse(present, totals, units, store.evidence(connection, id), now)
            if present.state in (State.RUNNING, State.PAUSED):
                store.carry(self._database, connection, id, analysis.evidence, now)
        return Report(present, analysis, decide(present, analysis, now))

    def events(self, id: str) -> Iterator[LoggedOutcome]:
        """The full log of exposures and outcomes, oldest first.

        Raises:
            NotFound: there is no such experiment.
        """
        self._experiments.get(id)
        self._metrics.flush()
        return self._metrics.experiments.every_event(id)
