"""What every backend must do: answer a call, whole or in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from bailiwick.backends.model import Call


class Backend(Protocol):
    """Where an answer comes from. One backend serves one version of one domain; safe for concurrent calls."""

    @property
    def in_process(self) -> bool:
        """Answers at once, without waiting for anything outside this process."""
        ...

    async def answer(self, call: Call) -> dict[str, Any]:
        """The whole answer: a ``chat.completion``, ``text_completion`` or ``list`` of embeddings.

        Raises:
            UpstreamFailed: the model cannot be reached, failed, or did not answer within the call's deadline.
            InvalidInput: the model refused the request, with its words.
        """
        ...

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The answer as complete server-sent events, ``data: [DONE]`` last; several may come in one piece.

        Closing the iterator gives up the call. Raises as `answer`, before or amid the events.
        """
        ...
