"""The system's resolver, less the addresses that may not be connected to."""

from __future__ import annotations

import socket
from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult


class GuardedResolver(AbstractResolver):
    """Checking what a name resolves to, and connecting to just that, leaves no gap in which it can change.

    Args:
        allows: whether a resolved IP address may be connected to. A host that is an address is not asked about here:
            check it before.
    """

    def __init__(self, allows: Callable[[str], bool]) -> None:
        self._allows = allows
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The allowed addresses of a host.

        Raises:
            OSError: it has none.
        """
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if self._allows(result["host"])]
        if not allowed:
            raise OSError(f"{host!r} resolves to no address that may be called")
        return allowed

    async def close(self) -> None:
        """Nothing is kept."""
        await self._resolver.close()
