"""Clients that dribble, lie, flood and leave, against a real server: it answers others meanwhile, and keeps nothing."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Fleet, ServerProcess, Upstream, serving

BODY = json.dumps({"model": "cards", "messages": [{"role": "user", "content": "my card was stolen"}]}).encode()
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
REQUEST = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
LIMITS = {
    "BAILIWICK_KEEP_ALIVE_S": "2",
    "BAILIWICK_HEAD_TIMEOUT_S": "1.0",
    "BAILIWICK_BODY_TIMEOUT_S": "1.5",
    "BAILIWICK_STALL_TIMEOUT_S": "1.0",
    "BAILIWICK_MAX_CONNECTIONS": "60",
    "BAILIWICK_MAX_BODY_BYTES": "65536",
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[ServerProcess]:
    fleet = Fleet(tmp_path_factory.mktemp("hostile"))
    fleet.upstream("far", upstream.url, timeout_s=60.0)
    with serving(fleet.home, LIMITS) as running:
        yield running


class Talk:
    """One raw connection."""

    def __init__(self, server: ServerProcess) -> None:
        host, _, port = server.url.removeprefix("http://").partition(":")
        self.socket = socket.create_connection((host, int(port)), 20)

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Whether the server still took it."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def all(self) -> bytes:
        """Everything until the server closes."""
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := self.socket.recv(65_536):
                received += piece
        return received

    def answer(self) -> tuple[int, bytes]:
        """The next answer with a length: its status and body."""
        received = b""
        while b"\r\n\r\n" not in received:
            piece = self.socket.recv(1)
            assert piece, received
            received += piece
        length = int(re.search(rb"content-length: (\d+)", received.lower())[1])  # type: ignore[index]
        body = b""
        while len(body) < length:
            body += self.socket.recv(length - len(body))
        return status_of(received), body


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    assert found, answer[:200]
    return int(found[1])


def is_well(server: ServerProcess) -> bool:
    request = urllib.request.Request(f"{server.url}/v1/chat/completions", BODY)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return bool(json.load(answer)["choices"][0]["message"]["content"] == "lost_card")


def sockets(server: ServerProcess) -> int:
    """What it has open to others; files come and go with its work in the background."""
    found = 0
    for each in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += str(each.readlink()).startswith("socket:")
    return found


def resident_mib(server: ServerProcess) -> float:
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def nothing_left(server: ServerProcess) -> Iterator[None]:
    """Whatever a test does, the server is well afterwards and has no more open than before."""
    assert is_well(server)
    before = sockets(server)
    yield
    assert is_well(server)
    eventually(lambda: sockets(server) <= before + 2)
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=20) as answer:
        assert "bailiwick_gateway_in_flight_requests 0" in answer.read().decode()


def test_head__dribbles__408_while_others_are_answered(server: ServerProcess) -> None:
    with Talk(server) as slow, Talk(server) as mute:
        began = time.monotonic()
        slow.send(b"GET / HTTP/1.1\r\nx-slow: ")
        while slow.send(b"e"):
            assert time.monotonic() - began < 15, "it is never cut off"
            assert is_well(server)
            time.sleep(0.2)
        assert mute.all() == b"", "who never says anything gets nothing"
    with Talk(server) as slow:
        slow.send(HEAD + b"x-slow: ")
        answer = slow.all()
        assert status_of(answer) == 408
        assert b'"code":"request_timeout"' in answer


def test_body__dribbles__408_or_closed(server: ServerProcess) -> None:
    with Talk(server) as slow:
        slow.send(HEAD + b"content-length: 1000\r\n\r\n")
        began = time.monotonic()
        while slow.send(b"{"):
            assert time.monotonic() - began < 15, "it is never cut off"
            time.sleep(0.2)
        assert is_well(server)


@pytest.mark.parametrize("head", [HEAD + b"x-long: " + b"a" * 300_000, HEAD + b"x: y\r\n" * 60_000])
def test_head__endless__431(server: ServerProcess, head: bytes) -> None:
    with Talk(server) as talk:
        talk.send(head)
        answer = talk.all()
        assert not answer or status_of(answer) == 431, answer[:100]


def test_body__larger_than_the_limit__413_and_not_kept(server: ServerProcess) -> None:
    before = resident_mib(server)
    for head in (b"content-length: %d\r\n\r\n" % (1 << 40), b"transfer-encoding: chunked\r\n\r\n"):
        with Talk(server) as talk:
            assert talk.send(HEAD + head)
            chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
            sent = 0
            while sent < 400 and talk.send(chunk):
                sent += 1
            with contextlib.suppress(TimeoutError):
                answer = talk.all()
                assert not answer or status_of(answer) == 413, answer[:100]
    assert resident_mib(server) < before + 30


@pytest.mark.parametrize(
    "framing",
    [
        b"content-length: -1\r\n\r\n",
        b"content-length: 1, 2\r\n\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"content-length: 99999999999999999999999\r\n\r\n",
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"transfer-encoding: chunked\r\n\r\n+5\r\nabcde\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n5;" + b"e" * 100_000,
        b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"t: x\r\n" * 50_000,
        b"upgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 0\r\n\r\n",
        b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n",
        b"x: \xff\xfe\x80\r\n\0: \r\n\r\n",
    ],
    ids=range(14),
)
def test_framing__that_lies__no_5xx_and_no_hang(server: ServerProcess, framing: bytes) -> None:
    with Talk(server) as talk:
        talk.send(HEAD + framing)
        answer = talk.all()
        assert not answer or 100 <= status_of(answer) < 500, answer[:200]
        assert b"HTTP/1.1 5" not in answer


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        (b"content-type: text/plain\r\n", BODY, 200),
        (b"content-type: multipart/form-data; boundary=x\r\n", b"--x--", 400),
        (b"content-type: application/json; charset=utf-16\r\n", BODY.decode().encode("utf-16"), 400),
        (b"content-encoding: gzip\r\n", b"\x1f\x8b\x08" + b"\0" * 20, 400),
        (b"", b"\xef\xbb\xbf" + BODY, 400),
        (b"", BODY.replace(b"stolen", b"stol\xe9n"), 400),
        (b"", BODY.replace(b"stolen", b"\\ud800"), 400),
        (b"", BODY.replace(b"stolen", b"\\u0000\\u0000"), 200),
        (b"", BODY.replace(b'"model"', b'"temperature": 1e400, "model"'), 400),
        (b"", BODY.replace(b'"model"', b'"seed": ' + b"9" * 5_000 + b', "model"'), 400),
        (b"", BODY.replace(b'"model"', b'"x": NaN, "model"'), 400),
        (b"", b"[" * 60_000, 400),
        (b"", b"", 400),
    ],
    ids=range(13),
)
def test_body__of_a_wrong_kind__answered_in_openais_shape(
    server: ServerProcess, headers: bytes, body: bytes, expected: int
) -> None:
    with Talk(server) as talk:
        talk.send(HEAD + headers + b"content-length: %d\r\n\r\n" % len(body) + body)
        status, document = talk.answer()
        assert status == expected, document
        if status != 200:
            assert set(json.loads(document)["error"]) == {"message", "type", "param", "code"}


def test_pipelining__many_requests_at_once__answered_in_order(server: ServerProcess) -> None:
    with Talk(server) as talk:
        many = [REQUEST.replace(b"host: x", b"host: x\r\nx-request-id: r%d" % number) for number in range(40)]
        talk.send(b"".join(many))
        seen = [json.loads(talk.answer()[1])["id"] for _ in many]
        assert seen == [f"chatcmpl-r{number}" for number in range(40)]


def test_clients__that_leave_at_every_point__leave_nothing(server: ServerProcess, upstream: Upstream) -> None:
    upstream.will("forever")
    streaming = BODY.replace(b'"cards"', b'"far", "stream": true')
    stream = HEAD + b"content-length: %d\r\n\r\n" % len(streaming) + streaming
    for cut in (1, 10, len(HEAD), len(stream) - 1, len(stream)):
        for _ in range(8):
            with Talk(server) as talk:
                talk.send(stream[:cut])
                if cut == len(stream):
                    assert b"200 OK" in talk.socket.recv(100)


def test_reader__that_stalls__is_cut_off(server: ServerProcess, upstream: Upstream) -> None:
    upstream.will("flood")
    asked = BODY.replace(b'"cards"', b'"far", "stream": true')
    with Talk(server) as talk:
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        talk.send(HEAD + b"content-length: %d\r\n\r\n" % len(asked) + asked)
        assert upstream.left.wait(30), "the upstream is let go, though the client never left"
        assert is_well(server)


def test_connections__too_many__503_and_soon_well_again(server: ServerProcess) -> None:
    held = [Talk(server) for _ in range(80)]
    try:
        eventually(lambda: any(_refused(talk) for talk in held[-30:]), 10)
    finally:
        for talk in held:
            talk.socket.close()
    eventually(lambda: sockets(server) < 60)


def _refused(talk: Talk) -> bool:
    talk.socket.settimeout(0.2)
    try:
        answer = talk.socket.recv(4_096)
    except (TimeoutError, ConnectionResetError):
        return False
    assert not answer or (status_of(answer) == 503 and b"x-should-retry: true" in answer)
    return bool(answer)


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A good request, or two, with a few bytes changed, removed or put in."""
    raw = REQUEST * draw(st.integers(1, 2))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        put_in = draw(
            st.sampled_from([b"", b"\r\n", b"\0", b"\xff", b" ", b":", b"\r", b"\n\n"]) | st.binary(max_size=4)
        )
        raw = raw[:at] + put_in + raw[at + draw(st.integers(0, 3)) :]
    return raw


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(mangled())
def test_request__mangled__no_5xx(server: ServerProcess, raw: bytes) -> None:
    with Talk(server) as talk:
        talk.send(raw)
        talk.socket.shutdown(socket.SHUT_WR)
        answer = talk.all()
        assert b"HTTP/1.1 5" not in answer, answer
