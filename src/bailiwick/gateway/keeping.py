"""Keeps what the last snapshot was made from in a file, so that a gateway can start while the database is away."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bailiwick.detection.artefact import from_files, to_files
from bailiwick.detection.detector import Detector
from bailiwick.domains.catalogue import Catalogue, build_catalogue
from bailiwick.domains.model import CatalogueState, DomainSet
from bailiwick.errors import BailiwickError, NotFound
from bailiwick.gateway.ensembles import versions_behind
from bailiwick.gateway.kept_file import KeptInputs, pack, revision_of, unpack
from bailiwick.gateway.model import Revision, Snapshot
from bailiwick.gateway.ports import Sources
from bailiwick.governance.access.model import AccessState
from bailiwick.models.ports import FittedModel
from bailiwick.registry.model import ModelVersion
from bailiwick.routing.ports import DomainDetector
from bailiwick.routing.runtime import Published
from bailiwick.traffic.model import PlacedExperiments, TrafficPlan
from bailiwick.traffic.wire import PublishedPlans

_log = logging.getLogger(__name__)
Load = Callable[[ModelVersion], FittedModel]
Compile = Callable[[Sources, Snapshot | None], Snapshot]


class RememberingSources:
    """`Sources` that remember what they gave; used by one thread at a time.

    Args:
        sources: the real ones.
        load: the model of a version whose record is known.
    """

    def __init__(self, sources: Sources, load: Load) -> None:
        self._sources = sources
        self._load = load
        self._given: dict[str, Any] = {}
        self._versions: dict[str, ModelVersion] = {}
        self._encoded: tuple[object, dict[str, bytes]] = (None, {})

    def revision(self) -> Revision:
        """See `Sources.revision`."""
        return self._sources.revision()

    def catalogue(self) -> Catalogue:
        """See `Sources.catalogue`."""
        found = self._given["catalogue"] = self._sources.catalogue()
        return found

    def plans(self) -> Mapping[str, TrafficPlan]:
        """See `Sources.plans`."""
        found = self._given["plans"] = self._sources.plans()
        return found

    def experiments(self) -> PlacedExperiments:
        """See `Sources.experiments`."""
        found = self._given["experiments"] = self._sources.experiments()
        return found

    def access(self) -> AccessState:
        """See `Sources.access`."""
        found = self._given["access"] = self._sources.access()
        return found

    def routing(self) -> Published:
        """See `Sources.routing`."""
        found = self._given["routing"] = self._sources.routing()
        return found

    def version(self, version: str) -> ModelVersion:
        """See `Sources.version`."""
        found = self._versions[version] = self._sources.version(version)
        return found

    def model(self, version: str) -> FittedModel:
        """See `Sources.model`."""
        return self._load(self.version(version))

    def detector(self, catalogue: Catalogue) -> DomainDetector | None:
        """See `Sources.detector`."""
        return self._sources.detector(catalogue)

    def remember(self, kept: KeptInputs) -> None:
        """Take what was kept as if it had been given: what a snapshot has already is not asked for again."""
        self._versions.update(kept.versions)
        self._given["access"] = kept.access
        self._given["routing"] = kept.routing

    def inputs(self, snapshot: Snapshot) -> KeptInputs:
        """What a snapshot that was just compiled was made from; versions that it does not name are forgotten."""
        catalogue: Catalogue = self._given["catalogue"]
        placed: PlacedExperiments = self._given["experiments"]
        named = {name for served in snapshot.served.values() for name in (*served.backends, *served.arm_backends)}
        named |= {served.shadow.shadow.version for served in snapshot.served.values() if served.shadow is not None}
        named |= versions_behind(snapshot.served)
        self._versions = {name: found for name, found in self._versions.items() if name in named}
        document = DomainSet(dict(catalogue.domains), catalogue.default_domain)
        plans = PublishedPlans(
            snapshot.revision.traffic, dict(self._given["plans"]), dict(placed.running), placed.holdout
        )
        return KeptInputs(
            snapshot.revision,
            CatalogueState(catalogue.version, document),
            plans,
            placed.ended,
            self._given["access"],
            dict(self._versions),
            self._learned(snapshot.detector),
            self._given["routing"],
        )

    def _learned(self, detector: DomainDetector | None) -> dict[str, bytes]:
        learned = detector.learned if isinstance(detector, Detector) else None
        if self._encoded[0] is not learned:
            self._encoded = (learned, to_files(learned) if learned is not None else {})
        return self._encoded[1]


class KeptSources:
    """`Sources` over what was kept.

    Args:
        kept: of a file.
        environment: for domains that are switched on by a variable.
        load: the model of a version whose record is known.
    """

    def __init__(self, kept: KeptInputs, environment: Mapping[str, str], load: Load) -> None:
        self._kept = kept
        self._environment = environment
        self._load = load

    def revision(self) -> Revision:
        """See `Sources.revision`."""
        return self._kept.revision

    def catalogue(self) -> Catalogue:
        """See `Sources.catalogue`."""
        return build_catalogue(self._kept.domains, self._environment)

    def plans(self) -> Mapping[str, TrafficPlan]:
        """See `Sources.plans`."""
        return self._kept.plans.plans

    def experiments(self) -> PlacedExperiments:
        """See `Sources.experiments`."""
        return PlacedExperiments(self._kept.plans.experiments, self._kept.plans.holdout, self._kept.ended)

    def access(self) -> AccessState:
        """See `Sources.access`."""
        return self._kept.access

    def routing(self) -> Published:
        """See `Sources.routing`."""
        return self._kept.routing

    def version(self, version: str) -> ModelVersion:
        """See `Sources.version`."""
        found = self._kept.versions.get(version)
        if found is None:
            raise NotFound(f"the version {version!r} was not kept", what="version", requested=version)
        return found

    def model(self, version: str) -> FittedModel:
        """See `Sources.model`."""
        return self._load(self.version(version))

    def detector(self, catalogue: Catalogue) -> DomainDetector | None:
        """See `Sources.detector`."""
        if not catalogue.domains:
            return None
        learned = from_files(self._kept.detector) if self._kept.detector else None
        return Detector(catalogue.domains, learned, revision=self._kept.revision.detector)


class KeptSnapshots:
    """Compiles snapshots, and keeps what the last one was made from.

    Args:
        path: of the file; only its owner may read it. Several gateways may share it.
        sources: what snapshots are made from.
        compile_snapshot: makes one.
        environment: for domains that are switched on by a variable.
        load: the model of a version whose record is known.
    """

    def __init__(
        self, path: Path, sources: Sources, compile_snapshot: Compile, environment: Mapping[str, str], load: Load
    ) -> None:
        self._path = path
        self.sources = RememberingSources(sources, load)
        self._compile = compile_snapshot
        self._environment = environment
        self._load = load
        self._unwritable = False

    def compile(self, previous: Snapshot | None) -> Snapshot:
        """The newest snapshot, kept. That it cannot be kept changes nothing.

        Raises:
            Unavailable: a store is away.
        """
        made = self._compile(self.sources, previous)
        try:
            self._keep(pack(self.sources.inputs(made)), made.revision, first=previous is None)
            self._unwritable = False
        except (OSError, TypeError, ValueError) as error:
            if not self._unwritable:
                _log.warning("the snapshot is not kept, a start without the database will not have it: %s", error)
            self._unwritable = True
        return made

    def restore(self) -> Snapshot | None:
        """The snapshot that was kept last; None where there is none that can be used."""
        try:
            kept = unpack(self._path.read_bytes(), source=str(self._path))
            made = self._compile(KeptSources(kept, self._environment, self._load), None)
        except FileNotFoundError:
            return None
        except (OSError, BailiwickError) as error:
            _log.warning("%s", error)
            return None
        self.sources.remember(kept)
        return made

    def _keep(self, data: bytes, revision: Revision, *, first: bool) -> None:
        """Replace the file as a whole, but not by something older: another gateway may be ahead of this one."""
        if not first and self._is_behind(revision):
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        beside.replace(self._path)

    def _is_behind(self, revision: Revision) -> bool:
        try:
            return revision.is_before(revision_of(self._path.read_bytes()))
        except (OSError, BailiwickError):
            return False
