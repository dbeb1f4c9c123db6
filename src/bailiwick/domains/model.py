"""What a domain is: an area of expertise with its words, its examples, its model and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from bailiwick.domains.batching import Batching
from bailiwick.domains.cache import AnswerCaching

MAX_REVISION = 2**31 - 1
"""The largest revision that the tables can hold."""


class Lifecycle(StrEnum):
    """Where a domain stands. Only active domains are detected and served; a deleted one keeps its history."""

    DRAFT = "draft"
    ACTIVE = "active"
    ARCHIVED = "archived"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Example:
    """A text that belongs to the domain, with the finer label it carries inside the domain, where known."""

    text: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Backend:
    """How the domain's model is called.

    ``local`` runs a registered model version in this process. ``openai-compatible`` calls an upstream server:
    it needs ``base_url`` and ``model``; the API key is read from the variable named ``api_key_env``.

    Args:
        base_url: one address, or those of several replicas that answer alike.
        weights: how much each replica can bear beside the others; empty: all the same.
        breaker_failures: in a row after which a replica is left alone for a while; 0: never.
        health_path: below ``base_url``, asked for every few seconds, such as ``/models``; None: not at all.
        repeatable: the same request may be answered twice, so that it is also sent again after a failure that leaves
            unknown whether the upstream had begun.
        hedge: a call that takes longer than 95 % of them is also sent to a second replica, and the first answer counts.
    """

    kind: str = "local"
    base_url: str | tuple[str, ...] | None = None
    model: str | None = None
    api_key_env: str | None = None
    timeout_s: float = 30.0
    retries: int = 2
    weights: tuple[float, ...] = ()
    breaker_failures: int = 5
    health_path: str | None = None
    repeatable: bool = False
    hedge: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every replica's address; none for a local model."""
        if self.base_url is None:
            return ()
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url


@dataclass(frozen=True, slots=True)
class Generation:
    """Default generation parameters, and the bounds that a request cannot leave.

    A default of None leaves the parameter to the model: nothing is added to what the client sent. Some models refuse
    a temperature or ``max_tokens``, and whoever sets neither expects a whole answer.

    ``bounds`` maps a parameter to its smallest and largest allowed value.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    bounds: dict[str, tuple[float, float]] = field(
        default_factory=lambda: {"temperature": (0.0, 2.0), "top_p": (0.0, 1.0), "max_tokens": (1.0, 8192.0)}
    )


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a model version must reach before it is deployed. Latency is the p95 of one query, in milliseconds."""

    min_accuracy: float = 0.85
    max_latency_ms: float = 500.0
    max_training_loss: float = 0.3
    max_validation_loss: float = 0.35


@dataclass(frozen=True, slots=True)
class Domain:
    """One revision of one domain. Revisions are immutable; a change makes the next one.

    Args:
        id: lower-case letters, digits, ``-`` and ``_``; starts with a letter; at most 64 characters.
        agent_id: the agent that speaks for the domain; recorded on every tag.
        layer, team: where the domain sits in ``layer_mapping``.
        keywords, tags: what detection matches, at word level and case-insensitively.
        attention_weights: how much a keyword or tag counts beside its own tellingness (default 1.0).
        fallback: the domain that answers when this one cannot.
        enabled_env_var: the domain is served only while this environment variable is true (unset name: always).
        cache: whether and how answers are kept; None: they are not.
        batching: how requests to a local model gather; None: they do not.
    """

    id: str
    name: str
    agent_id: str
    layer: str = "default"
    team: str = "default"
    description: str = ""
    keywords: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    attention_weights: dict[str, float] = field(default_factory=dict)
    backend: Backend = Backend()
    generation: Generation = field(default_factory=Generation)
    fallback: str | None = None
    enabled_env_var: str | None = None
    thresholds: Thresholds = Thresholds()
    cache: AnswerCaching | None = None
    batching: Batching | None = None


@dataclass(frozen=True, slots=True)
class DomainRevision:
    """A domain as it stood from ``created_at`` on, until the next revision."""

    domain: Domain
    revision: int
    lifecycle: Lifecycle
    created_at: datetime
    created_by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One difference between two revisions of a domain."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class DomainSet:
    """Several domains that belong together: what a domain document holds, and what is imported and exported.

    Args:
        domains: by id, sorted.
        default_domain: answers what no other domain claims; None: nothing is said about it.
        lifecycles: where the document states one; a domain without one is meant to be active.
    """

    domains: Mapping[str, Domain] = field(default_factory=dict)
    default_domain: str | None = None
    lifecycles: Mapping[str, Lifecycle] = field(default_factory=dict)

    def lifecycle_of(self, domain_id: str) -> Lifecycle:
        """The stated lifecycle, else active."""
        return self.lifecycles.get(domain_id, Lifecycle.ACTIVE)

    @property
    def layer_mapping(self) -> dict[str, dict[str, list[str]]]:
        """``{layer: {team: [ids]}}``, sorted, read off the domains' own layer and team."""
        mapping: dict[str, dict[str, list[str]]] = {}
        for domain in sorted(self.domains.values(), key=lambda each: (each.layer, each.team, each.id)):
            mapping.setdefault(domain.layer, {}).setdefault(domain.team, []).append(domain.id)
        return mapping


@dataclass(frozen=True, slots=True)
class CatalogueVersion:
    """Names one state of all domains: the catalogue that counted, and its counter.

    Args:
        catalogue: drawn at random when the catalogue was made, so that two databases that share one Redis, or a
            restored one, are never taken for each other. A file is named by its content's hash.
        revision: grows by one with each change.
    """

    catalogue: str
    revision: int


@dataclass(frozen=True, slots=True)
class CatalogueState:
    """Every domain that is not deleted, at one version."""

    version: CatalogueVersion
    document: DomainSet
