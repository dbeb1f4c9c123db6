"""What every client of upstreams does, on real sockets."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import ssl
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from raw_upstream import GOOD, WHOLE, eventually, upstream

from bailiwick.backends.aiohttp_client import AiohttpClient
from bailiwick.backends.connections import Http1Client
from bailiwick.backends.origin import origin_of
from bailiwick.backends.ports import Break, Timing, TransportFailed, UpstreamClient
from bailiwick.network.addresses import OutsideOnly

QUICK = Timing(1.0, 0.3, 0.3)
OK = b"HTTP/1.1 200 OK\r\n"


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=[(Http1Client, "asyncio"), (Http1Client, "uvloop"), (AiohttpClient, "uvloop")], ids=str)
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[UpstreamClient], Coroutine[Any, Any, Any]]], Any]:
    kind, loop = request.param

    def run_with(work: Callable[[UpstreamClient], Coroutine[Any, Any, Any]]) -> Any:
        async def main() -> Any:
            client: UpstreamClient = kind()
            try:
                return await work(client)
            finally:
                await client.close()

        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            return runner.run(main())

    return run_with


async def ask(client: UpstreamClient, url: str, timing: Timing = QUICK, body: bytes = b"{}") -> tuple[int, bytes]:
    response = await client.send(origin_of(url), "POST", "/x", [("content-type", "application/json")], body, timing)
    try:
        found = b""
        while piece := await response.piece():
            found += piece
    finally:
        response.release()
    return response.status, found


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\n" + WHOLE[:5] + b"\r\n24\r\n" + WHOLE[5:] + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD,
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + GOOD,
    ],
    ids=["length", "chunked", "continue", "hints"],
)
def test_answer__in_every_framing__read_whole_and_connection_used_again(run: Any, answer: bytes) -> None:
    async def work(client: UpstreamClient) -> None:
        async with upstream(answer) as server:
            for _ in range(3):
                assert await ask(client, server.url) == (200, WHOLE)
            assert server.connections == 1

    run(work)


def test_answer__ended_by_the_connection__read_whole(run: Any) -> None:
    async def close(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"\r\n" + WHOLE)
        writer.close()

    async def work(client: UpstreamClient) -> None:
        async with upstream(close) as server:
            assert await ask(client, server.url) == (200, WHOLE)
            assert await ask(client, server.url) == (200, WHOLE)

    run(work)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", Break.SILENT),
        (b"HTTP/1.1 200 OK\r\ncontent-", Break.SILENT),
        (OK + b"content-length: 9\r\n\r\nabc", Break.SILENT),
        (OK + b"transfer-encoding: chunked\r\n\r\nnonsense\r\n", Break.BROKEN),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Break.BROKEN),
        (OK + b"x: " + b"y" * 200_000, Break.BROKEN),
    ],
    ids=["nothing", "half a head", "half a body", "bad chunk", "another protocol", "endless head"],
)
def test_answer__not_one__typed_failure_and_connection_closed(run: Any, answer: bytes, kind: Break) -> None:
    async def work(client: UpstreamClient) -> None:
        async with upstream(answer) as server:
            with pytest.raises(TransportFailed) as caught:
                await ask(client, server.url)
            assert caught.value.kind is kind
            await eventually(lambda: server.open == 0)

    run(work)


def test_connection__refused__says_that_nothing_was_sent(run: Any) -> None:
    async def work(client: UpstreamClient) -> None:
        with pytest.raises(TransportFailed) as caught:
            await ask(client, "http://127.0.0.1:9/v1")
        assert caught.value.kind is Break.CONNECT

    run(work)


def test_send__cancelled__connection_closed_at_once(run: Any) -> None:
    async def work(client: UpstreamClient) -> None:
        async with upstream(b"") as server:
            task = asyncio.create_task(ask(client, server.url, Timing()))
            await eventually(lambda: len(server.heads) == 1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await eventually(lambda: server.open == 0)

    run(work)


def test_header__with_a_line_break__not_sent(run: Any) -> None:
    async def work(client: UpstreamClient) -> None:
        async with upstream(GOOD) as server:
            with pytest.raises((ValueError, TransportFailed)):
                await client.send(origin_of(server.url), "POST", "/x", [("a", "b\r\nc: d")], b"", QUICK)
            assert server.heads == []

    run(work)


def test_reader__slow__upstream_is_slowed_down(run: Any) -> None:
    sent = 0

    async def flood(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(OK + b"content-length: 99999999999\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async def work(client: UpstreamClient) -> None:
        async with upstream(flood) as server:
            response = await client.send(origin_of(server.url), "POST", "/x", [], b"", Timing())
            before = -1
            while before != sent:  # until the upstream is held back
                before = sent
                await asyncio.sleep(0.1)
            assert sent < 64 << 20
            for _ in range(20):
                assert await response.piece()
            await eventually(lambda: sent > before)
            response.release()
            await eventually(lambda: server.open == 0)

    run(work)


# Only the gateway's own client


def own(work: Callable[[Http1Client], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def main() -> None:
        client = Http1Client(**options)
        await work(client)
        await client.close()
        await eventually(lambda: client.open_connections == 0)

    for make in LOOPS.values():
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(main())


def test_idle_connection__closed_by_the_upstream__not_used_again() -> None:
    async def work(client: Http1Client) -> None:
        async def once(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(GOOD)
            writer.close()

        async with upstream(once) as server:
            for number in range(1, 4):
                assert await ask(client, server.url) == (200, WHOLE)
                await eventually(lambda: client.open_connections == 0)
                assert server.connections == number

    own(work)


def test_idle_connection__end_not_seen_by_the_loop_yet__found_on_the_socket() -> None:
    """The loop is kept busy while the end arrives, as a gateway under load is."""

    async def work(client: Http1Client) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"

            def serve_one() -> socket.socket:
                accepted, _ = listening.accept()
                accepted.recv(65_536)
                accepted.sendall(GOOD)
                return accepted

            serving = asyncio.create_task(asyncio.to_thread(serve_one))
            assert await ask(client, url) == (200, WHOLE)
            first = await serving
            await asyncio.sleep(0.1)
            first.close()
            assert select.select([], [], [], 0.1) == ([], [], [])  # blocks the loop: it cannot see the end
            serving = asyncio.create_task(asyncio.to_thread(serve_one))
            assert await ask(client, url) == (200, WHOLE)
            (await serving).close()

    own(work)


def test_connection__either_loop__sends_without_delay() -> None:
    async def work(client: Http1Client) -> None:
        async with upstream(GOOD) as server:
            response = await client.send(origin_of(server.url), "POST", "/x", [], b"", QUICK)
            with socket.socket(fileno=os.dup(response._descriptor)) as plain:
                assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            response.release()

    own(work)


def test_idle_connection__bytes_that_nobody_asked_for__not_taken_for_an_answer() -> None:
    evil = GOOD.replace(b"choices", b"hacked!")

    async def work(client: Http1Client) -> None:
        async with upstream(GOOD + evil) as server:
            for number in range(1, 4):
                assert await ask(client, server.url) == (200, WHOLE)
                assert server.connections == number

    own(work)


def test_keep_alive_header__shorter_than_ours__kept() -> None:
    brief = GOOD.replace(b"\r\n\r\n", b"\r\nkeep-alive: timeout=0\r\n\r\n")

    async def work(client: Http1Client) -> None:
        async with upstream(brief) as server:
            await ask(client, server.url)
            await ask(client, server.url)
            assert server.connections == 2

    own(work)


def test_connections__as_many_as_allowed__the_rest_waits_its_turn() -> None:
    most = 0

    async def work(client: Http1Client) -> None:
        async def slow(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
            nonlocal most
            most = max(most, server.open)
            await asyncio.sleep(0.01)
            writer.write(GOOD)

        async with upstream(slow) as server:
            answers = await asyncio.gather(*(ask(client, server.url, Timing()) for _ in range(20)))
            assert answers == [(200, WHOLE)] * 20
            assert most == server.connections == 3

    own(work, limit=3)


def test_connections__the_one_waiting_gives_up__the_others_go_on() -> None:
    async def work(client: Http1Client) -> None:
        go = asyncio.Event()

        async def held(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
            await go.wait()
            writer.write(GOOD)

        async with upstream(held) as server:
            tasks = [asyncio.create_task(ask(client, server.url, Timing())) for _ in range(4)]
            await eventually(lambda: len(server.heads) == 1)
            tasks[1].cancel()
            go.set()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(outcomes.pop(1), asyncio.CancelledError)
            assert outcomes == [(200, WHOLE)] * 3

    own(work, limit=1)


def test_idle_connections__nobody_asks__closed_after_a_while() -> None:
    async def work(client: Http1Client) -> None:
        async with upstream(GOOD) as server:
            await ask(client, server.url)
            await eventually(lambda: server.open == 0)
            assert client.open_connections == 0

    own(work, idle_s=0.2)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0"])
def test_address__link_local_or_unspecified__not_connected_to(host: str) -> None:
    async def work(client: Http1Client) -> None:
        with pytest.raises(TransportFailed) as caught:
            await ask(client, f"http://{host}:1/v1")
        assert caught.value.kind is Break.CONNECT

    own(work)


@pytest.mark.parametrize("kind", [Http1Client, AiohttpClient])
def test_address__of_a_name__outside_the_named_networks_not_connected_to(
    kind: type[Http1Client] | type[AiohttpClient],
) -> None:
    async def main() -> None:
        async with upstream(GOOD) as server:
            named = server.url.replace("127.0.0.1", "localhost")
            for network, allowed in (("10.1.0.0/16", False), ("127.0.0.0/8", True)):
                client = kind(allows=OutsideOnly([network]).allows)
                if allowed:
                    await ask(client, named)
                else:
                    with pytest.raises(TransportFailed) as caught:
                        await ask(client, named)
                    assert caught.value.kind is Break.CONNECT
                await client.close()
            assert server.connections == 1

    asyncio.run(main())


def self_signed(folder: Path) -> Path:
    """A key and certificate of 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upstream")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    found = folder / "upstream.pem"
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    found.write_bytes(key.private_bytes(*plain) + certificate.public_bytes(serialization.Encoding.PEM))
    return found


@pytest.mark.parametrize("trusted", [True, False])
def test_tls__certificate_trusted_or_not__answers_or_no_connection(tmp_path: Path, trusted: bool) -> None:
    pem = self_signed(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    calling = ssl.create_default_context(cafile=pem if trusted else None)

    async def work(client: Http1Client) -> None:
        async with upstream(GOOD, tls=serving) as server:
            if trusted:
                assert [await ask(client, server.url) for _ in range(3)] == [(200, WHOLE)] * 3
                assert server.connections == 1
            else:
                with pytest.raises(TransportFailed) as caught:
                    await ask(client, server.url)
                assert caught.value.kind is Break.CONNECT
                assert server.heads == []

    own(work, context=calling)
