"""What keeps answers for several gateways."""

from __future__ import annotations

from typing import Protocol


class SharedAnswers(Protocol):
    """Bytes by key, for every gateway over the same server. Losing any or all of them costs time and no answer."""

    async def get(self, key: bytes) -> bytes | None:
        """The bytes; None where there are none, or where the server is away or slow. Never raises, never waits long."""
        ...

    def put(self, key: bytes, value: bytes, ttl_s: float) -> None:
        """Keep bytes for so long, in the background; dropped and counted where that is not possible."""
        ...

    async def close(self) -> None:
        """Give up what is under way, and the connections."""
        ...
