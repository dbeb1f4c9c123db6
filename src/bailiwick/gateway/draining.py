"""A server that says it is leaving before it leaves, so that no request is sent to a closed door."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import FrameType

import uvicorn

_BUSY_S = 10.0
_CLOSE = (b"connection", b"close")


class DrainingServer(uvicorn.Server):
    """uvicorn's server with a notice before it closes its door.

    On the first SIGTERM or SIGINT readiness changes and every answer carries ``connection: close``, while connections
    are still accepted: balancers and clients go elsewhere. When the notice is over, or at once where no request has
    come for ten seconds, the door is closed and what runs is finished. A second signal ends the notice.

    Args:
        config: of uvicorn.
        notice_s: length of the notice.
        announce: told when it begins.
    """

    def __init__(self, config: uvicorn.Config, notice_s: float, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._notice_s = notice_s
        self._announce = announce
        self._closes_at: float | None = None
        self._served = (0, 0.0)
        """How many requests had been answered, and when that last changed."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come."""
        if self._closes_at is not None or self.should_exit:
            super().handle_exit(sig, frame)
            return
        busy = self.server_state.tasks or time.monotonic() - self._served[1] < _BUSY_S
        self._closes_at = time.monotonic() + (self._notice_s if busy else 0.0)
        self._captured_signals.append(sig)
        self._announce()
        self.config.encoded_headers.append(_CLOSE)
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]

    async def on_tick(self, counter: int) -> bool:
        """Look ten times a second whether it is time to close."""
        total = self.server_state.total_requests
        if total != self._served[0]:
            self._served = (total, time.monotonic())
        if self._closes_at is not None and time.monotonic() >= self._closes_at:
            self.should_exit = True
        return await super().on_tick(counter)
