"""A real receiver of webhooks on 127.0.0.1, which does what its script says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOOPBACK = "127.0.0.0/8"


@dataclass(frozen=True)
class Message:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Steps: a status such as ``200``, ``slow``, ``drip``, ``drop``, ``redirect:URL``; the last one repeats."""

    def __init__(self) -> None:
        self.script: Sequence[str] = ["200"]
        self.messages: list[Message] = []
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                step = receiver.script[min(len(receiver.messages), len(receiver.script) - 1)]
                receiver.messages.append(Message(self.path, headers, body))
                receiver.do(self, step)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook/path-is-secret"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def do(self, handler: BaseHTTPRequestHandler, step: str) -> None:
        if step == "slow":
            self.released.wait(60)
        if step == "drop":
            handler.connection.close()
            return
        if step == "drip":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
            while not self.released.wait(0.05):
                handler.wfile.write(b".")
            return
        kind, _, target = step.partition(":")
        handler.send_response(302 if kind == "redirect" else int(kind) if kind.isdigit() else 200)
        if kind == "redirect":
            handler.send_header("location", target)
        handler.send_header("content-length", "0")
        handler.end_headers()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, closed at the end."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def eventually(holds: Callable[[], bool], what: str = "it did not happen", within_s: float = 60.0) -> None:
    """Wait until something holds."""
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.05)
