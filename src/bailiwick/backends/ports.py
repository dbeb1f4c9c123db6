"""What every backend must do: answer a chat, whole or in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol


class Backend(Protocol):
    """Where an answer comes from. Bodies are OpenAI chat-completion objects, already parsed and validated."""

    async def chat(self, body: dict[str, Any], *, deadline_s: float) -> dict[str, Any]:
        """The whole answer, a ``chat.completion`` object.

        Raises:
            Unavailable: the model cannot be reached, failed, or did not answer within ``deadline_s`` seconds.
            InvalidInput: the model refused the request (an upstream's 4xx), with its words.
        """
        ...

    def stream(self, body: dict[str, Any], *, deadline_s: float) -> AsyncIterator[bytes]:
        """The answer as server-sent events, ``data: [DONE]`` last. Raises as `chat`, before or amid the events."""
        ...

    async def embed(self, body: dict[str, Any], *, deadline_s: float) -> dict[str, Any]:
        """An ``embeddings`` answer. Raises as `chat`."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...
