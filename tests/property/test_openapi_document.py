"""Whatever schemathesis makes of our own OpenAPI document, fitting it or not, the server answers without failing.

The application runs in this process, without background work, and may reach nobody but this machine.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import pytest
import requests
import schemathesis
from deliveries import register
from hypothesis import HealthCheck, Phase, given, seed, settings
from serving import Fleet

from bailiwick.cli.serve import Server
from bailiwick.platform import Platform
from bailiwick.settings import Settings

ALLOWED = {503: "unavailable"}
"""A 5xx that is an answer: something that is needed is really away, such as an upstream model that was never there."""
MODES = list(schemathesis.GenerationMode)


class InProcess:
    """The whole server, gateway and control plane, on an event loop of its own."""

    def __init__(self, home: Path) -> None:
        Fleet(home).platform.close()
        self.platform = Platform(Settings(home=home, reload_interval_s=60))
        self.loop = asyncio.new_event_loop()
        self.server = Server(self.platform)
        self.loop.run_until_complete(self.server._running.reloader.start())
        document = self.get("/openapi.json")
        self.schema = schemathesis.openapi.from_dict(document)

    def get(self, path: str) -> Any:
        return orjson.loads(self.call(requests.Request("GET", f"http://test{path}").prepare())[1])

    def call(self, request: requests.PreparedRequest) -> tuple[int, bytes]:
        address = urlsplit(request.url or "")
        path = str(address.path)
        body = request.body or b""
        raw = body.encode("utf-8", "replace") if isinstance(body, str) else bytes(body)
        sent: list[Any] = []
        pieces = [{"type": "http.request", "body": raw, "more_body": False}]

        async def receive() -> Any:
            if pieces:
                return pieces.pop()
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        def plain(text: Any) -> bytes:
            return text if isinstance(text, bytes) else str(text).encode("latin-1", "replace")

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": str(address.query).encode(),
            "root_path": "",
            "headers": [(plain(name).lower(), plain(value)) for name, value in request.headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("test", 80),
            "state": {},
        }
        self.loop.run_until_complete(asyncio.wait_for(self.server(scope, receive, send), 30))
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)

    def close(self) -> None:
        self.loop.run_until_complete(self.server._running.stop())
        self.loop.close()
        self.platform.close()


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses that are made up must never be called: domains, webhooks and anchors can name any."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and str(address[0]) not in ("127.0.0.1", "::1"):
            raise OSError(101, "Network is unreachable")
        connect(self, address)

    def refused(host: Any, *_: Any, **__: Any) -> Any:
        raise socket.gaierror(f"{host!r} is not looked up")

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[InProcess]:
    made = InProcess(tmp_path / "home")
    register(made.platform, "cards", 1)
    yield made
    made.close()


def campaign(served: InProcess, examples: int) -> int:
    """Ask so often of every operation in every mode; how often it was asked in all."""
    asked = 0
    for found in served.schema.get_all_operations():
        operation = found.ok()
        for mode in MODES:

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @seed(1)
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                nonlocal asked
                asked += 1
                kwargs = case.as_transport_kwargs(base_url="http://test")
                known = ("method", "url", "headers", "params", "cookies", "data", "json", "files")
                request = requests.Request(**{name: kwargs[name] for name in known if name in kwargs}).prepare()
                status, answer = served.call(request)
                check(status, answer, f"{request.method} {request.url} {request.headers} {request.body!r:.500}")

            try:
                ask()
            except Exception as error:
                if type(error).__name__ != "Unsatisfiable":
                    raise
    return asked


def check(status: int, answer: bytes, asked: str) -> None:
    if status >= 500:
        document = orjson.loads(answer)
        code = document.get("code") or document.get("error", {}).get("code")
        assert code == ALLOWED.get(status), (asked, status, answer)
    elif status >= 400 and answer:
        document = orjson.loads(answer)
        assert isinstance(document, dict), (asked, status, answer)


def test_openapi__of_both_planes__each_operation_once(served: InProcess) -> None:
    document = served.get("/openapi.json")
    assert {"/v1/chat/completions", "/v1/domains", "/readyz"} <= set(document["paths"])
    names = [each["operationId"] for methods in document["paths"].values() for each in methods.values() if each]
    assert len(names) == len(set(names))
    served.schema.validate()
    own = [path for path in document["paths"] if served.server._gateway.serves(path.replace("{", "").replace("}", ""))]
    assert len(own) == 13, own


def test_openapi__requests_made_from_it__never_a_5xx_of_our_own(served: InProcess) -> None:
    operations = sum(1 for _ in served.schema.get_all_operations())
    assert campaign(served, 1) >= operations


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_openapi__many_requests_made_from_it__never_a_5xx_of_our_own(served: InProcess) -> None:
    assert campaign(served, 40) > 3_000
