"""Serve the control plane and the gateway in one process."""

from __future__ import annotations

import asyncio
import errno
import logging
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
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.settings import Settings

app = typer.Typer(add_completion=False, help="Serve the control plane and the gateway.")

_BACKLOG = 2_048


class Server:
    """The ASGI application of a process: the gateway's paths go to the gateway, the rest to the control plane."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._running = RunningGateway(platform)
        self._gateway = self._running.app
        self._api: Any = create_api(platform) if platform.settings.control_plane else _nothing_here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the connection on to its half."""
        if scope["type"] == "http" and self._gateway.serves(scope["path"]):
            await self._gateway(scope, receive, send)
        else:
            await self._api(scope, receive, send)

    async def start(self) -> None:
        """Load what is served (see `RunningGateway.start`), and settle what died with a server.

        That is: charges of privacy budgets that were left held or started, and training runs.
        """
        await self._running.start()
        await asyncio.to_thread(self._platform.privacy.recover)
        await asyncio.to_thread(self._platform.training.recover, Actor("server"))
        await asyncio.to_thread(self._platform.start_upkeep)

    async def stop(self) -> None:
        """End the background work."""
        await asyncio.to_thread(self._platform.stop_upkeep)
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
        config = uvicorn.Config(
            server,
            http="httptools",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=max(1, int(platform.settings.drain_s)),
        )
        if announce is not None:
            announce()
        _end_quietly()
        await uvicorn.Server(config).serve(sockets=[listening])
    finally:
        await server.stop()


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
    platform = flags(ctx).platform
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
