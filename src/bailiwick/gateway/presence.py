"""Whether the client of a connection is still there, told without a task that waits for it."""

from __future__ import annotations

from collections.abc import Callable

PRESENCE = "bailiwick.presence"
"""The key of a request's `Presence` among the extensions of its ASGI scope; other servers do not have it."""


class Presence:
    """The client of one connection. One request at a time asks to be told."""

    __slots__ = ("_tell", "left")

    def __init__(self) -> None:
        self.left = False
        self._tell: Callable[[], object] | None = None

    def tell(self, told: Callable[[], object] | None) -> None:
        """Call this when the client leaves; None: nobody any more."""
        self._tell = told

    def leave(self) -> None:
        """The client has left."""
        self.left = True
        if self._tell is not None:
            self._tell()
