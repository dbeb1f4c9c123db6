"""From a request and its target to what the cache is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailiwick.backends.model import Call
from bailiwick.caching.identity import identity_of
from bailiwick.caching.model import HIT_METRIC, SIMILAR_METRIC, Asking, Outcome, Told
from bailiwick.gateway.model import Meter
from bailiwick.gateway.targets import Target

if TYPE_CHECKING:
    from bailiwick.gateway.answering import Asked


def asking_of(asked: Asked, target: Target, call: Call) -> Asking | None:
    """What the cache is asked for one attempt; None where the target's answers are not kept."""
    caching = target.served.caching
    if caching is None:
        asked.meter.cache = None
        return None
    told = asked.meter.cache = Told()
    identity = identity_of(target.backend)
    if identity is None:
        told.outcome = Outcome.BYPASS
        return None
    return Asking(
        domain=target.served.domain.id,
        settings=caching.settings,
        seed=caching.seed,
        call=call,
        backend=target.backend,
        identity=identity,
        version=target.version,
        arm=_arm(target),
        stream=asked.request.stream,
        wishes=asked.wishes,
        flight_s=target.served.domain.backend.timeout_s,
        told=told,
        similarity=caching.similarity,
    )


def _arm(target: Target) -> bytes:
    """Every arm that the request is in. An arm's answers are its own, even where two arms have the same version."""
    if not target.assigned and target.compared is None:
        return b""
    arms = [f"{each.experiment}\0{each.epoch}\0{each.arm.name}" for each in target.assigned]
    if target.compared is not None:
        arms.append(f"rollout\0{target.compared.experiment}\0{target.compared.epoch}\0{target.compared.arm}")
    return "\0\0".join(arms).encode("utf-8", "replace")


def cache_values(meter: Meter) -> dict[str, float]:
    """What is observed of the cache: whether it had the answer; nothing where it took no part."""
    told = meter.cache
    if told is None or told.outcome is None or told.outcome is Outcome.BYPASS:
        return {}
    values = {HIT_METRIC: 1.0 if told.outcome is Outcome.HIT else 0.0}
    if told.similarity is not None:
        values[SIMILAR_METRIC] = 1.0
    return values


def cache_headers(meter: Meter) -> list[tuple[bytes, bytes]]:
    """What the answer's headers say of the cache."""
    told = meter.cache
    if told is None or told.outcome is None:
        return []
    headers = [(b"x-bailiwick-cache", told.outcome.value.encode())]
    if told.outcome is Outcome.HIT:
        headers.append((b"age", b"%d" % told.age_s))
    if told.similarity is not None:
        headers.append((b"x-bailiwick-cache-similarity", b"%.4f" % told.similarity))
    return headers
