"""Compiles what a request needs into one immutable snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bailiwick.backends.ensemble.backend import EnsembleBackend
from bailiwick.backends.ensemble.board import Board
from bailiwick.backends.local import LocalBackend
from bailiwick.backends.openai_http import OpenAiHttpBackend
from bailiwick.backends.pool import UpstreamPool
from bailiwick.backends.ports import Backend
from bailiwick.clock import Clock
from bailiwick.domains.catalogue import Catalogue
from bailiwick.domains.model import Domain
from bailiwick.errors import BailiwickError, Conflict, InvalidInput, NotFound, Unavailable
from bailiwick.gateway.ensembles import Binder
from bailiwick.gateway.model import Revision, Served, ShadowBackend, Snapshot
from bailiwick.gateway.parameters import check_arm
from bailiwick.gateway.ports import Sources
from bailiwick.gateway.similar import with_caching
from bailiwick.governance.access.table import AccessTable, compile_access
from bailiwick.models.ensemble.fitted import EnsembleModel
from bailiwick.models.ensemble.spec import NAME as ENSEMBLE
from bailiwick.routing.model import RoutingTable
from bailiwick.routing.ports import DomainDetector
from bailiwick.routing.runtime import Router
from bailiwick.traffic.enter import compile_domain
from bailiwick.traffic.model import ExperimentPlan, PlacedExperiments, TrafficPlan

UPSTREAM_VERSION = "upstream"
"""The version that an upstream domain without a traffic plan answers as."""


class Compiler:
    """Makes snapshots. Models that the previous snapshot holds are not loaded again.

    Args:
        sources: domains, plans, models, the detector.
        pool: connections of upstream backends.
        environment: API keys.
        clock: for ``built_at`` and answers.
        board: how the members of ensembles stand.
    """

    def __init__(
        self,
        sources: Sources,
        pool: UpstreamPool,
        environment: Mapping[str, str],
        clock: Clock,
        board: Board | None = None,
    ) -> None:
        self._sources = sources
        self._pool = pool
        self._environment = environment
        self._clock = clock
        self._board = board or Board()
        self._binder = Binder(self._board, self._loaded)

    def over(self, sources: Sources) -> Compiler:
        """The same compiler over other sources."""
        made = Compiler(sources, self._pool, self._environment, self._clock, self._board)
        made._binder = self._binder.over(made._loaded)
        return made

    def compile(self, previous: Snapshot | None) -> Snapshot:
        """The newest snapshot. What cannot be loaded is named in ``problems`` and leaves the other domains alone.

        Raises:
            Unavailable: a store is away.
        """
        revision = self._sources.revision()
        catalogue = self._sources.catalogue()
        plans = self._sources.plans()
        detector = self._detector(previous, revision, catalogue)
        before = {} if previous is None else previous.served
        placed = self._sources.experiments()
        served = {
            name: self._with_shadow(
                self._with_experiments(
                    self._serve(domain, plans.get(name), before.get(name)), domain, placed, before.get(name)
                ),
                before.get(name),
            )
            for name, domain in catalogue.domains.items()
        }
        served, ensemble_problems = self._binder.bind(served)
        served = {
            name: with_caching(entry, before.get(name), revision, self._sources) for name, entry in served.items()
        }
        table = RoutingTable(
            known=frozenset(served),
            ready=frozenset(name for name, entry in served.items() if entry.backends),
            fallbacks={name: entry.domain.fallback for name, entry in served.items() if entry.domain.fallback},
            default=catalogue.default_domain,
        )
        problems = tuple(f"{name}: {entry.problem}" for name, entry in served.items() if entry.problem)
        problems += tuple(f"{name}: {problem}" for name, entry in served.items() for problem in entry.problems)
        problems += tuple(f"{name}: {entry.shadow_problem}" for name, entry in served.items() if entry.shadow_problem)
        problems += ensemble_problems
        problems += tuple(f"{name}: {entry.caching_problem}" for name, entry in served.items() if entry.caching_problem)
        flags = {flag: name for name, entry in served.items() for flag in entry.experiments.experiments}
        return Snapshot(
            revision,
            served,
            table,
            detector,
            self._clock.now(),
            problems,
            flags,
            placed.ended,
            access=self._access(previous, revision),
            router=self._router(previous, revision),
        )

    def pinned(self, domain: Domain, version: str) -> Backend:
        """A backend for one version, whether or not it is in a plan.

        An ensemble gets the members that are served when it is asked for first; it keeps them.

        Raises:
            NotFound: the domain has no such version.
            Unavailable: its artefact is missing or damaged.
        """
        return self._binder.alone(self._loaded(domain, version))

    def _loaded(self, domain: Domain, version: str) -> Backend:
        """See `pinned`; an ensemble has no members yet."""
        registered = self._sources.version(version)
        if registered.domain != domain.id:
            raise NotFound(f"{version!r} is a version of {registered.domain!r}", what="model", requested=version)
        try:
            return self._backend(domain, version)
        except (NotFound, InvalidInput, Conflict) as error:  # not the client's fault
            raise Unavailable(f"{version!r} cannot be loaded: {error.message}", what="model") from error

    def _router(self, previous: Snapshot | None, revision: Revision) -> Router | None:
        """Rules and learning; conversations go on as they were."""
        before = None if previous is None else previous.router
        if previous is not None and previous.revision.routing == revision.routing:
            return before
        published = self._sources.routing()
        return None if published.idle else Router(published, before.conversations if before else None)

    def _detector(self, previous: Snapshot | None, revision: Revision, catalogue: Catalogue) -> DomainDetector | None:
        """The previous detector while neither the domains nor what was learned of them has changed."""
        if previous is not None:
            before = previous.revision
            if (before.domains, before.detector) == (revision.domains, revision.detector):
                return previous.detector
        return self._sources.detector(catalogue)

    def _access(self, previous: Snapshot | None, revision: Revision) -> AccessTable:
        """The previous table while no key and no limit has changed."""
        if previous is not None and previous.revision.access == revision.access:
            return previous.access
        return compile_access(self._sources.access())

    def _serve(self, domain: Domain, plan: TrafficPlan | None, before: Served | None) -> Served:
        try:
            if plan is not None:
                return self._serve_plan(domain, plan, before)
            if domain.backend.kind != "local":
                backend = OpenAiHttpBackend(domain, self._pool, self._environment)
                return Served(domain, None, {UPSTREAM_VERSION: backend}, UPSTREAM_VERSION)
        except (NotFound, InvalidInput, Conflict) as error:
            if before is not None and before.backends:
                return Served(before.domain, before.plan, before.backends, before.main, f"kept as before: {error}")
            return Served(domain, plan, {}, None, str(error))
        return Served(domain, None, {}, None, f"no version is deployed (bailiwick deploy {domain.id})")

    def _serve_plan(self, domain: Domain, plan: TrafficPlan, before: Served | None) -> Served:
        widths: dict[str, int] = {}
        for part in plan.ranges:
            widths[part.version] = widths.get(part.version, 0) + part.end - part.first
        loaded = before.backends if before is not None and before.domain == domain else {}
        backends: dict[str, Backend] = {}
        failures: dict[str, BailiwickError] = {}
        for version in widths:
            try:
                backends[version] = loaded.get(version) or self._backend(domain, version)
            except (NotFound, InvalidInput, Conflict) as error:
                failures[version] = error
        if failures and (not backends or (before is not None and before.backends)):
            raise next(iter(failures.values()))
        main = max(backends, key=lambda version: widths[version])
        if not failures:
            return Served(domain, plan, backends, main)
        # A fresh gateway has nothing earlier to keep: better that its users get the main version than nothing.
        parts = tuple(part if part.version in backends else replace(part, version=main) for part in plan.ranges)
        why = "; ".join(str(error) for error in failures.values())
        return Served(domain, replace(plan, ranges=parts, comparison=None), backends, main, f"{main} stands in: {why}")

    def _with_experiments(
        self, served: Served, domain: Domain, placed: PlacedExperiments, before: Served | None
    ) -> Served:
        """The domain with the experiments that can run here; the others are left out and named."""
        plans = placed.running.get(domain.id, ())
        if not plans:
            return served
        known = {} if before is None or before.domain != domain else {**before.arm_backends, **before.backends}
        known = {**known, **served.backends}
        running: list[ExperimentPlan] = []
        problems: list[str] = []
        for plan in plans:
            try:
                for arm in plan.arms:
                    check_arm(arm.parameters, domain.generation, domain=domain.id)
                    if arm.version is not None:
                        known[arm.version] = known.get(arm.version) or self._loaded(domain, arm.version)
            except (NotFound, InvalidInput, Unavailable) as error:
                problems.append(f"the experiment {plan.experiment!r} is left out: {error}")
            else:
                running.append(plan)
        used = {arm.version: known[arm.version] for plan in running for arm in plan.arms if arm.version}
        compiled = compile_domain(running, placed.holdout)
        return replace(served, experiments=compiled, arm_backends=used, problems=tuple(problems))

    def _with_shadow(self, served: Served, before: Served | None) -> Served:
        """The domain with the version that answers in the shadow; a problem with it leaves everything else as it is."""
        if served.plan is None or served.plan.shadow is None:
            return served
        shadow = served.plan.shadow
        known = {**served.arm_backends, **served.backends}
        if before is not None and before.domain == served.domain:
            if before.shadow is not None:
                known[before.shadow.shadow.version] = before.shadow.backend
            known = {**before.backends, **known}
        try:
            backend = known.get(shadow.version) or self._loaded(served.domain, shadow.version)
        except (NotFound, Unavailable) as error:
            return replace(served, shadow_problem=f"the shadow {shadow.version!r} is left out: {error}")
        return replace(served, shadow=ShadowBackend(shadow, backend))

    def _backend(self, domain: Domain, version: str) -> Backend:
        if domain.backend.kind == "local":
            model = self._sources.model(version)
            identity = self._sources.version(version).artefact_sha256 or ""
            if isinstance(model, EnsembleModel):
                return self._ensemble(domain, version, model, identity)
            return LocalBackend(
                model,
                domain=domain.id,
                version=version,
                clock=self._clock,
                identity=identity,
                batching=domain.batching,
            )
        registered = self._sources.version(version)
        if registered.family == ENSEMBLE:
            found = self._sources.model(version)
            assert isinstance(found, EnsembleModel)
            return self._ensemble(domain, version, found, registered.artefact_sha256 or "")
        return OpenAiHttpBackend(domain, self._pool, self._environment, model=registered.card.get("model"))

    def _ensemble(self, domain: Domain, version: str, model: EnsembleModel, identity: str) -> EnsembleBackend:
        """Without members: it gets them once everything else is there."""
        return EnsembleBackend(
            model, domain=domain.id, version=version, clock=self._clock, board=self._board, identity=identity
        )
