"""Compiles how a domain's answers are kept, and by what its questions are compared."""

from __future__ import annotations

from dataclasses import replace

from bailiwick.caching.identity import compile_caching
from bailiwick.caching.similarity import Similarity
from bailiwick.domains.model import Domain
from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.gateway.model import Revision, Served
from bailiwick.gateway.ports import Sources


def with_caching(served: Served, before: Served | None, revision: Revision, sources: Sources) -> Served:
    """The domain with how its answers are kept, if they are.

    Where the model that says what questions mean cannot be loaded, only the same question gets the same answer.
    """
    domain = served.domain
    if domain.cache is None:
        return served
    caching = compile_caching(domain, revision.domains.catalogue)
    if caching is None or domain.cache.semantic is None or domain.backend.kind == "local":
        return replace(served, caching=caching)
    if before is not None and before.domain == domain and before.caching is not None and before.caching.similarity:
        return replace(served, caching=replace(caching, similarity=before.caching.similarity))
    try:
        return replace(served, caching=replace(caching, similarity=_similarity(domain, sources)))
    except (NotFound, InvalidInput, Conflict) as error:
        return replace(served, caching=caching, caching_problem=f"similar questions are not looked for: {error}")


def _similarity(domain: Domain, sources: Sources) -> Similarity:
    assert domain.cache is not None and domain.cache.semantic is not None
    version = domain.cache.semantic.model
    return Similarity() if version is None else Similarity(sources.model(version).predict)
