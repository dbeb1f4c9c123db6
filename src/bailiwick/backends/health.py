"""Asks replicas whether they are well, where a domain names a path for that."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from bailiwick.backends import breaker
from bailiwick.backends.breaker import BreakerState
from bailiwick.backends.ports import Timing, TransportFailed, UpstreamClient
from bailiwick.backends.replicas import Replica

EVERY_S = 5.0
WITHIN_S = 2.0
_MAX_ANSWER_BYTES = 1 << 20

_log = logging.getLogger(__name__)


async def check_forever(client: UpstreamClient, replicas: Callable[[], Sequence[Replica]]) -> None:
    """Check every replica with a health path, every five seconds, until cancelled."""
    while True:
        try:
            await check_all(client, [each for each in replicas() if each.health_path])
        except Exception:  # noqa: BLE001 - logged with its trace; the next round may go better
            _log.exception("the replicas' health cannot be checked")
        await asyncio.sleep(EVERY_S)


async def check_all(client: UpstreamClient, replicas: Sequence[Replica]) -> None:
    """Check these replicas at the same time, and let their breakers know.

    A failed check counts as a failed call, and keeps a breaker open that is; a good one lets an open breaker try again
    at once. It closes none: that a server says it is well does not make its answers good.
    """
    outcomes = await asyncio.gather(*(is_well(client, replica) for replica in replicas))
    for replica, well in zip(replicas, outcomes, strict=True):
        if well:
            replica.breaker = breaker.probed(replica.breaker)
        else:
            state = replica.breaker.state
            waits = state is BreakerState.OPEN or (state is BreakerState.HALF_OPEN and not replica.breaker.trial)
            replica.failed(time.monotonic(), trial=waits)


async def is_well(client: UpstreamClient, replica: Replica) -> bool:
    """Whether the replica answers its health path with a status from 200 to 299, within two seconds."""
    timing = Timing(WITHIN_S, WITHIN_S, WITHIN_S)
    headers = (("accept", "*/*"), ("user-agent", "bailiwick"), ("accept-encoding", "identity"))
    try:
        async with asyncio.timeout(WITHIN_S):
            response = await client.send(replica.origin, "GET", replica.health_path or "", headers, b"", timing)
            try:
                length = 0
                while length < _MAX_ANSWER_BYTES and (piece := await response.piece()):
                    length += len(piece)
            finally:
                response.release()
    except (TransportFailed, TimeoutError, ValueError):
        return False
    return 200 <= response.status < 300
