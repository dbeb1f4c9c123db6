"""The gateway's own HTTP client: for each origin a pool of `Connection`s, and addresses that are guarded."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence

from bailiwick.backends.http1 import Connection
from bailiwick.backends.origin import Header, Origin, request_bytes
from bailiwick.backends.ports import Break, Timing, TransportFailed
from bailiwick.network.addresses import allowed_address

CONNECTIONS_PER_ORIGIN = 256
IDLE_S = 4.0
"""Shorter than uvicorn's 5 s: a connection that the upstream is about to close is not picked up again."""

_NAMES_KEPT_S = 30.0
_Key = tuple[bool, str, int]


class Http1Client:
    """See `UpstreamClient`. Lives in the event loop that first sends with it; speaks no proxy's language.

    A request is never sent twice. A connection that was closed while it was idle is noticed before anything is sent.

    Args:
        limit: connections to one origin; further requests wait for their turn.
        idle_s: how long an idle connection is kept.
        context: which certificates are trusted; None: those of the system, or of ``SSL_CERT_FILE``.
        allows: whether a resolved IP address may be connected to.
    """

    def __init__(
        self,
        *,
        limit: int = CONNECTIONS_PER_ORIGIN,
        idle_s: float = IDLE_S,
        context: ssl.SSLContext | None = None,
        allows: Callable[[str], bool] = allowed_address,
    ) -> None:
        self._limit = limit
        self._idle_s = idle_s
        self._hubs: dict[_Key, _Hub] = {}
        self._names = _Names(allows)
        self._context = context

    async def send(
        self, origin: Origin, method: str, path: str, headers: Sequence[Header], body: bytes, timing: Timing
    ) -> Connection:
        """See `UpstreamClient.send`."""
        request = request_bytes(origin, method, path, headers, body)
        key = (origin.tls, origin.host, origin.port)
        hub = self._hubs.get(key)
        if hub is None:
            hub = self._hubs[key] = _Hub(self, origin)
        connection = hub.reusable() or await hub.opened(timing.connect_s)
        try:
            await connection.exchange(request, timing)
        except BaseException:
            connection.abort()
            raise
        return connection

    async def close(self) -> None:
        """Close every connection."""
        for hub in list(self._hubs.values()):
            hub.close()
        self._hubs.clear()
        await asyncio.sleep(0)  # the transports close in the loop's next round

    @property
    def open_connections(self) -> int:
        """Connections that stand or are being made."""
        return sum(hub.open for hub in self._hubs.values())

    async def connected(self, hub: _Hub, connect_s: float) -> Connection:
        """A new connection of a hub.

        Raises:
            TransportFailed: there is none within the time.
        """
        origin = hub.origin
        try:
            async with asyncio.timeout(connect_s):
                context = await self._tls() if origin.tls else None
                return await self._first(await self._names.addresses(origin.host, origin.port), hub, context)
        except TimeoutError as error:
            raise TransportFailed(Break.CONNECT, f"no connection within {connect_s:g} s") from error
        except (OSError, ValueError) as error:
            raise TransportFailed(Break.CONNECT, type(error).__name__) from error

    async def _first(self, addresses: Sequence[str], hub: _Hub, context: ssl.SSLContext | None) -> Connection:
        """A connection to the first address that takes one."""
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for address in addresses:
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, hub.take_back, hub.forget),
                    address,
                    hub.origin.port,
                    ssl=context,
                    server_hostname=hub.origin.host if context is not None else None,
                )
            except OSError as error:
                failure = error
            else:
                return connection
        raise failure or OSError("no address")

    async def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            context = await asyncio.to_thread(ssl.create_default_context)  # reads hundreds of certificates
            context.set_alpn_protocols(["http/1.1"])
            self._context = context
        return self._context

    @property
    def limit(self) -> int:
        """Connections per origin at most."""
        return self._limit

    @property
    def idle_s(self) -> float:
        """How long an idle connection is kept."""
        return self._idle_s


class AddressNotAllowed(OSError):
    """A name resolves to no address that may be called. Errors show the names of exceptions only, so it has its own."""


class _Names:
    """The system's resolver, less the addresses that are not allowed; answers are kept for a while."""

    def __init__(self, allows: Callable[[str], bool]) -> None:
        self._allows = allows
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses that may be called, in another order each time.

        Raises:
            OSError: the name is unknown.
            AddressNotAllowed: none of its addresses may be called.
        """
        loop = asyncio.get_running_loop()
        until_s, found = self._known.get((host, port), (0.0, []))
        if loop.time() >= until_s:
            answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            named = dict.fromkeys(str(answer[4][0]) for answer in answers)
            found = [address for address in named if self._allows(address)]
            if not found:
                raise AddressNotAllowed("the name resolves to no address that may be called")
            self._known[host, port] = (loop.time() + _NAMES_KEPT_S, found)
        else:
            found.append(found.pop(0))
        return list(found)


class _Hub:
    """The connections to one origin."""

    def __init__(self, client: Http1Client, origin: Origin) -> None:
        self.origin = origin
        self.open = 0
        self._client = client
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None

    def reusable(self) -> Connection | None:
        """The connection that was used last, if it still stands."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable(self._client.idle_s):
                return connection
            connection.abort()
        return None

    async def opened(self, connect_s: float) -> Connection:
        """A new connection, or an old one when as many as are allowed are busy and one becomes free."""
        while self.open >= self._client.limit:
            await self._turn()
            connection = self.reusable()
            if connection is not None:
                return connection
        self.open += 1
        try:
            connection = await self._client.connected(self, connect_s)
            if connection.ended:  # between its beginning and now
                raise TransportFailed(Break.CONNECT, "the connection ended at once")
        except BaseException:
            self._closed_one()
            raise
        self._all.add(connection)
        return connection

    def take_back(self, connection: Connection) -> None:
        """A connection is idle again."""
        self._idle.append(connection)
        self._next_turn()
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self._client.idle_s, self._sweep_idle)

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        if connection in self._idle:
            self._idle.remove(connection)
        if connection in self._all:
            self._all.remove(connection)
            self._closed_one()

    def close(self) -> None:
        """Close every connection."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connection in tuple(self._all):
            connection.abort()

    def _closed_one(self) -> None:
        self.open -= 1
        self._next_turn()

    def _sweep_idle(self) -> None:
        self._sweep = None
        idle, self._idle = self._idle, []
        for connection in idle:
            if connection.usable(self._client.idle_s):
                self._idle.append(connection)
            else:
                connection.abort()
        if self._idle:
            self._sweep = asyncio.get_running_loop().call_later(self._client.idle_s / 2, self._sweep_idle)

    async def _turn(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._next_turn()  # the turn of one who has left is the next one's
            else:
                self._waiting.remove(waiter)
            raise

    def _next_turn(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
