"""The one HTTP connection pool that every upstream of a gateway shares."""

from __future__ import annotations

import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from bailiwick.backends.addresses import allowed_address

_CONNECTIONS_PER_UPSTREAM = 256
_IDLE_S = 4.0  # shorter than uvicorn's 5 s: a connection that the upstream is about to close is not picked up again


class UpstreamPool:
    """Made when first used, inside the running event loop. No proxies, no cookies, no redirects."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open session."""
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(
                limit=0,
                limit_per_host=_CONNECTIONS_PER_UPSTREAM,
                keepalive_timeout=_IDLE_S,
                resolver=_GuardedResolver(),
                ttl_dns_cache=30,
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=True
            )
        return self._session

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class _GuardedResolver(AbstractResolver):
    """The system's resolver, less the addresses that `allowed_address` refuses."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if allowed_address(result["host"])]
        if not allowed:
            raise OSError(f"{host!r} resolves to no address that may be called")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()
