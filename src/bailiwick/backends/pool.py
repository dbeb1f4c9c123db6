"""The one HTTP connection pool that every upstream of a gateway shares."""

from __future__ import annotations

import aiohttp

from bailiwick.network.addresses import allowed_address
from bailiwick.network.resolver import GuardedResolver

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
                resolver=GuardedResolver(allowed_address),
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
