"""Answers through the cache: kept in this process, in Redis for several gateways, and asked for once at a time."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from bailiwick.backends.model import Call, UpstreamFailed, Usage
from bailiwick.caching.counters import CacheCounters
from bailiwick.caching.entries import is_whole_stream, packed, rendered, unpacked
from bailiwick.caching.flights import Flights
from bailiwick.caching.keys import key_of, question_of
from bailiwick.caching.lru import BoundedStore
from bailiwick.caching.model import Asking, Entry, NotCached, Outcome
from bailiwick.caching.neighbours import Neighbours
from bailiwick.caching.ports import SharedAnswers
from bailiwick.caching.shared_streams import SharedStream
from bailiwick.metrics.prometheus import Family


@dataclass(frozen=True, slots=True)
class _Fresh:
    """What a model gave just now."""

    entry: Entry
    document: dict[str, Any]
    usage: Usage


@dataclass(slots=True)
class _Kept:
    """What is kept of one domain, as long as its seed is the same."""

    seed: bytes
    store: BoundedStore
    neighbours: Neighbours | None = field(default=None)


class AnswerCache:
    """The cache of one gateway.

    Args:
        shared: keeps answers for several gateways; None: nobody does.
        now_s: seconds since 1970.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        shared: SharedAnswers | None = None,
        *,
        now_s: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._now_s = now_s
        self._monotonic = monotonic
        self._domains: dict[str, _Kept] = {}
        self._flights: Flights[_Fresh] = Flights()
        self._streams: dict[bytes, SharedStream] = {}
        self.counters = CacheCounters()

    async def whole(self, asking: Asking) -> dict[str, Any] | bytes:
        """The answer: a document that the model gave for this very request, or the bytes of one that it gave before.

        Raises:
            NotCached: the request wants a kept answer only, and there is none.
            BailiwickError: as `Backend.answer`; nothing is kept.
        """
        key = key_of(asking)
        if key is None:
            self._tell(asking, Outcome.BYPASS)
            return await asking.backend.answer(asking.call)
        entry = await self._found(asking, key, self._of(asking))
        if entry is not None:
            return self._hit(asking, entry)
        if asking.wishes.only_if_cached:
            raise _not_cached(asking)
        if asking.wishes.no_cache or asking.backend.in_process:
            fresh = await self._ask(asking, asking.call, key)
            self._tell(asking, Outcome.MISS)
            return fresh.document
        # Those who join must not fail because the first to ask has little time.
        call = replace(asking.call, deadline_s=asking.flight_s, usage=Usage())
        try:
            fresh, is_first = await self._flights.join(
                key, lambda: self._ask(asking, call, key), asking.call.deadline_s
            )
        except TimeoutError as error:
            raise _too_late(asking) from error
        if not is_first:
            self.counters.add("joined", asking.domain)
            return self._hit(asking, fresh.entry)
        self._tell(asking, Outcome.MISS)
        asking.call.usage.prompt_tokens = fresh.usage.prompt_tokens
        asking.call.usage.completion_tokens = fresh.usage.completion_tokens
        if fresh.entry.request_id == asking.call.request_id:
            return fresh.document
        return rendered(fresh.entry, asking.call.request_id)

    async def pieces(self, asking: Asking) -> AsyncIterator[bytes]:
        """The answer as events; `Asking.told` says what the cache did before the first of them is given.

        Raises:
            NotCached: as `whole`.
            BailiwickError: as `Backend.stream`; nothing is kept.
        """
        key = key_of(asking)
        if key is None:
            self._tell(asking, Outcome.BYPASS)
            source = asking.backend.stream(asking.call)
        else:
            entry = await self._found(asking, key, self._of(asking))
            if entry is not None:
                yield self._hit(asking, entry)
                return
            if asking.wishes.only_if_cached:
                raise _not_cached(asking)
            alone = asking.wishes.no_cache or asking.backend.in_process
            source = self._alone(asking, key) if alone else self._together(asking, key)
        # the port promises an iterator; every adapter gives a generator, which has an `aclose`
        async with aclosing(source) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece

    def families(self) -> list[Family]:
        """Counters for Prometheus."""
        failures, dropped = getattr(self._shared, "failures", 0), getattr(self._shared, "dropped", 0)
        return self.counters.families({name: kept.store for name, kept in self._domains.items()}, failures, dropped)

    def keep_only(self, domains: frozenset[str]) -> None:
        """Forget the answers of every other domain."""
        for name in self._domains.keys() - domains:
            del self._domains[name]

    async def close(self) -> None:
        """Give connections back."""
        if self._shared is not None:
            await self._shared.close()

    async def _found(self, asking: Asking, key: bytes, kept: _Kept) -> Entry | None:
        """The kept answer that may serve, if any: of this question, here or in Redis, else of one much like it."""
        if asking.similarity is not None:
            asking.told.question = question_of(asking)
        if asking.wishes.no_cache:
            return None
        entry = kept.store.get(key)
        if entry is None and self._shared is not None and asking.settings.shared and not asking.backend.in_process:
            entry = await self._from_shared(asking, key, kept, self._shared)
        if entry is not None and self._is_young(asking, entry):
            return entry
        return self._similar(asking, kept)

    def _similar(self, asking: Asking, kept: _Kept) -> Entry | None:
        """The answer to the most alike question, where that is alike enough."""
        question, semantic = asking.told.question, asking.settings.semantic
        if question is None or semantic is None or kept.neighbours is None:
            return None
        nearest = kept.neighbours.nearest(question, semantic.threshold)
        entry = None if nearest is None else kept.store.get(nearest[0])
        if nearest is None or entry is None or not self._is_young(asking, entry):
            return None
        asking.told.similarity = nearest[1]
        self.counters.add("semantic_hits", asking.domain)
        return entry

    def _is_young(self, asking: Asking, entry: Entry) -> bool:
        most = asking.wishes.max_age_s
        return most is None or self._age_s(entry) <= most

    async def _from_shared(self, asking: Asking, key: bytes, kept: _Kept, shared: SharedAnswers) -> Entry | None:
        raw = await shared.get(key)
        entry = None if raw is None else unpacked(raw, key)
        if entry is None:
            return None
        left_s = asking.settings.ttl_s - self._age_s(entry)
        if left_s <= 0:
            return None
        self.counters.add("shared_hits", asking.domain)
        self._put(asking, key, entry, kept, left_s)
        return entry

    async def _ask(self, asking: Asking, call: Call, key: bytes) -> _Fresh:
        document = await asking.backend.answer(call)
        entry = self._entry(asking, orjson.dumps(document), call.usage)
        if call.usage.whole and not document.get("error"):
            self._keep(asking, key, entry)
        return _Fresh(entry, document, call.usage)

    async def _alone(self, asking: Asking, key: bytes) -> AsyncIterator[bytes]:
        """The model's own events, kept when they came to a good end."""
        held: list[bytes] = []
        length, most = 0, asking.settings.max_answer_bytes
        self._tell(asking, Outcome.MISS)
        async with aclosing(asking.backend.stream(asking.call)) as stream:  # type: ignore[type-var]
            async for piece in stream:
                if length <= most:
                    length += len(piece)
                    held.append(piece)
                yield piece
        if length <= most:
            self._keep_stream(asking, key, b"".join(held), asking.call.usage)

    async def _together(self, asking: Asking, key: bytes) -> AsyncIterator[bytes]:
        """The events of the one stream that all identical requests share."""
        shared = self._streams.get(key)
        began = shared is None or not shared.is_open
        if shared is None or began:
            shared = self._begin(asking, key)
            self._tell(asking, Outcome.MISS)
        else:
            self.counters.add("joined", asking.domain)
            self._tell(asking, Outcome.HIT)
        try:
            async with aclosing(shared.read(asking.call.deadline_s)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece
        except TimeoutError as error:
            raise _too_late(asking) from error

    def _begin(self, asking: Asking, key: bytes) -> SharedStream:
        # The first request's usage is filled in as the stream goes; those who join use no tokens.
        call = replace(asking.call, deadline_s=asking.flight_s)

        def ended() -> None:
            if self._streams.get(key) is stream:
                del self._streams[key]

        stream = SharedStream(
            asking.backend.stream(call),
            asking.settings.max_answer_bytes,
            lambda events: self._keep_stream(asking, key, events, call.usage),
            ended,
        )
        self._streams[key] = stream
        return stream

    def _keep_stream(self, asking: Asking, key: bytes, events: bytes, usage: Usage) -> None:
        if usage.whole and is_whole_stream(events):
            self._keep(asking, key, self._entry(asking, events, usage))

    def _entry(self, asking: Asking, payload: bytes, usage: Usage) -> Entry:
        tokens = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        return Entry(payload, self._now_s(), asking.call.request_id, asking.backend.in_process, tokens)

    def _keep(self, asking: Asking, key: bytes, entry: Entry) -> None:
        if len(entry.payload) > asking.settings.max_answer_bytes:
            return
        kept = self._domains.get(asking.domain)
        if kept is None or kept.seed != asking.seed:  # the domain has changed since the request came
            return
        self._put(asking, key, entry, kept, asking.settings.ttl_s)
        if self._shared is not None and asking.settings.shared and not asking.backend.in_process:
            self._shared.put(key, packed(entry, key), asking.settings.ttl_s)

    def _put(self, asking: Asking, key: bytes, entry: Entry, kept: _Kept, ttl_s: float) -> None:
        settings, question = asking.settings, asking.told.question
        if question is not None:
            entry = replace(entry, more_bytes=question.vector.nbytes + 200)
        bounds = {"max_entries": settings.max_entries, "max_bytes": settings.max_bytes}
        if kept.store.put(key, entry, ttl_s, **bounds) and question is not None and kept.neighbours is not None:
            kept.neighbours.add(question, key)

    def _of(self, asking: Asking) -> _Kept:
        """What is kept of the domain; begun anew once it has changed, so that what nothing can find is let go."""
        found = self._domains.get(asking.domain)
        if found is None or found.seed != asking.seed:
            found = self._domains[asking.domain] = _Kept(asking.seed, BoundedStore(self._monotonic))
            if asking.similarity is not None:
                found.neighbours = Neighbours(asking.similarity)
                found.store.on_leave = found.neighbours.forget
        return found

    def _hit(self, asking: Asking, entry: Entry) -> bytes:
        self._tell(asking, Outcome.HIT)
        asking.told.age_s = self._age_s(entry)
        if entry.tokens:
            self.counters.add("saved_tokens", asking.domain, number=entry.tokens)
        return rendered(entry, asking.call.request_id)

    def _tell(self, asking: Asking, outcome: Outcome) -> None:
        asking.told.outcome = outcome
        self.counters.add("requests", asking.domain, outcome.value)

    def _age_s(self, entry: Entry) -> float:
        return max(0.0, self._now_s() - entry.stored_at_s)


def _not_cached(asking: Asking) -> NotCached:
    return NotCached(
        "there is no kept answer, and the request allows no other (Cache-Control: only-if-cached)",
        what="cache-control",
        where=f"domain {asking.domain!r}",
        remedy="ask again without it",
    )


def _too_late(asking: Asking) -> UpstreamFailed:
    return UpstreamFailed(
        f"no answer within {asking.call.deadline_s:g} s", status=504, where=f"domain {asking.domain!r}"
    )
