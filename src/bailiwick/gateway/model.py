"""The nouns of the gateway: what it serves (a snapshot), what it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bailiwick.backends.model import Operation
from bailiwick.backends.ports import Backend
from bailiwick.domains.model import CatalogueVersion, Domain
from bailiwick.routing.model import RoutingTable
from bailiwick.routing.ports import DomainDetector
from bailiwick.traffic.enter import CompiledDomain
from bailiwick.traffic.model import TrafficPlan


@dataclass(frozen=True, slots=True)
class Revision:
    """What a snapshot was made from. Another value means that something changed.

    Args:
        domains: of the catalogue.
        traffic: of all plans.
        detector: of what detection has learned.
    """

    domains: CatalogueVersion
    traffic: int
    detector: int = 0


@dataclass(frozen=True, slots=True)
class Served:
    """One domain as it is served.

    Args:
        plan: which version serves whom; None where there is no plan (an upstream domain needs none).
        backends: by version.
        main: the version with the largest share.
        problem: why it cannot answer, where it cannot.
        experiments: that run on the domain, less those that cannot run in this process.
        arm_backends: by version, those that the arms of experiments name.
        problems: why experiments cannot run, one text each.
    """

    domain: Domain
    plan: TrafficPlan | None
    backends: Mapping[str, Backend]
    main: str | None
    problem: str | None = None
    experiments: CompiledDomain = field(default_factory=CompiledDomain)
    arm_backends: Mapping[str, Backend] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a request needs. Immutable; replaced whole.

    Args:
        flags: the domain of each experiment that runs here, by the experiment's id.
        ended: ids of the experiments that ran once and do not now.
    """

    revision: Revision
    served: Mapping[str, Served]
    table: RoutingTable
    detector: DomainDetector | None
    built_at: datetime
    problems: tuple[str, ...] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A validated request for a model.

    Args:
        model: a domain's id, or ``auto``.
        version: the pinned version of ``domain@version``.
        text: what detection reads.
        unit: whom the answer must stay the same for: the body's ``user``, where given.
        body: the whole request object.
    """

    operation: Operation
    model: str
    version: str | None
    text: str
    unit: str | None
    stream: bool
    body: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class FeedbackRequest:
    """What a client says of an answer; at least one of value, label and comment is there.

    Args:
        request_id: ``x-request-id`` of the answer, or its ``id``.
        metric: what is judged; ``correct`` says whether the answer was right.
        value: true and false count as 1 and 0.
        label: what the answer should have been.
        comment: free words.
        domain: that answered, where the client says so.
        version: that answered, where the client says so.
    """

    request_id: str
    metric: str = "correct"
    value: float | None = None
    label: str | None = None
    comment: str | None = None
    domain: str | None = None
    version: str | None = None
