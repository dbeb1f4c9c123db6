"""Domains of another Bailiwick: a real one, one that is away, and servers that misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import uvicorn
from domain_values import ADA, a_domain

from bailiwick.api.app import create_api
from bailiwick.domains.remote import RemoteDomains
from bailiwick.domains.sources import SourceChain
from bailiwick.domains.watch import CatalogueWatch
from bailiwick.errors import BailiwickError, InvalidInput, NotFound, Unavailable
from bailiwick.platform import Platform
from bailiwick.settings import Settings


@pytest.fixture
def other(tmp_path: Path) -> Iterator[tuple[Platform, str]]:
    """Another Bailiwick that listens on a port of its own."""
    platform = Platform(Settings(home=tmp_path))
    server = uvicorn.Server(uvicorn.Config(create_api(platform), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield platform, f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=30)
    platform.close()


def test_remote__domains_of_another__are_followed(other: tuple[Platform, str]) -> None:
    platform, url = other
    watch = CatalogueWatch(SourceChain(RemoteDomains(url + "/")), 0.1, {})

    watch.step()
    assert dict(watch.current.domains) == {}
    platform.domains.create(a_domain("a", keywords=("card",)), ADA, activate=True)
    assert watch.step() is True
    assert watch.current.get("a") == a_domain("a", keywords=("card",))
    assert watch.step() is False


Respond = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def misbehave() -> Iterator[Callable[[Respond], str]]:
    """Starts a server that answers as told, and gives its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(respond: Respond) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                respond(self)

            def log_message(self, *_arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _answer(status: int, body: bytes = b"", **headers: str) -> Respond:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


def _endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" " * 65536)
    except OSError:
        return


def _drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.05)
    except OSError:
        return


def _cut_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"domains": ')


MISBEHAVIOUR: dict[str, tuple[Respond, type[BailiwickError], str]] = {
    "not there": (_answer(404), NotFound, "404"),
    "failing": (_answer(500), Unavailable, "500"),
    "redirect": (_answer(302, Location="file:///etc/passwd"), InvalidInput, "redirects to 'file:///etc/passwd'"),
    "web page": (_answer(200, b"<html>"), InvalidInput, "not JSON"),
    "other JSON": (_answer(200, b'{"items": []}'), InvalidInput, "domains: Field required"),
    "endless": (_endless, InvalidInput, "too large"),
    "dripping": (_drip, Unavailable, "no complete answer"),
    "cut off": (_cut_off, InvalidInput, "not JSON"),
    "no HTTP": (lambda handler: handler.wfile.write(b"SSH-2.0-x\r\n") and None, Unavailable, "does not answer"),
}


@pytest.mark.parametrize("case", MISBEHAVIOUR)
def test_remote__server_misbehaves__typed_error(case: str, misbehave: Callable[[Respond], str]) -> None:
    respond, kind, words = MISBEHAVIOUR[case]
    remote = RemoteDomains(misbehave(respond), timeout_s=0.5, max_bytes=1 << 20)

    with pytest.raises(kind) as caught:
        remote.load()

    assert words in str(caught.value)
    assert "/v1/domains/export" in str(caught.value.where)


def test_remote__nobody_listens__is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        RemoteDomains("http://127.0.0.1:1").load()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x", "http://", "//x", "http://ada:pw@x", "http://x?a=1"])
def test_remote__address_of_another_kind__is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="the address of the other Bailiwick") as caught:
        RemoteDomains(url)

    assert "pw" not in str(caught.value)
