"""What every backend must do: answer a call, whole or in pieces. And what carries requests to upstreams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bailiwick.backends.model import Call
from bailiwick.backends.origin import Header, Origin


class Backend(Protocol):
    """Where an answer comes from. One backend serves one version of one domain; safe for concurrent calls."""

    @property
    def in_process(self) -> bool:
        """Answers at once, without waiting for anything outside this process."""
        ...

    async def answer(self, call: Call) -> dict[str, Any]:
        """The whole answer: a ``chat.completion``, ``text_completion``, ``response`` or ``list`` of embeddings.

        Raises:
            UpstreamFailed: the model cannot be reached, failed, or did not answer within the call's deadline.
            InvalidInput: the model refused the request, with its words.
        """
        ...

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The answer as complete server-sent events, the closing event last; several may come in one piece.

        Closing the iterator gives up the call. Raises as `answer`, before or amid the events.
        """
        ...


@runtime_checkable
class Classifying(Protocol):
    """A backend in this process that says, beside its answers, how likely each of its labels is."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What it tells apart, in the order of the probabilities."""
        ...

    async def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated, shape ``(len(texts), len(labels))``; rows sum to 1.

        Raises:
            InvalidInput: the texts are too long.
        """
        ...


class Break(StrEnum):
    """How an exchange with an upstream broke."""

    CONNECT = "connect"
    """No connection could be made: nothing was sent."""
    SILENT = "silent"
    """Nothing came for too long."""
    BROKEN = "broken"
    """The connection ended, or what came is not HTTP."""


class TransportFailed(Exception):
    """An exchange broke; a backend says what that means for the call.

    Args:
        kind: how.
        words: why, without secrets.
    """

    def __init__(self, kind: Break, words: str) -> None:
        super().__init__(words)
        self.kind = kind
        self.words = words


@dataclass(frozen=True, slots=True)
class Timing:
    """How long an exchange may wait, in seconds. The whole of it is bounded by whoever awaits it.

    Args:
        connect_s: for a connection, name resolution and TLS included.
        first_byte_s: from the request to the answer's head.
        silence_s: between two pieces of the body.
    """

    connect_s: float = 5.0
    first_byte_s: float = 30.0
    silence_s: float = 30.0


class UpstreamResponse(Protocol):
    """An answer whose head has come. Whoever has it must `release` it, whatever happens."""

    @property
    def status(self) -> int:
        """The HTTP status, 200 to 599."""
        ...

    def header(self, name: str) -> str | None:
        """A header's value; ``name`` in lower case."""
        ...

    async def piece(self) -> bytes:
        """What has come of the body since the last piece; empty at its end.

        Raises:
            TransportFailed: SILENT or BROKEN.
        """
        ...

    def release(self) -> None:
        """Give the connection back if the answer was read to its end, else close it at once."""
        ...


class UpstreamClient(Protocol):
    """Sends HTTP requests over connections that it keeps. No redirects, no cookies, no link-local addresses."""

    async def send(
        self, origin: Origin, method: str, path: str, headers: Sequence[Header], body: bytes, timing: Timing
    ) -> UpstreamResponse:
        """Send one request once, and wait for the head of its answer. Cancelling it closes its connection.

        Raises:
            TransportFailed: there is no answer.
            ValueError: a header cannot be sent.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
