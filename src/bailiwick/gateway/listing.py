"""Lists what is served: the models, and the replicas of upstreams; to a key only what it may ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from bailiwick.errors import BailiwickError, NotFound
from bailiwick.gateway.admission.headers import refusal_headers
from bailiwick.gateway.asgi import Receive, Scope, Send, send_json
from bailiwick.gateway.faults import error_body, status_of
from bailiwick.gateway.model import Served
from bailiwick.gateway.reloader import Reloader
from bailiwick.governance.access.table import AccessTable, AdmittedKey
from bailiwick.routing.model import AUTO

MODEL = "/v1/models/"
Identify = Callable[[Mapping[bytes, bytes], AccessTable], AdmittedKey | None]


class Listing:
    """Three endpoints over the gateway's snapshot.

    Args:
        reloader: holds the snapshot.
        identify: whose key a request carries; see `Door.identify`.
        upstreams: each replica of each upstream.
    """

    def __init__(self, reloader: Reloader, identify: Identify, upstreams: Callable[[], list[dict[str, Any]]]) -> None:
        self._reloader = reloader
        self._identify = identify
        self._upstreams = upstreams

    async def models(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer ``GET /v1/models``."""
        await self._answer(scope, send, self._models)

    async def one_model(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer ``GET /v1/models/{model}``, also without ``/v1``."""
        name = unquote(scope["path"].removeprefix("/v1").removeprefix("/models/"))
        await self._answer(scope, send, lambda key: self._model(key, name))

    async def backends(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer ``GET /v1/backends``."""
        await self._answer(scope, send, self._backends)

    def _models(self, key: AdmittedKey | None) -> dict[str, Any]:
        ready = self._reloader.snapshot.served.values() if self._reloader.ready else ()
        shown = [served for served in ready if served.backends and _may_ask(key, served.domain.id)]
        return {"object": "list", "data": [_model_card(AUTO, "bailiwick"), *map(_served_card, shown)]}

    def _model(self, key: AdmittedKey | None, name: str) -> dict[str, Any]:
        if name == AUTO:
            return _model_card(AUTO, "bailiwick")
        domain, _, version = name.partition("@")
        served = self._reloader.snapshot.served.get(domain) if self._reloader.ready else None
        is_there = served is not None and served.backends and (not version or version in served.backends)
        if served is None or not is_there or not _may_ask(key, domain):
            raise NotFound(f"the model {name[:200]!r} does not exist", what="model")
        return {**_served_card(served), "id": name}

    def _backends(self, key: AdmittedKey | None) -> dict[str, Any]:
        return {"object": "list", "data": [each for each in self._upstreams() if _may_ask(key, each["domain"])]}

    async def _answer(
        self, scope: Scope, send: Send, document_for: Callable[[AdmittedKey | None], dict[str, Any]]
    ) -> None:
        # before the first snapshot nothing is known of keys, and nothing is listed
        access = self._reloader.snapshot.access if self._reloader.ready else AccessTable()
        try:
            document = document_for(self._identify(dict(scope["headers"]), access))
        except BailiwickError as error:
            await send_error(send, error)
            return
        await send_json(send, 200, document)


def send_error(send: Send, error: BailiwickError) -> Awaitable[None]:
    """An error as OpenAI clients know them."""
    status = status_of(error)
    return send_json(send, status, error_body(error, status), refusal_headers(error))


def _may_ask(key: AdmittedKey | None, domain: str) -> bool:
    return key is None or key.may_ask(domain)


def _served_card(served: Served) -> dict[str, Any]:
    return {**_model_card(served.domain.id, served.domain.team), "versions": sorted(served.backends)}


def _model_card(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
