"""aiohttp as the client of upstreams: for proxies, compressed answers, and servers that `Http1Client` finds too odd."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import aiohttp

from bailiwick.backends.connections import CONNECTIONS_PER_ORIGIN, IDLE_S
from bailiwick.backends.origin import Header, Origin
from bailiwick.backends.ports import Break, Timing, TransportFailed
from bailiwick.network.addresses import allowed_address
from bailiwick.network.resolver import GuardedResolver


class AiohttpClient:
    """See `UpstreamClient`.

    Args:
        proxy: address of an HTTP proxy that every request goes through; it resolves the upstreams' names then, so which
            addresses may be called is up to it.
        allows: whether a resolved IP address may be connected to.
    """

    def __init__(self, *, proxy: str | None = None, allows: Callable[[str], bool] = allowed_address) -> None:
        self._proxy = proxy
        self._allows = allows
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, origin: Origin, method: str, path: str, headers: Sequence[Header], body: bytes, timing: Timing
    ) -> AiohttpResponse:
        """See `UpstreamClient.send`."""
        timeout = aiohttp.ClientTimeout(sock_connect=timing.connect_s, sock_read=timing.first_byte_s)
        try:
            response = await self._open_session().request(
                method,
                origin.url(path),
                data=body or None,
                headers=list(headers),
                timeout=timeout,
                allow_redirects=False,
                proxy=self._proxy,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise TransportFailed(Break.CONNECT, type(error).__name__) from error
        except aiohttp.ServerTimeoutError as error:
            raise TransportFailed(Break.SILENT, f"silent for {timing.first_byte_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportFailed(Break.BROKEN, type(error).__name__) from error
        return AiohttpResponse(response)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open_session(self) -> aiohttp.ClientSession:
        """Made when first used, inside the running event loop."""
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(
                limit=0,
                limit_per_host=CONNECTIONS_PER_ORIGIN,
                keepalive_timeout=IDLE_S,
                resolver=None if self._proxy else GuardedResolver(self._allows),
                ttl_dns_cache=30,
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=True
            )
        return self._session


class AiohttpResponse:
    """See `UpstreamResponse`."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str | None:
        """A header of the answer. The body's encoding is undone, so it is not told."""
        return None if name == "content-encoding" else self._response.headers.get(name)

    async def piece(self) -> bytes:
        """What has come of the body since the last piece."""
        try:
            return await self._response.content.readany()
        except aiohttp.ServerTimeoutError as error:
            raise TransportFailed(Break.SILENT, "the answer does not go on") from error
        except (aiohttp.ClientError, OSError) as error:
            raise TransportFailed(Break.BROKEN, type(error).__name__) from error

    def release(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()
