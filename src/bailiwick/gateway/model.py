"""The nouns of the gateway: what it serves (a snapshot), what it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bailiwick.backends.model import Operation, Usage
from bailiwick.backends.ports import Backend
from bailiwick.caching.model import CompiledCaching, Told
from bailiwick.domains.model import CatalogueVersion, Domain
from bailiwick.governance.access.table import AccessTable
from bailiwick.routing.model import Decision, RoutingTable
from bailiwick.routing.ports import DomainDetector
from bailiwick.routing.runtime import Router
from bailiwick.traffic.enter import CompiledDomain
from bailiwick.traffic.model import Shadow, TrafficPlan


@dataclass(frozen=True, slots=True)
class Revision:
    """What a snapshot was made from. Another value means that something changed.

    Args:
        domains: of the catalogue.
        traffic: of all plans.
        detector: of what detection has learned.
        access: of keys and limits.
        routing: of rules, mode and policy.
    """

    domains: CatalogueVersion
    traffic: int
    detector: int = 0
    access: int = 0
    routing: int = 0

    def is_before(self, other: Revision) -> bool:
        """Whether something in it is older than in the other one. Catalogues of different origin have no order.

        >>> first, second = (Revision(CatalogueVersion("c", 1), number) for number in (1, 2))
        >>> first.is_before(second), second.is_before(first), first.is_before(first)
        (True, False, False)
        """
        same = self.domains.catalogue == other.domains.catalogue
        return (
            (same and self.domains.revision < other.domains.revision)
            or self.traffic < other.traffic
            or self.detector < other.detector
            or self.access < other.access
            or self.routing < other.routing
        )


@dataclass(frozen=True, slots=True)
class ShadowBackend:
    """Who answers copies of requests, unseen."""

    shadow: Shadow
    backend: Backend


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
        shadow: None where the plan names none, or it cannot be loaded; then ``shadow_problem`` says why.
        caching: how its answers are kept; None: they are not.
        caching_problem: why they serve the same question only, although the domain wants more.
    """

    domain: Domain
    plan: TrafficPlan | None
    backends: Mapping[str, Backend]
    main: str | None
    problem: str | None = None
    experiments: CompiledDomain = field(default_factory=CompiledDomain)
    arm_backends: Mapping[str, Backend] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    shadow: ShadowBackend | None = None
    shadow_problem: str | None = None
    caching: CompiledCaching | None = None
    caching_problem: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a request needs. Immutable; replaced whole.

    Args:
        flags: the domain of each experiment that runs here, by the experiment's id.
        ended: ids of the experiments that ran once and do not now.
        access: who is let in, and how much.
        router: rules and learning; None where there is nothing but detection.
    """

    revision: Revision
    served: Mapping[str, Served]
    table: RoutingTable
    detector: DomainDetector | None
    built_at: datetime
    problems: tuple[str, ...] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()
    access: AccessTable = field(default_factory=AccessTable)
    router: Router | None = None


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A validated request for a model.

    Args:
        model: a domain's id, or ``auto``.
        version: the pinned version of ``domain@version``.
        text: what detection reads.
        unit: whom the answer must stay the same for: the body's ``user``, where given.
        body: the whole request object.
        size: of the body, in bytes.
    """

    operation: Operation
    model: str
    version: str | None
    text: str
    unit: str | None
    stream: bool
    body: dict[str, Any] = field(repr=False)
    size: int = 0


@dataclass(slots=True)
class Meter:
    """What is measured of an answer while it comes; of the last attempt.

    Args:
        first_token_s: seconds from the attempt's beginning to a stream's first piece; None without a stream.
        usage: what the model used for this request: nothing, where the answer was kept from another.
        cache: what the cache did; None: the domain keeps no answers.
    """

    first_token_s: float | None = None
    usage: Usage = field(default_factory=Usage)
    cache: Told | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """One finished request for a model, without any of its text.

    Args:
        model: as the request names it; empty where it could not be read.
        domain, version, route: who answered, or was asked first where nobody did; empty where none was reached.
        status: of HTTP; 499 where the client left.
        seconds: from the request's head to the answer's last byte.
        traceparent: the header of W3C Trace Context, where the client sent one.
        body: of the request; observers must keep none of its text.
        key: the id of the client's key; empty without one.
        decision: of routing, where there is one to be logged.
        cache: ``hit``, ``miss`` or ``bypass``; empty where the domain keeps no answers.
        answered: whether an answer was begun.
        text: what detection reads; only for observers that were asked to keep it.
    """

    request_id: str
    operation: Operation
    model: str
    domain: str
    version: str
    route: str
    status: int
    seconds: float
    stream: bool
    first_token_s: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    traceparent: bytes
    body: Mapping[str, Any] = field(repr=False)
    key: str = ""
    decision: Decision | None = None
    cache: str = ""
    answered: bool = True
    text: str = field(default="", repr=False)


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
