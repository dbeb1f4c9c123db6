"""Versions that a request names as ``domain@version``, loaded when first asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson

from bailiwick.backends.model import Call
from bailiwick.backends.ports import Backend
from bailiwick.domains.model import CatalogueVersion
from bailiwick.errors import NotFound
from bailiwick.gateway.model import Snapshot
from bailiwick.gateway.snapshot import Compiler
from bailiwick.gateway.targets import Target
from bailiwick.routing.model import Route, RouteMethod

_KEPT = 8


class _NotLoaded:
    """Holds the place of a version while it is decided whether the request is let in: whoever is not loads nothing."""

    in_process = True

    async def answer(self, call: Call) -> dict[str, Any]:
        """Never asked."""
        raise AssertionError("a version is loaded before it is asked")

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """Never asked."""
        yield orjson.dumps(await self.answer(call))


_NOT_LOADED: Backend = _NotLoaded()


class Pins:
    """The few pinned versions asked for last. One is loaded at a time, off the event loop."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._backends: OrderedDict[tuple[str, str, CatalogueVersion], Backend] = OrderedDict()
        self._loading = asyncio.Lock()

    def place(self, domain: str, version: str, snapshot: Snapshot) -> Target:
        """The pinned version, not loaded yet where its domain does not serve it: see `loaded`.

        Raises:
            NotFound: the domain does not exist.
        """
        served = snapshot.served.get(domain)
        if served is None:
            raise NotFound(f"the model {domain!r} does not exist", what="model", requested=f"{domain}@{version}")
        route = Route(domain, 1.0, RouteMethod.EXPLICIT, reason="the request names domain and version")
        return Target(served, version, served.backends.get(version, _NOT_LOADED), route, counted=False)

    async def loaded(self, target: Target, snapshot: Snapshot) -> Target:
        """The placed version with what answers.

        Raises:
            NotFound: the domain has no such version.
            Unavailable: it cannot be loaded: its artefact is missing or damaged.
        """
        if target.backend is not _NOT_LOADED:
            return target
        return replace(target, backend=await self._load(target.served.domain.id, target.version, snapshot))

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
