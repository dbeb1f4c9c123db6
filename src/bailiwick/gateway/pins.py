"""Versions that a request names as ``domain@version``, loaded when first asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from bailiwick.backends.ports import Backend
from bailiwick.domains.model import CatalogueVersion
from bailiwick.errors import NotFound
from bailiwick.gateway.model import Snapshot
from bailiwick.gateway.snapshot import Compiler
from bailiwick.gateway.targets import Target
from bailiwick.routing.model import Route, RouteMethod

_KEPT = 8


class Pins:
    """The few pinned versions asked for last. One is loaded at a time, off the event loop."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._backends: OrderedDict[tuple[str, str, CatalogueVersion], Backend] = OrderedDict()
        self._loading = asyncio.Lock()

    async def target(self, domain: str, version: str, snapshot: Snapshot) -> Target:
        """The pinned version.

        Raises:
            NotFound: the domain, or that version of it, does not exist.
            Unavailable: the version cannot be loaded: its artefact is missing or damaged.
        """
        served = snapshot.served.get(domain)
        if served is None:
            raise NotFound(f"the model {domain!r} does not exist", what="model", requested=f"{domain}@{version}")
        backend = served.backends.get(version) or await self._load(domain, version, snapshot)
        route = Route(domain, 1.0, RouteMethod.EXPLICIT, reason="the request names domain and version")
        return Target(served, version, backend, route, counted=False)

    async def _load(self, domain: str, version: str, snapshot: Snapshot) -> Backend:
        key = (domain, version, snapshot.revision.domains)
        async with self._loading:
            backend = self._backends.get(key)
            if backend is None:
                try:
                    definition = snapshot.served[domain].domain
                    backend = await asyncio.to_thread(self._compiler.pinned, definition, version)
                except NotFound as error:
                    raise NotFound(
                        f"the domain {domain!r} has no version {version!r}",
                        what="model",
                        requested=f"{domain}@{version}",
                        remedy=f"`bailiwick model list --domain {domain}` shows its versions",
                    ) from error
                self._backends[key] = backend
                while len(self._backends) > _KEPT:
                    self._backends.popitem(last=False)
            self._backends.move_to_end(key)
            return backend
