"""One JSON line per finished request, without any text of it unless asked for, written by a thread of its own."""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import orjson

from bailiwick.clock import Clock
from bailiwick.errors import InvalidInput
from bailiwick.gateway.model import Finished
from bailiwick.metrics.prometheus import Family, Sample

_log = logging.getLogger(__name__)
_EVERY_S = 0.2
_MOST_WAITING = 100_000
_MOST_WAITING_WITH_PROMPTS = 1_000
_PROMPT_CHARACTERS = 10_000


class AccessLog:
    """Appends lines. The request that is logged never waits; what cannot be written is dropped and counted.

    Args:
        target: a file, or ``-`` for standard output.
        clock: when requests finished.
        with_prompts: lines hold what the user asked, too.

    Raises:
        InvalidInput: the file cannot be opened.
    """

    def __init__(self, target: str, clock: Clock, *, with_prompts: bool = False) -> None:
        self._target = target
        self._with_prompts = with_prompts
        self._most_waiting = _MOST_WAITING_WITH_PROMPTS if with_prompts else _MOST_WAITING
        self._clock = clock
        self._lines: deque[bytes] = deque()
        self._stop = threading.Event()
        self.dropped = 0
        if target != "-":
            try:
                with Path(target).open("ab"):
                    pass
            except OSError as error:
                raise InvalidInput(f"the access log cannot be written: {error}", what="access_log") from error
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def __call__(self, finished: Finished) -> None:
        """Log one request."""
        if len(self._lines) >= self._most_waiting:
            self.dropped += 1
            return
        line = line_of(finished, self._clock.now().isoformat())
        if self._with_prompts and finished.text:
            line["prompt"] = finished.text[:_PROMPT_CHARACTERS]
        self._lines.append(orjson.dumps(line) + b"\n")

    def families(self) -> list[Family]:
        """For Prometheus."""
        return [
            Family(
                "bailiwick_access_log_dropped_total",
                "counter",
                "Lines of the access log that could not be written.",
                [Sample(self.dropped, {})],
            )
        ]

    def close(self) -> None:
        """Write what waits, and end."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self._write()
        self._write()

    def _write(self) -> None:
        if not self._lines:
            return
        batch = [self._lines.popleft() for _ in range(len(self._lines))]
        try:
            # opened each time, so that a rotated file is let go
            with nullcontext(sys.stdout.buffer) if self._target == "-" else Path(self._target).open("ab") as file:
                file.write(b"".join(batch))
                file.flush()
        except (OSError, ValueError) as error:
            self.dropped += len(batch)
            _log.warning("%d lines of the access log are lost: %s", len(batch), error)


def line_of(finished: Finished, at: str) -> dict[str, Any]:
    """The line as an object; what is not known is left out."""
    line = {
        "at": at,
        "request_id": finished.request_id,
        "operation": finished.operation.value,
        "model": finished.model,
        "domain": finished.domain,
        "version": finished.version,
        "route": finished.route,
        "key": finished.key,
        "status": finished.status,
        "cache": finished.cache,
        "duration_ms": round(finished.seconds * 1000, 3),
        "stream": finished.stream,
        "time_to_first_token_ms": None if finished.first_token_s is None else round(finished.first_token_s * 1000, 3),
        "prompt_tokens": finished.prompt_tokens,
        "completion_tokens": finished.completion_tokens,
    }
    return {name: value for name, value in line.items() if value not in (None, "")}
