"""A small fleet in a home folder, real server processes over it, and an upstream that misbehaves on request."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from bailiwick.cli.serve import bound_socket
from bailiwick.domains.model import Backend, Domain, Example
from bailiwick.governance.audit import Actor
from bailiwick.models.catalogue import family
from bailiwick.models.model import LabelledText
from bailiwick.platform import Platform
from bailiwick.settings import Settings

ADA = Actor("ada")
TEXTS = {
    "cards": {
        "lost_card": ["I lost my card", "my card was stolen", "block my lost card now", "someone took my card"],
        "card_arrival": ["where is my new card", "when does my card arrive", "my card has not come", "track my card"],
        "card_fee": ["why was I charged a card fee", "card fee too high", "what does the card cost", "fee on card"],
    },
    "loans": {
        "apply_loan": ["I want a loan", "apply for a mortgage", "how do I get a loan", "borrow money for a house"],
        "loan_rate": ["what is the loan interest rate", "mortgage rate today", "is the loan rate fixed", "loan apr"],
        "repay_loan": ["repay my loan early", "pay off the mortgage", "loan instalment due", "settle the loan"],
    },
}
KEYWORDS = {"cards": ("card", "stolen"), "loans": ("loan", "mortgage", "borrow")}

_QUICK = {"BAILIWICK_RELOAD_INTERVAL_S": "0.1", "BAILIWICK_DRAIN_NOTICE_S": "0"}
_BACKEND_FIELDS = ("timeout_s", "retries", "api_key_env", "weights", "breaker_failures")


class Fleet:
    """Domains and versions in a home folder.

    `cards` and `loans` are local with one version deployed each; `cards` is the default.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.platform = Platform(Settings(home=home))
        self.versions: dict[str, list[str]] = {"cards": [], "loans": []}
        for name, labels in TEXTS.items():
            examples = tuple(Example(text, label) for label, texts in labels.items() for text in texts)
            self.create(Domain(name, name.title(), f"agent-{name}", keywords=KEYWORDS[name], examples=examples))
            self.shift(name, {self.train(name): 10_000})
        self.platform.domains.set_default("cards", ADA)

    def create(self, domain: Domain) -> None:
        self.platform.domains.create(domain, ADA, activate=True)

    def train(self, domain: str) -> str:
        """Train and register one more version."""
        examples = [LabelledText(text, label) for label, texts in TEXTS[domain].items() for text in texts]
        model = family().train(examples, (), seed=len(self.versions[domain]))
        registry = self.platform.registry
        artefact = registry.store_model(model)
        with self.platform.database.write() as connection:
            version = registry.register(connection, ADA, domain=domain, family=model.card.family, artefact=artefact)
        self.versions[domain].append(version.id)
        return version.id

    def shift(self, domain: str, weights: dict[str, int]) -> None:
        with self.platform.traffic.changing() as connection:
            self.platform.traffic.change(connection, domain, weights, actor=ADA)

    def upstream(self, name: str, base_url: str | tuple[str, ...], **fields: Any) -> None:
        """Add a domain that is served elsewhere."""
        known = {key: fields.pop(key) for key in _BACKEND_FIELDS if key in fields}
        backend = Backend("openai-compatible", base_url=base_url, model="upstream-model", **known)
        self.create(Domain(name, name.title(), f"agent-{name}", backend=backend, **fields))


class ServerProcess:
    """`bailiwick serve --port 0` as a process of its own."""

    def __init__(self, home: Path, environment: dict[str, str] | None = None) -> None:
        source = Path(__file__).resolve().parents[1] / "src"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bailiwick", "--home", str(home), "--json", "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(source), **_QUICK, **(environment or {})},
            text=True,
        )
        assert self.process.stdout is not None
        lines = iter(self.process.stdout.readline, "")
        document = "".join(line for line in _until(lines, "}\n"))
        assert document, self.process.communicate()[1]
        self.url: str = json.loads(document)["url"]
        self._drain = threading.Thread(target=self._read_errors, daemon=True)
        self.errors: list[str] = []
        self._drain.start()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _until(lines: Iterator[str], last: str) -> Iterator[str]:
    for line in lines:
        yield line
        if line == last:
            return


