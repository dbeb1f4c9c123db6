"""Serve the control plane and the gateway in one process."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import signal
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Any

import typer
import uvicorn

from bailiwick.api.app import create_api
from bailiwick.cli.console import err, out, print_json
from bailiwick.cli.context import flags
from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.gateway.asgi import Receive, Scope, Send, send_json
from bailiwick.gateway.build import RunningGateway
from bailiwick.gateway.draining import DrainingServer
from bailiwick.gateway.openapi import gateway_document, merged
from bailiwick.gateway.protocol import ConnectionLimits, guarded
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.settings import Settings

app = typer.Typer(add_completion=False, help="Serve the control plane and the gateway.")

_BACKLOG = 2_048
_SETTLE_S = 1.0
_log = logging.getLogger(__name__)


class Server:
    """The ASGI application of a process: the gateway's paths go to the gateway, the rest to the control plane."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._running = RunningGateway(platform)
        self._gateway = self._running.app
        self._api: Any = _nothing_here
        if platform.settings.control_plane:
            self._api = create_api(platform, lambda document: merged(document, gateway_document()))
        self._settling: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the connection on to its half."""
        if scope["type"] == "http" and self._gateway.serves(scope["path"]):
            await self._gateway(scope, receive, send)
        else:
            await self._api(scope, receive, send)

    async def start(self) -> None:
        """Load what is served (see `RunningGateway.start`), and settle what died with a server.

        That is: charges of privacy budgets that were left held or started, and training runs. While the database is
        away it waits for it in the background.
        """
        await self._running.start()
        if self._running.reloader.stale is None:
            await asyncio.to_thread(self._settle)
        else:
            self._settling = asyncio.create_task(self._settle_later())

    def _settle(self) -> None:
        self._platform.privacy.recover()
        self._platform.training.recover(Actor("server"))
        self._platform.background.start()

    async def _settle_later(self) -> None:
        while True:
            await asyncio.sleep(_SETTLE_S)
            try:
                await asyncio.to_thread(self._settle)
            except Unavailable:
                continue
            except Exception:  # noqa: BLE001 - logged with its trace; requests are answered whatever happens
                _log.exception("what died with a server is not settled")
            return

    def drain(self) -> None:
        """Say that this process is about to leave."""
        self._gateway.draining = True

    async def stop(self) -> None:
        """End the background work."""
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)
        await asyncio.to_thread(self._platform.stop_background)
        await self._running.stop()


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    """What stands where the control plane would: nothing, over HTTP."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    error = {"message": "there is nothing here", "type": "invalid_request_error", "param": None, "code": "not_found"}
    await send_json(send, 404, {"error": error})


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one.

    Raises:
        Unavailable: the port is taken, or may not be used.
        InvalidInput: the host is no address of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidInput(f"{host!r} is no address of this machine: {error}", what="host", requested=host) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        taken = error.errno == errno.EADDRINUSE
        raise Unavailable(
            f"port {port} of {host} is already in use"
            if taken
            else f"cannot listen on {host}:{port}: {error.strerror}",
            what="port",
            requested=port,
            remedy="stop the other server, or choose another port with --port (0 picks a free one)",
        ) from error
    listening.setblocking(False)
    return listening


def serve(platform: Platform, listening: socket.socket, announce: Callable[[], None] | None = None) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT, then finish the running requests.

    Args:
        platform: what is served.
        listening: see `bound_socket`.
        announce: called without arguments when requests are answered.

    Raises:
        Unavailable: a store is away at the start.
    """
    with asyncio.Runner(loop_factory=uvicorn.Config("").get_loop_factory()) as runner:
        runner.run(_serve(platform, listening, announce))


async def _serve(platform: Platform, listening: socket.socket, announce: Callable[[], None] | None) -> None:
    server = Server(platform)
    await server.start()
    try:
        settings = platform.settings
        limits = ConnectionLimits(
            most_connections=_connections(settings.max_connections),
            head_s=settings.head_timeout_s,
            request_s=settings.body_timeout_s,
            stalled_s=settings.stall_timeout_s,
        )
        config = uvicorn.Config(
            server,
            http=guarded(limits),
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=settings.keep_alive_s,
            timeout_graceful_shutdown=max(1, int(settings.drain_s)),
        )
        if announce is not None:
            announce()
        _end_quietly()
        await DrainingServer(config, settings.drain_notice_s, server.drain).serve(sockets=[listening])
    finally:
        await server.stop()


def _connections(wanted: int) -> int:
    """How many connections there may be: half of the files that this process may open, after asking for as many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * wanted and soft != resource.RLIM_INFINITY:
        soft = 2 * wanted if hard == resource.RLIM_INFINITY else min(hard, 2 * wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, soft // 2)


def _end_quietly() -> None:
    """Let the signal that uvicorn raises again after draining change nothing, so that what is queued gets written."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)


@app.command()
def main(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port to listen on; 0 picks a free one.")] = None,
) -> None:
    """Serve the control plane and the OpenAI-compatible gateway until stopped with Ctrl-C or SIGTERM.

    Example: bailiwick serve --port 8700
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = flags(ctx).settings
    listening = bound_socket(host or settings.host, settings.port if port is None else port)
    bound_host, bound_port = listening.getsockname()[:2]
    base = f"http://[{bound_host}]:{bound_port}" if ":" in bound_host else f"http://{bound_host}:{bound_port}"
    platform = Platform(settings, patient=True)
    _warn(bound_host, settings)
    try:
        serve(
            platform, listening, lambda: _announce(base, as_json=flags(ctx).json, control_plane=settings.control_plane)
        )
    finally:
        listening.close()
        platform.close()


def _warn(bound_host: str, settings: Settings) -> None:
    """Say what stands open to a network."""
    if ip_address(bound_host.partition("%")[0]).is_loopback:
        return
    if settings.keys == "optional":
        err.print("[yellow]Warning:[/] whoever reaches this address may ask every model: set BAILIWICK_KEYS=required.")
    if settings.control_plane:
        err.print("[yellow]Warning:[/] the control plane asks for no key: BAILIWICK_CONTROL_PLANE=false leaves it out.")


def _announce(base: str, *, as_json: bool, control_plane: bool) -> None:
    if as_json:
        print_json({"url": base, "openai": f"{base}/v1", "docs": f"{base}/docs"})
    else:
        out.print(f"[bold]Bailiwick[/] serves on {base}", soft_wrap=True)
        out.print(f"  OpenAI-compatible   {base}/v1   (model: a domain, `auto`, or domain@version)", soft_wrap=True)
        if control_plane:
            out.print(f"  control plane       {base}/docs", soft_wrap=True)
        out.print(f"  health and metrics  {base}/readyz  {base}/metrics", soft_wrap=True)
        out.print("Try it:", soft_wrap=True)
        message = '{"model": "auto", "messages": [{"role": "user", "content": "Where is my new card?"}]}'
        command = f"  curl {base}/v1/chat/completions -H 'content-type: application/json' -d '{message}'"
        out.print(command, markup=False, soft_wrap=True)
    out.file.flush()
