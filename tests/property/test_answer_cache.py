"""Under any interleaving of requests, departures, failures and changes of the domain: one call at a time for identical
requests, and never an answer of another arm, version, scope or generation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
from caching_house import asking
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.backends.model import Call, UpstreamFailed
from bailiwick.caching.answers import AnswerCache
from bailiwick.caching.model import Asking, Outcome, Wishes
from bailiwick.domains.cache import AnswerCaching

BASE = {"version": "v1", "arm": b"", "user": "", "seed": b"seed"}
WHO = [
    BASE,
    {**BASE, "version": "v2"},
    {**BASE, "arm": b"e\x001\x00a"},
    {**BASE, "arm": b"e\x001\x00b"},
    {**BASE, "user": "ada"},
    {**BASE, "user": "bob"},
    {**BASE, "seed": b"next"},
]
"""Each differs in one thing from another one, so that a key that forgets the thing is found out."""

WISHES = [Wishes(), Wishes(), Wishes(), Wishes(no_cache=True), Wishes(no_store=True), Wishes(max_age_s=0)]
STEP = st.one_of(
    st.tuples(st.just("ask"), st.tuples(st.sampled_from(WHO), st.sampled_from(WISHES))),
    st.tuples(st.just("leave"), st.integers(0, 20)),
    st.tuples(st.just("finish"), st.booleans()),
    st.tuples(st.just("turn"), st.integers(1, 4)),
)


class Told:
    """Says what it was told of who asks: its answer names the version, arm, user and seed of the request."""

    in_process = False
    identity = "told"

    def __init__(self, name: str, gates: list[tuple[asyncio.Event, list[bool]]]) -> None:
        self._name = name
        self._gates = gates

    async def _wait(self) -> None:
        gate: tuple[asyncio.Event, list[bool]] = (asyncio.Event(), [False])
        self._gates.append(gate)
        await gate[0].wait()
        if gate[1][0]:
            raise UpstreamFailed("told to")

    async def answer(self, call: Call) -> dict[str, Any]:
        await self._wait()
        return {"choices": [{"message": {"content": self._name}}]}

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        yield b'data: {"name":%b}\n\n' % orjson.dumps(self._name)
        await self._wait()
        yield b"data: [DONE]\n\n"


class World:
    """A cache, those who wait for an answer of it, and what every answer must say."""

    def __init__(self, stream: bool) -> None:
        self.stream = stream
        self.kept = AnswerCache()
        self.gates: list[tuple[asyncio.Event, list[bool]]] = []
        self.asked: list[tuple[asyncio.Task[str], Asking, str]] = []

    async def step(self, kind: str, what: Any) -> None:
        if kind == "ask":
            self._ask(*what)
        elif kind == "leave" and self.asked:
            self.asked[what % len(self.asked)][0].cancel()
        elif kind == "finish":
            self.finish(fails=what)
        elif kind == "turn":
            for _ in range(what):
                await asyncio.sleep(0)

    def finish(self, *, fails: bool) -> None:
        for gate, failing in self.gates:
            failing[0] = fails
            gate.set()
        self.gates.clear()

    def _ask(self, who: dict[str, Any], wishes: Wishes) -> None:
        name, user = repr(who), who["user"]
        one = asking(
            Told(name, self.gates),
            settings=AnswerCaching(scope="user") if user else AnswerCaching(),
            wishes=replace(wishes, user=user),
            domain_seed=who["seed"],
            version=who["version"],
            arm=who["arm"],
            stream=self.stream,
        )
        self.asked.append((asyncio.create_task(self._answer(one)), one, name))

    async def _answer(self, one: Asking) -> str:
        if one.stream:
            events = b"".join([piece async for piece in self.kept.pieces(one)])
            assert events.endswith(b"data: [DONE]\n\n")
            name: str = orjson.loads(events.partition(b"\n")[0].removeprefix(b"data: "))["name"]
            return name
        found = await self.kept.whole(one)
        document = orjson.loads(found) if isinstance(found, bytes) else found
        content: str = document["choices"][0]["message"]["content"]
        return content


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=40), st.booleans())
def test_cache__any_interleaving__nobody_gets_anothers_answer(history: list[tuple[str, Any]], stream: bool) -> None:
    async def story() -> None:
        world = World(stream)
        for kind, what in history:
            await world.step(kind, what)
        for _ in range(200):
            world.finish(fails=False)
            await asyncio.sleep(0)
        for task, one, name in world.asked:
            assert task.done()
            if task.cancelled():
                continue
            if task.exception() is not None:
                assert isinstance(task.exception(), UpstreamFailed)
                continue
            assert task.result() == name
            assert (one.told.outcome is Outcome.BYPASS) == one.wishes.no_store
        assert not world.kept._streams and not len(world.kept._flights)

    asyncio.run(story())


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3)), max_size=12), st.booleans())
def test_single_flight__any_departures__one_call_as_long_as_somebody_waits(
    crowd: int, departures: list[tuple[int, int]], stream: bool
) -> None:
    async def story() -> None:
        gates: list[tuple[asyncio.Event, list[bool]]] = []
        backend = Told("it", gates)
        kept = AnswerCache()

        async def ask(one: Asking) -> Any:
            return [piece async for piece in kept.pieces(one)] if stream else await kept.whole(one)

        tasks = [asyncio.create_task(ask(asking(backend, stream=stream))) for _ in range(crowd)]
        for _ in range(5):
            await asyncio.sleep(0)
        leaving = set()
        for who, turns in departures:
            if who < crowd and len(leaving | {who}) < crowd:
                leaving.add(who)
                tasks[who].cancel()
                for _ in range(turns):
                    await asyncio.sleep(0)
        assert len(gates) == 1
        gates[0][0].set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        for number, each in enumerate(found):
            assert isinstance(each, asyncio.CancelledError) == (number in leaving)

    asyncio.run(story())