@contextmanager
def serving(home: Path, environment: dict[str, str] | None = None) -> Iterator[ServerProcess]:
    """A server over a home folder, stopped at the end."""
    server = ServerProcess(home, environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.terminate()


CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n'
)
WHOLE = {
    "id": "up-1",
    "object": "chat.completion",
    "created": 1,
    "model": "upstream-model",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


OVERLOADED = {"message": "the engine is overloaded", "type": "server_error", "param": None, "code": None}
TOO_LONG = {
    "message": "maximum context length is 4096 tokens",
    "type": "invalid_request_error",
    "param": "messages",
    "code": "context_length_exceeded",
}


class Upstream:
    """An OpenAI-compatible server that does what its script says, one step per request; the last step repeats.

    Steps: a status such as ``503``, or ``ok``, ``slow``, ``html``, ``drop``, ``malformed``, ``early``, ``forever``,
    ``flood``, ``drip``, ``complains`` (with 200), ``length`` (a 400 with its code).
    """

    def __init__(self) -> None:
        self.script: Sequence[str] = ["ok"]
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[bytes, bytes]] = []
        self.left = threading.Event()
        self._socket = bound_socket("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._server = uvicorn.Server(
            uvicorn.Config(self._answer, interface="asgi3", log_level="critical", lifespan="off")
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()

    def will(self, *script: str) -> None:
        """Set the script, forget what was asked before."""
        self.script, self.bodies, self.headers = script, [], []
        self.left.clear()

    def close(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        self._socket.close()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        raw, more = b"", True
        while more:
            message = await receive()
            raw += message.get("body", b"")
            more = message.get("more_body", False)
        step = self.script[min(len(self.bodies), len(self.script) - 1)]
        self.headers.append(dict(scope["headers"]))
        self.bodies.append(json.loads(raw))
        if step.isdigit():
            error = json.dumps({"error": {"message": f"scripted {step} key=sk-secret"}}).encode()
            await _respond(send, int(step), b"application/json", error)
        elif step == "length":
            await _respond(send, 400, b"application/json", json.dumps({"error": TOO_LONG}).encode())
        elif step == "complains" and not self.bodies[-1].get("stream"):
            await _respond(send, 200, b"application/json", json.dumps({"error": OVERLOADED}).encode())
        elif step == "html":
            await _respond(send, 200, b"text/html", b"<html>busy</html>")
        elif step == "slow":
            await asyncio.sleep(3)
            await _respond(send, 200, b"application/json", json.dumps(WHOLE).encode())
        elif self.bodies[-1].get("stream"):
            await self._stream(step, receive, send)
        else:
            await _respond(send, 200, b"application/json", json.dumps(WHOLE).encode())

    async def _stream(self, step: str, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
        await send(start)
        for word in (b"hel", b"lo"):
            await send({"type": "http.response.body", "body": CHUNK % word, "more_body": True})
        if step == "drop":
            raise RuntimeError("dropped")
        if step == "complains":
            body = b"data: " + json.dumps({"error": OVERLOADED}).encode() + b"\n\ndata: [DONE]\n\n"
            await send({"type": "http.response.body", "body": body, "more_body": True})
        if step == "malformed":
            await send({"type": "http.response.body", "body": b"data: {nonsense\n\n", "more_body": True})
        if step == "forever":
            leaving = asyncio.ensure_future(receive())
            while not leaving.done():
                await send({"type": "http.response.body", "body": CHUNK % b".", "more_body": True})
                await asyncio.wait({leaving}, timeout=0.05)
            self.left.set()
        if step == "flood":
            leaving = asyncio.ensure_future(receive())
            while not leaving.done():
                await send({"type": "http.response.body", "body": CHUNK % (b"x" * 50_000), "more_body": True})
                await asyncio.sleep(0)
            self.left.set()
        if step == "drip":
            for _ in range(20):
                await send({"type": "http.response.body", "body": CHUNK % b".", "more_body": True})
                await asyncio.sleep(0.05)
        if step in ("ok", "drip"):
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _respond(send: Any, status: int, kind: bytes, body: bytes) -> None:
    length = str(len(body)).encode()
    headers = [(b"content-type", kind), (b"content-length", length)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
