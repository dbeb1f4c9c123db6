"""What an answer depends on besides the request: digests of a model's content and of a domain's settings. Pure."""

from __future__ import annotations

from dataclasses import fields

from bailiwick.backends.ports import Backend
from bailiwick.caching.keys import digest_of
from bailiwick.caching.model import CompiledCaching
from bailiwick.domains.model import Domain

HARMLESS = frozenset(
    {
        "agent_id",
        "attention_weights",
        "batching",
        "description",
        "enabled_env_var",
        "examples",
        "fallback",
        "keywords",
        "layer",
        "name",
        "tags",
        "team",
        "thresholds",
    }
)
"""Fields of a domain that say how it is found, filed or judged, and never how it answers. Any other field counts."""


def seed_of(domain: Domain, catalogue: str) -> bytes:
    """A digest of all in a domain that an answer may depend on, and of the installation.

    Args:
        domain: as it is served.
        catalogue: names the catalogue, so that two installations that share one Redis share no answers.
    """
    said = [f"{each.name}={getattr(domain, each.name)!r}" for each in fields(domain) if each.name not in HARMLESS]
    return digest_of(catalogue.encode(), *(each.encode("utf-8", "replace") for each in said))


def compile_caching(domain: Domain, catalogue: str) -> CompiledCaching | None:
    """What a gateway needs to keep the domain's answers; None where it shall not."""
    if domain.cache is None or not domain.cache.enabled:
        return None
    return CompiledCaching(domain.cache, seed_of(domain, catalogue))


def identity_of(backend: Backend) -> bytes | None:
    """The digest of what answers, as the backend's ``identity`` says it; None where it says nothing.

    A backend that says nothing is never cached: nobody could tell when its answers become another's.
    """
    said = getattr(backend, "identity", None)
    return said.encode() if isinstance(said, str) and said else None
