"""Registering, finding and loading model versions."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from threading import Lock
from typing import Any

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.errors import InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.models.ports import FittedModel, ModelFormat
from bailiwick.registry import store
from bailiwick.registry.artefacts import ArtefactStore
from bailiwick.registry.model import ModelVersion
from bailiwick.storage.database import Database

LOADED_MODELS = 16
_MOST_DIGITS = 6
_DOMAIN = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class RegistryService:
    """Model versions and their artefacts. Versions are immutable but for the metrics of their latest evaluation.

    Args:
        database: holds the records.
        audit: gets an entry per change.
        clock: dates and names the versions.
        artefacts: holds the files.
        family_of: the model family of a name.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        artefacts: ArtefactStore,
        family_of: Callable[[str], ModelFormat],
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._artefacts = artefacts
        self._family_of = family_of
        self._loaded: OrderedDict[str, FittedModel] = OrderedDict()
        self._lock = Lock()

    def store_model(self, model: FittedModel) -> tuple[str, int]:
        """Write a model's artefact; harmless when no version comes to name it.

        Returns:
            The artefact's sha256 and its size in bytes, for `register`.
        """
        return self._artefacts.put(self._family_of(model.card.family).save(model))

    def register(
        self,
        connection: Connection,
        actor: Actor,
        *,
        domain: str,
        family: str,
        artefact: tuple[str, int] | None = None,
        training_run: str | None = None,
        parent: str | None = None,
        dataset_sha256: str | None = None,
        card: Mapping[str, Any] | None = None,
    ) -> ModelVersion:
        """Record a new version inside the caller's write unit.

        Args:
            connection: of a write unit, so that the version and what made it live or die together.
            actor: who registers.
            domain: whose model it is.
            family: of the model, or the name of an upstream's.
            artefact: from `store_model`; None for an upstream model.
            training_run: that made it.
            parent: the version that it was fine-tuned from.
            dataset_sha256: of the training snapshot.
            card: what the model says of itself.

        Raises:
            InvalidInput: the domain's id is malformed.
        """
        if not _DOMAIN.fullmatch(domain):
            raise InvalidInput(
                f"{domain!r} cannot be a domain",
                what="domain",
                requested=domain,
                allowed="a letter, then letters, digits, - and _, lower-case, at most 64 in all",
            )
        now = self._clock.now()
        base = f"{domain}-v{now:%Y%m%d_%H%M%S}"
        sha256, size = artefact or (None, 0)
        version = ModelVersion(
            id=base,
            domain=domain,
            family=family,
            created_at=now,
            artefact_sha256=sha256,
            artefact_bytes=size,
            training_run=training_run,
            parent=parent,
            dataset_sha256=dataset_sha256,
            card=dict(card or {}),
        )
        number = 1
        while not store.insert(self._database, connection, version):  # somebody else registered in this second
            number += 1
            version = replace(version, id=f"{base}_{number}")
        after = {key: value for key, value in asdict(version).items() if key not in ("card", "metrics", "created_at")}
        self._audit.record(connection, actor, "model_version.register", f"model_version:{version.id}", after=after)
        return version

    def get(self, version_id: str) -> ModelVersion:
        """A version.

        Raises:
            NotFound: there is none of that id.
        """
        with self._database.read() as connection:
            found = store.find(connection, version_id)
        if found is None:
            raise NotFound(
                f"no model version {version_id!r}",
                what="version",
                requested=version_id,
                remedy="see `bailiwick model list`",
            )
        return found

    def resolve(self, reference: str) -> ModelVersion:
        """A version by its id; by its domain, the newest; by ``domain~1``, the one before that, and so on.

        Raises:
            NotFound: there is no such version.
        """
        domain, tilde, back = reference.partition("~")
        with self._database.read() as connection:
            found = store.find(connection, reference)
            if found is None and (not tilde or (back.isascii() and back.isdigit() and len(back) < _MOST_DIGITS)):
                versions = store.listing(connection, domain)
                found = versions[int(back or 0)] if int(back or 0) < len(versions) else None
        if found is None:
            raise NotFound(
                f"no model version {reference!r}",
                what="version",
                requested=reference,
                allowed="a version, a domain (its newest), or domain~1 (the one before)",
                remedy="see `bailiwick model list`",
            )
        return found

    def list(self, domain: str | None = None) -> Sequence[ModelVersion]:
        """Versions of a domain or of all, newest first."""
        with self._database.read() as connection:
            return store.listing(connection, domain)

    def check_artefact(self, version: ModelVersion) -> None:
        """Read and verify a version's files; an upstream's version has none.

        Raises:
            NotFound: the artefact is not in this home folder.
            Conflict: it was changed after it was registered.
        """
        if version.artefact_sha256 is not None:
            self._artefacts.get(version.artefact_sha256)

    def load(self, version_id: str) -> FittedModel:
        """The model of a version, verified; the last few stay in memory.

        Raises:
            NotFound: no such version, or its artefact is not in this home folder.
            Conflict: the artefact was changed after it was registered.
            InvalidInput: the version has no artefact (an upstream's model), or its family cannot read it.
        """
        return self.load_registered(self.get(version_id))

    def load_registered(self, version: ModelVersion) -> FittedModel:
        """The model of a version whose record is at hand: the database is not asked. Raises as `load`."""
        sha256 = version.artefact_sha256
        if sha256 is None:
            raise InvalidInput(f"version {version.id!r} is an upstream's model, nothing can be loaded", what="version")
        with self._lock:
            if sha256 in self._loaded:
                self._loaded.move_to_end(sha256)
                return self._loaded[sha256]
        model = self._family_of(version.family).load(self._artefacts.get(sha256))
        with self._lock:
            self._loaded[sha256] = model
            while len(self._loaded) > LOADED_MODELS:
                self._loaded.popitem(last=False)
        return model

    def record_metrics(
        self,
        connection: Connection,
        version_id: str,
        metrics: Mapping[str, float],
        actor: Actor,
        *,
        add: bool = False,
    ) -> None:
        """Make these the metrics of a version, inside the caller's write unit. What is no finite number is left out.

        JSON knows no NaN, and a gate does not let pass what was not measured.

        Args:
            connection: of the write unit.
            version_id: whose.
            metrics: by name.
            actor: who measured.
            add: keep what was measured before under other names.

        Raises:
            NotFound: no such version.
        """
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        before = store.find(connection, version_id, to_change=True)
        if before is None:
            raise NotFound(f"no model version {version_id!r}", what="version", requested=version_id)
        if add:
            finite = {**before.metrics, **finite}
        store.set_metrics(connection, version_id, finite)
        self._audit.record(
            connection,
            actor,
            "model_version.measure",
            f"model_version:{version_id}",
            before=dict(before.metrics),
            after=finite,
        )
