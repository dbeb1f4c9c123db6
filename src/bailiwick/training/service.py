"""Training a domain's model, with every run on record."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from bailiwick.clock import Clock
from bailiwick.datasets.model import Dataset, Split
from bailiwick.datasets.service import DatasetService
from bailiwick.errors import BailiwickError, Conflict, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.models.model import EpochLoss, LabelledText
from bailiwick.models.ports import FittedModel, ModelFamily
from bailiwick.registry.service import RegistryService
from bailiwick.storage.database import Database
from bailiwick.storage.ids import new_id
from bailiwick.training import store
from bailiwick.training.lineage import learned_marks, marks
from bailiwick.training.model import RunStatus, TrainingRun

Settings = Mapping[str, float | int | str | bool]
_MAX_ERROR_CHARACTERS = 2_000


class TrainingService:
    """Trains models and registers their versions.

    Args:
        database: holds the runs.
        audit: gets an entry when a run starts and when it ends.
        clock: dates them.
        datasets: where examples come from.
        registry: where versions go.
        family_of: the model family of a name.
        check_domain: called with the domain before anything else; raises `NotFound` when it does not exist.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        datasets: DatasetService,
        registry: RegistryService,
        family_of: Callable[[str], ModelFamily],
        check_domain: Callable[[str], object] | None = None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._datasets = datasets
        self._registry = registry
        self._family_of = family_of
        self._check_domain = check_domain

    def train(
        self,
        domain: str,
        dataset: str,
        *,
        actor: Actor,
        seed: int,
        family: str = "linear-text",
        settings: Settings | None = None,
        start_version: str | None = None,
        progress: Callable[[EpochLoss], None] | None = None,
    ) -> TrainingRun:
        """Train on the domain's rows of a data set, and register the version.

        The family learns from the training rows and chooses with the validation rows, less those that the start has
        learned from. Test rows are never seen.

        Args:
            domain: whose model it is.
            dataset: id, or name for its newest.
            actor: who trains.
            seed: of every random choice.
            family: of the model.
            settings: hyper-parameters of the family.
            start_version: a version to fine-tune, of the same family.
            progress: called after each epoch.

        Returns:
            The run, which succeeded.

        Raises:
            NotFound: no such domain, data set or version, or the data set has no rows of the domain.
            InvalidInput: the rows or the settings do not allow training. The run is on record as failed.
        """
        snapshot = self.snapshot(domain, dataset)
        examples = self._examples(snapshot, Split.TRAIN, domain)
        chosen = self._family_of(family)
        start = self._registry.load(start_version) if start_version else None
        with self.running(
            domain, snapshot, family, actor=actor, seed=seed, settings=settings, start_version=start_version
        ) as run:
            return self.finish(run, actor, *self._fit(run, chosen, examples, start, progress))

    def snapshot(self, domain: str, dataset: str) -> Dataset:
        """The data set to train a domain on, by id or, for its newest, by name.

        Raises:
            NotFound: no such domain or data set.
        """
        if self._check_domain:
            self._check_domain(domain)
        return self._datasets.get(dataset)

    def get(self, run_id: str) -> TrainingRun:
        """A run.

        Raises:
            NotFound: there is none of that id.
        """
        with self._database.read() as connection:
            found = store.find(connection, run_id)
        if found is None:
            raise NotFound(f"no training run {run_id!r}", what="run", requested=run_id)
        return found

    def list(self, domain: str | None = None) -> Sequence[TrainingRun]:
        """Runs of a domain or of all, newest first."""
        with self._database.read() as connection:
            return store.listing(connection, domain=domain)

    def recover(self, actor: Actor) -> Sequence[TrainingRun]:
        """Record as failed the runs whose process on this machine has died; gives them back."""
        with self._database.read() as connection:
            running = store.listing(connection, status=RunStatus.RUNNING)
        dead = [run for run in running if not _is_alive(run.worker)]
        for run in dead:
            self._fail(run, actor, RuntimeError("its process died"))
        return dead

    def _examples(self, snapshot: Dataset, split: Split, domain: str) -> Sequence[LabelledText]:
        if domain not in snapshot.domains:
            raise NotFound(
                f"data set {snapshot.id!r} has no rows of the domain {domain!r}",
                what="domain",
                requested=domain,
                allowed=sorted(snapshot.domains)[:50],
            )
        return self._datasets.examples(snapshot.id, split, domain)

    @contextmanager
    def running(
        self,
        domain: str,
        snapshot: Dataset,
        family: str,
        *,
        actor: Actor,
        seed: int,
        settings: Settings | None = None,
        start_version: str | None = None,
    ) -> Iterator[TrainingRun]:
        """A run that is on record from now on: `finish` it inside the block. If the block raises, it has failed.

        Args:
            domain: whose model it is.
            snapshot: that it learns from.
            family: of the model.
            actor: who trains.
            seed: of every random choice; 0 where chance cannot be seeded.
            settings: of the family.
            start_version: a version that is fine-tuned.
        """
        run = self._begin(domain, snapshot, family, seed, settings or {}, start_version, actor)
        try:
            yield run
        except BaseException as error:
            self._fail(run, actor, error)
            raise

    def _begin(
        self,
        domain: str,
        snapshot: Dataset,
        family: str,
        seed: int,
        settings: Settings,
        start_version: str | None,
        actor: Actor,
    ) -> TrainingRun:
        now = self._clock.now()
        run = TrainingRun(
            id=new_id("run", now),
            domain=domain,
            dataset=snapshot.id,
            dataset_sha256=snapshot.sha256,
            family=family,
            seed=seed,
            status=RunStatus.RUNNING,
            started_at=now,
            started_by=actor.name,
            worker=_this_worker(),
            settings=dict(settings),
            start_version=start_version,
        )
        after = {"domain": domain, "dataset": snapshot.id, "family": family, "seed": seed, "start": start_version}
        with self._database.write() as connection:
            store.insert(connection, run)
            self._audit.record(connection, actor, "training_run.start", f"training_run:{run.id}", after=after)
        return run

    def _fit(
        self,
        run: TrainingRun,
        family: ModelFamily,
        examples: Sequence[LabelledText],
        start: FittedModel | None,
        progress: Callable[[EpochLoss], None] | None,
    ) -> tuple[FittedModel, tuple[EpochLoss, ...], float]:
        validation = self._validation(run)
        losses: list[EpochLoss] = []

        def tell(loss: EpochLoss) -> None:
            losses.append(loss)
            with self._database.write(durable=False) as connection:
                store.change(connection, run.id, losses=[asdict(each) for each in losses])
            if progress:
                progress(loss)

        begun = time.process_time()
        model = family.train(
            examples, validation, seed=run.seed, settings=dict(run.settings), start=start, progress=tell
        )
        return model, tuple(losses), time.process_time() - begun

    def _validation(self, run: TrainingRun) -> Sequence[LabelledText]:
        """Validation rows that the start has not learned from: others would flatter the model and its calibration."""
        rows = self._datasets.rows(run.dataset, Split.VALIDATION, run.domain)
        if run.start_version:
            start = self._registry.get(run.start_version)
            learned = learned_marks(self._datasets, self._registry, start, with_validation=False)
            rows = [row for row in rows if not learned.intersection(marks(row))]
        return [LabelledText(row.text, row.label, row.unit) for row in rows]

    def finish(
        self, run: TrainingRun, actor: Actor, model: FittedModel, losses: tuple[EpochLoss, ...], cpu_s: float
    ) -> TrainingRun:
        """Register the model of a run as a version, and record that the run succeeded."""
        artefact = self._registry.store_model(model)
        with self._database.write() as connection:
            version = self._registry.register(
                connection,
                actor,
                domain=run.domain,
                family=run.family,
                artefact=artefact,
                training_run=run.id,
                parent=run.start_version,
                # Whoever knows all rows but one can check a guess against the hash: it is no part of a private version.
                dataset_sha256=None if model.card.privacy else run.dataset_sha256,
                card=asdict(model.card),
            )
            done = replace(
                run,
                status=RunStatus.SUCCEEDED,
                losses=losses,
                cpu_s=cpu_s,
                finished_at=self._clock.now(),
                version=version.id,
            )
            still_running = store.change(
                connection,
                run.id,
                status=done.status,
                losses=[asdict(loss) for loss in losses],
                cpu_s=cpu_s,
                finished_at=done.finished_at,
                version=done.version,
            )
            if not still_running:
                raise Conflict(
                    f"training run {run.id!r} was ended by somebody else; its version is not registered",
                    what="run",
                    requested=run.id,
                    remedy="train again",
                )
            after = {"version": version.id, "cpu_s": cpu_s}
            self._audit.record(connection, actor, "training_run.succeed", f"training_run:{run.id}", after=after)
        return done

    def _fail(self, run: TrainingRun, actor: Actor, error: BaseException) -> None:
        """Record why a run failed, unless it has ended already."""
        reason = str(error) if isinstance(error, BailiwickError) else f"{type(error).__name__}: {error}"
        with self._database.write() as connection:
            still_running = store.change(
                connection,
                run.id,
                status=RunStatus.FAILED,
                error=reason[:_MAX_ERROR_CHARACTERS],
                finished_at=self._clock.now(),
            )
            if not still_running:
                return
            self._audit.record(
                connection, actor, "training_run.fail", f"training_run:{run.id}", after={"error": reason[:200]}
            )


def _this_worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def _is_alive(worker: str) -> bool:
    """Whether the process may still work; one on another machine is believed to."""
    host, process, started = worker.rsplit(":", 2)
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _started(int(process)) == started


def _started(process: int) -> str:
    """When a process began, in ticks since the machine did: a restarted container gives out the same ids again."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "?"
