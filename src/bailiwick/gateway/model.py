"""The nouns of the gateway: what it serves (a snapshot), what it is asked, what it observes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bailiwick.backends.model import Operation
from bailiwick.backends.ports import Backend
from bailiwick.domains.model import Domain
from bailiwick.routing.model import RoutingTable
from bailiwick.routing.ports import DomainDetector
from bailiwick.traffic.model import TrafficPlan


@dataclass(frozen=True, slots=True)
class Revision:
    """What a snapshot was made from. Another value means that something changed."""

    domains: int | str
    traffic: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The active domains, and the default one."""

    domains: tuple[Domain, ...]
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """One domain as it is served.

    Args:
        plan: which version serves whom; None where there is no plan (an upstream domain needs none).
        backends: by version.
        main: the version with the largest share.
        problem: why it cannot answer, where it cannot.
    """

    domain: Domain
    plan: TrafficPlan | None
    backends: Mapping[str, Backend]
    main: str | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a request needs. Immutable; replaced whole."""

    revision: Revision
    served: Mapping[str, Served]
    table: RoutingTable
    detector: DomainDetector | None
    built_at: datetime
    problems: tuple[str, ...] = ()


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
class Observation:
    """What one request showed of one version.

    Args:
        unit: the stickiness unit that was assigned.
        latency_ms: from the parsed request to the last byte of the answer.
        failed: the model did not answer (a client's mistake is no failure).
    """

    domain: str
    version: str
    request_id: str
    unit: str
    latency_ms: float
    failed: bool


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a client says of an answer.

    Args:
        request_id: ``x-request-id`` of the answer.
        domain, version: that answered, from the answer's headers or its ``model``.
        metric: what is judged; the default says whether the answer was right.
        value: true and false count as 1 and 0.
        unit: the stickiness unit, where known.
        comment: free words.
    """

    request_id: str
    domain: str
    version: str
    metric: str
    value: float
    unit: str | None = None
    comment: str | None = None
