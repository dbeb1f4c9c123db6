"""The domains as a request sees them: an immutable snapshot of those that are active and enabled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bailiwick.domains.model import CatalogueState, CatalogueVersion, Domain, DomainSet, Lifecycle
from bailiwick.errors import NotFound

_TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every domain that may be detected and served, at one version.

    Args:
        version: of the state that it was built from.
        domains: active and enabled ones, by id.
        default_domain: None where none is named, or the named one is not served here.
        layer_mapping: ``{layer: {team: (ids)}}`` of the domains above.
        disabled: active domains whose ``enabled_env_var`` is not true in this process.
    """

    version: CatalogueVersion
    domains: Mapping[str, Domain] = field(default_factory=lambda: MappingProxyType({}))
    default_domain: str | None = None
    layer_mapping: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=lambda: MappingProxyType({}))
    disabled: frozenset[str] = frozenset()

    def get(self, domain_id: str) -> Domain:
        """A served domain.

        Raises:
            NotFound: it is unknown, not active, or not enabled in this process.
        """
        found = self.domains.get(domain_id)
        if found is None:
            why = "is not enabled here" if domain_id in self.disabled else "is not served"
            raise NotFound(
                f"domain {domain_id!r} {why}",
                what="domain",
                requested=domain_id,
                allowed=sorted(self.domains)[:50],
                remedy="see `bailiwick domain list`",
            )
        return found

    def fallbacks(self, domain_id: str) -> tuple[str, ...]:
        """The served domains that answer when this one cannot, nearest first; a disabled one is passed over.

        Raises:
            NotFound: the domain itself is not served.
        """
        chain: list[str] = []
        seen = {domain_id}
        following = self.get(domain_id).fallback
        while following is not None and following not in seen and following in self.domains:
            seen.add(following)
            chain.append(following)
            following = self.domains[following].fallback
        return tuple(chain)


def build_catalogue(state: CatalogueState, environment: Mapping[str, str]) -> Catalogue:
    """The catalogue of a state in a process with these environment variables.

    >>> from bailiwick.domains.model import Domain
    >>> cards = Domain("cards", "Cards", "a", enabled_env_var="CARDS_ON")
    >>> state = CatalogueState(CatalogueVersion("c", 1), DomainSet({"cards": cards}))
    >>> list(build_catalogue(state, {}).domains), list(build_catalogue(state, {"CARDS_ON": "true"}).domains)
    ([], ['cards'])
    """
    document = state.document
    active = {key: each for key, each in document.domains.items() if document.lifecycle_of(key) is Lifecycle.ACTIVE}
    served = {key: each for key, each in sorted(active.items()) if is_enabled(each, environment)}
    mapping = DomainSet(served).layer_mapping
    return Catalogue(
        version=state.version,
        domains=MappingProxyType(served),
        default_domain=document.default_domain if document.default_domain in served else None,
        layer_mapping=MappingProxyType(
            {
                layer: MappingProxyType({team: tuple(ids) for team, ids in teams.items()})
                for layer, teams in mapping.items()
            }
        ),
        disabled=frozenset(active.keys() - served.keys()),
    )


def is_enabled(domain: Domain, environment: Mapping[str, str]) -> bool:
    """Whether the domain's ``enabled_env_var`` is ``1``, ``true``, ``yes`` or ``on`` (or none is named)."""
    if domain.enabled_env_var is None:
        return True
    return environment.get(domain.enabled_env_var, "").strip().lower() in _TRUE
