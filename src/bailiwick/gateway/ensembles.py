"""Binds ensembles to what else is served, and shows how their members stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bailiwick.backends.ensemble.backend import EnsembleBackend
from bailiwick.backends.ensemble.board import Board, SeatKey, SeatReport
from bailiwick.backends.ensemble.round import Member
from bailiwick.backends.ensemble.standing import State
from bailiwick.backends.ports import Backend
from bailiwick.domains.model import Domain
from bailiwick.errors import BailiwickError, NotFound
from bailiwick.gateway.model import FeedbackRequest, Served
from bailiwick.metrics.prometheus import Family, Sample
from bailiwick.models.ensemble.spec import MemberSpec

MOST_NESTED = 4
"""Ensembles inside of ensembles; deeper ones are a mistake."""


@dataclass
class _Binding:
    """One pass over everything that is served."""

    served: Mapping[str, Served]
    problems: list[str] = field(default_factory=list)
    bound: dict[str, EnsembleBackend] = field(default_factory=dict)
    seats: set[SeatKey] = field(default_factory=set)
    pinned: dict[tuple[str, str], tuple[Domain, Backend]] = field(default_factory=dict)


@dataclass
class _Last:
    """What the last pass bound, for versions that are asked for later; and members that are in no plan."""

    served: Mapping[str, Served] = field(default_factory=dict)
    pinned: dict[tuple[str, str], tuple[Domain, Backend]] = field(default_factory=dict)


class Binder:
    """Gives ensembles their members.

    Args:
        board: how the members stand; kept from snapshot to snapshot.
        load: a backend of one version, whether or not it is in a plan; raises `BailiwickError`.
    """

    def __init__(self, board: Board, load: Callable[[Domain, str], Backend]) -> None:
        self.board = board
        self._load = load
        self._last = _Last()

    def over(self, load: Callable[[Domain, str], Backend]) -> Binder:
        """The same binder, with the same memory of what was served last, over another way to load."""
        made = Binder(self.board, load)
        made._last = self._last
        return made

    def bind(self, served: Mapping[str, Served]) -> tuple[dict[str, Served], tuple[str, ...]]:
        """Everything that is served, its ensembles with members, and what is wrong with them.

        A member that does not exist, cannot be loaded, or leads back to the ensemble is left out and named.
        """
        binding = _Binding(served)
        found = {name: self._entry(entry, binding) for name, entry in served.items()}
        self._last.pinned = binding.pinned
        self._last.served = found
        if binding.bound or self.board.reports():
            self.board.keep(binding.seats)
        return found, tuple(dict.fromkeys(binding.problems))

    def alone(self, backend: Backend) -> Backend:
        """A version that is in no plan, over the members that are served now."""
        if not isinstance(backend, EnsembleBackend):
            return backend
        return self._ensemble(backend, _Binding(self._last.served), ())

    def _entry(self, entry: Served, binding: _Binding) -> Served:
        every = [*entry.backends.values(), *entry.arm_backends.values()]
        shadow = entry.shadow
        if shadow is not None:
            every.append(shadow.backend)
        if not any(isinstance(backend, EnsembleBackend) for backend in every):
            return entry

        def given(backend: Backend) -> Backend:
            return self._ensemble(backend, binding, ()) if isinstance(backend, EnsembleBackend) else backend

        return replace(
            entry,
            backends={version: given(backend) for version, backend in entry.backends.items()},
            arm_backends={version: given(backend) for version, backend in entry.arm_backends.items()},
            shadow=shadow if shadow is None else replace(shadow, backend=given(shadow.backend)),
        )

    def _ensemble(self, backend: EnsembleBackend, binding: _Binding, path: tuple[str, ...]) -> EnsembleBackend:
        found = binding.bound.get(backend.name)
        if found is not None:
            return found
        path = (*path, backend.name)
        spec = backend.model.spec
        members = [self._member(member, backend, binding, path) for member in spec.members]
        judge = None if spec.judge is None else self._member(spec.judge, backend, binding, path)
        bound = backend.bound([member for member in members if member is not None], judge)
        if len(path) == 1:
            binding.bound[backend.name] = bound
        return bound

    def _member(
        self, spec: MemberSpec, ensemble: EnsembleBackend, binding: _Binding, path: tuple[str, ...]
    ) -> Member | None:
        where = f"{ensemble.domain}: the ensemble {ensemble.version!r} goes without {spec.name!r}"
        try:
            version, backend = self._resolved(spec, binding)
        except BailiwickError as error:
            binding.problems.append(f"{where}: {error}")
            return None
        name = f"{spec.domain}@{version}"
        if isinstance(backend, EnsembleBackend):
            if name in path:
                binding.problems.append(f"{where}: it leads back to itself: {' -> '.join([*path, name])}")
                return None
            if len(path) >= MOST_NESTED:
                binding.problems.append(f"{where}: ensembles are nested deeper than {MOST_NESTED}")
                return None
            backend = self._ensemble(backend, binding, path)
        key = SeatKey(ensemble.name, name)
        binding.seats.add(key)
        return Member(spec, version, backend, self.board.seat(ensemble.domain, key, spec.accuracy))

    def _resolved(self, spec: MemberSpec, binding: _Binding) -> tuple[str, Backend]:
        entry = binding.served.get(spec.domain)
        if entry is None:
            raise NotFound(f"the domain {spec.domain!r} is not served")
        if spec.version is None:
            if entry.main is None:
                raise NotFound(f"the domain {spec.domain!r} serves no version: {entry.problem}")
            return entry.main, entry.backends[entry.main]
        served = entry.backends.get(spec.version) or entry.arm_backends.get(spec.version)
        if served is not None:
            return spec.version, served
        key = (spec.domain, spec.version)
        known = binding.pinned.get(key) or self._last.pinned.get(key)
        backend = known[1] if known is not None and known[0] == entry.domain else self._load(entry.domain, spec.version)
        binding.pinned[key] = (entry.domain, backend)
        return spec.version, backend


def versions_behind(served: Mapping[str, Served]) -> set[str]:
    """The versions that ensembles ask and that no plan need name: a gateway without its database needs them, too."""
    found: set[str] = set()
    waiting: list[Backend] = []
    for entry in served.values():
        waiting += [*entry.backends.values(), *entry.arm_backends.values()]
        waiting += [entry.shadow.backend] if entry.shadow is not None else []
    while waiting:
        backend = waiting.pop()
        if isinstance(backend, EnsembleBackend):
            for member in (*backend.members, *([backend.judge] if backend.judge else [])):
                found.add(member.version)
                waiting.append(member.backend)
    return found


def told(board: Board) -> Callable[[FeedbackRequest], None]:
    """What takes feedback to the members of ensembles."""

    def tell(feedback: FeedbackRequest) -> None:
        board.told(feedback.request_id, feedback.metric, feedback.value, feedback.label)

    return tell


def members_document(board: Board) -> list[dict[str, Any]]:
    """One object per member of each ensemble, in the form of the replicas that ``/v1/backends`` shows."""
    return [_document(report) for report in board.reports()]


def _document(report: SeatReport) -> dict[str, Any]:
    latency = report.latency_ms
    return {
        **asdict(report),
        "kind": "ensemble_member",
        "replica": f"{report.ensemble} > {report.member}",
        "state": report.state.value,
        "share": round(report.share, 3),
        "latency_ms": 0.0 if latency is None else round(latency, 3),
        "accuracy": None if report.accuracy is None else round(report.accuracy, 4),
    }


def members_families(board: Board) -> list[Family]:
    """How members stand, for Prometheus; nothing while no ensemble is served."""
    reports = board.reports()
    if not reports:
        return []

    def labels(report: SeatReport) -> dict[str, str]:
        return {"domain": report.domain, "ensemble": report.ensemble, "member": report.member}

    states = [
        Sample(float(report.state is state), {**labels(report), "state": state.value})
        for report in reports
        for state in State
    ]
    begin = "bailiwick_ensemble_member"
    return [
        Family(
            f"{begin}_share",
            "gauge",
            "What a member counts beside its own weight; 0 while it is benched.",
            [Sample(report.share, labels(report)) for report in reports],
        ),
        Family(f"{begin}_state", "gauge", "1 for the state that a member is in.", states),
        Family(
            f"{begin}_calls_total",
            "counter",
            "Queries put to a member.",
            [Sample(report.calls, labels(report)) for report in reports],
        ),
        Family(
            f"{begin}_failures_total",
            "counter",
            "Queries that a member failed, or answered too late.",
            [Sample(report.failures, labels(report)) for report in reports],
        ),
        Family(
            f"{begin}_benchings_total",
            "counter",
            "How often a member was benched.",
            [Sample(report.benchings, labels(report)) for report in reports],
        ),
        Family(
            f"{begin}_latency_p95_milliseconds",
            "gauge",
            "95th percentile of a member's latest answers.",
            [Sample(report.latency_ms, labels(report)) for report in reports if report.latency_ms is not None],
        ),
        Family(
            f"{begin}_accuracy",
            "gauge",
            "Part of a member's answers that feedback found right.",
            [Sample(report.accuracy, labels(report)) for report in reports if report.accuracy is not None],
        ),
    ]
