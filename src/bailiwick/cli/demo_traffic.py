"""The demo's live part: a real server in a process of its own, and queries over HTTP."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from bailiwick.datasets.model import Row
from bailiwick.errors import Unavailable

_START_S = 60.0
_LOOK_S = 0.5
_ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One query and what came back. ``latency_ms`` is what the client saw."""

    query: Row
    domain: str
    version: str
    text: str
    latency_ms: float


class LiveServer:
    """`bailiwick serve` as a child process.

    Args:
        arguments: root options that lead to the same state.
        log: where its output goes.
        host: address to listen on.
        port: port to listen on; a free one is taken when it is in use.
    """

    def __init__(self, arguments: Sequence[str], log: Path, host: str, port: int) -> None:
        self.base = f"http://{host}:{_usable(host, port)}"
        command = [sys.executable, "-m", "bailiwick", *arguments, "serve", "--host", host, "--port"]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603  (our own program, no shell)
                [*command, self.base.rsplit(":", 1)[1]], stdout=output, stderr=subprocess.STDOUT
            )
        self._log = log

    def wait_until_ready(self) -> None:
        """Return when queries are answered.

        Raises:
            Unavailable: the server ended, or did not answer in a minute; its last words are quoted.
        """
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.base}/readyz", timeout=1):  # noqa: S310  (our own server)
                    return
            except OSError:
                time.sleep(0.1)
        words = self._log.read_text("utf-8", errors="replace").strip().splitlines()[-3:]
        raise Unavailable("the server did not start: " + " ".join(words), what="serve", where=str(self._log))

    def ask(self, query: Row, user: str, model: str = "auto") -> Answer:
        """Send one query as a user.

        Raises:
            Unavailable: the server did not answer it.
        """
        body = {"model": model, "user": user, "messages": [{"role": "user", "content": query.text}]}
        request = urllib.request.Request(  # noqa: S310  (our own server)
            f"{self.base}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        start = time.perf_counter()
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_S) as response:  # noqa: S310  (our own server)
                answer: dict[str, Any] = json.load(response)
                headers = response.headers
        except URLError as error:
            said = error.read().decode("utf-8", "replace") if isinstance(error, HTTPError) else str(error.reason)
            raise Unavailable(
                f"the query {query.text!r} got no answer: {said[:300]}", what="serve", where=str(self._log)
            ) from error
        return Answer(
            query,
            headers["x-bailiwick-domain"],
            headers["x-bailiwick-version"],
            answer["choices"][0]["message"]["content"],
            (time.perf_counter() - start) * 1000,
        )

    def wait(self, interrupted: Callable[[], bool]) -> None:
        """Block until the server ends by itself.

        Raises:
            KeyboardInterrupt: somebody interrupted meanwhile, or before.
        """
        while self._process.poll() is None:
            if interrupted():
                raise KeyboardInterrupt
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK_S)

    def stop(self) -> None:
        """Ask the server to finish what it is doing and end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_START_S)
            except BaseException:  # it hangs, or Ctrl-C once more: nobody wants to wait
                self._process.kill()
                raise


def _usable(host: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            probe.bind((host, 0))
        chosen: int = probe.getsockname()[1]
        return chosen
