from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from gateway_sources import Memory, compiler, request, split

from bailiwick.backends.model import Operation
from bailiwick.domains.model import Backend, Domain
from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.gateway.model import Snapshot
from bailiwick.gateway.reloader import Reloader
from bailiwick.gateway.snapshot import UPSTREAM_VERSION
from bailiwick.gateway.targets import targets
from bailiwick.traffic.weights import whole


def test_compile__plan_and_no_plan__one_ready_and_one_problem() -> None:
    snapshot = compiler(Memory()).compile(None)
    assert snapshot.table.known == {"cards", "loans"}
    assert snapshot.table.ready == {"cards"}
    assert snapshot.problems[0].startswith("loans: no version is deployed")


def test_compile__only_the_plan_changed__models_and_detector_are_kept() -> None:
    sources = Memory()
    first = compiler(sources).compile(None)
    sources.held["cards"] = split("cards", 9_000)
    sources.changed()
    second = compiler(sources).compile(first)
    assert sources.loads == ["v1", "v2"]
    assert sources.detectors == 1
    assert second.served["cards"].backends["v1"] is first.served["cards"].backends["v1"]
    assert second.served["cards"].main == "v1"
    assert first.served["cards"].backends.keys() == {"v1"}


def test_compile__new_plan_cannot_be_loaded__domain_is_kept_as_before() -> None:
    sources = Memory()
    first = compiler(sources).compile(None)
    sources.held["cards"] = whole("cards", "missing", "s")
    second = compiler(sources).compile(first)
    assert second.table.ready == {"cards"}
    assert second.served["cards"].backends.keys() == {"v1"}
    assert "missing" in second.problems[0]


def test_compile__upstream_domain__ready_without_a_plan_unless_its_address_is_bad() -> None:
    sources = Memory()
    good = Domain("up", "U", "a", backend=Backend("openai-compatible", "http://127.0.0.1:1/v1", "m"))
    sources.domains = {"up": good, "bad": replace(good, id="bad", backend=Backend("openai-compatible", "file:///x"))}
    snapshot = compiler(sources).compile(None)
    assert snapshot.served["up"].main == UPSTREAM_VERSION
    assert snapshot.table.ready == {"up"}
    assert "bad" in snapshot.problems[0]


def test_targets__plan__version_of_the_unit_then_fallbacks() -> None:
    sources = Memory()
    sources.held = {"cards": split("cards", 5_000), "loans": whole("loans", "v1", "s")}
    sources.domains["cards"] = replace(sources.domains["cards"], fallback="loans")
    sources.domains["loans"] = replace(sources.domains["loans"], fallback="cards")
    snapshot = compiler(sources).compile(None)
    seen = {next(targets(request(), snapshot, f"u{number}")).version for number in range(50)}
    assert seen == {"v1", "v2"}
    assert [target.served.domain.id for target in targets(request(), snapshot, "u")] == ["cards", "loans"]


def test_targets__embeddings__largest_share_for_everybody_and_no_fallback() -> None:
    sources = Memory()
    sources.held = {"cards": split("cards", 4_000), "loans": whole("loans", "v1", "s")}
    sources.domains["cards"] = replace(sources.domains["cards"], fallback="loans")
    snapshot = compiler(sources).compile(None)
    for number in range(20):
        (target,) = targets(request(operation=Operation.EMBEDDING), snapshot, f"u{number}")
        assert (target.version, target.counted) == ("v2", False)
    with pytest.raises(InvalidInput):
        list(targets(request("auto", Operation.EMBEDDING), snapshot, "u"))


def test_targets__domain_without_a_version__unavailable_says_what_to_do() -> None:
    with pytest.raises(Unavailable, match="bailiwick deploy"):
        list(targets(request("loans"), compiler(Memory()).compile(None), "u"))


def reloader(sources: Memory, retry_s: float = 3_600) -> Reloader:
    return Reloader(sources.revision, compiler(sources).compile, 3_600, retry_s)


def run_with(sources: Memory, story: Any, retry_s: float = 3_600) -> None:
    async def play() -> None:
        made = reloader(sources, retry_s)
        await made.start()
        try:
            await story(made)
        finally:
            await made.stop()

    asyncio.run(play())


def test_reloader__nothing_new__same_snapshot() -> None:
    sources = Memory()

    async def story(made: Reloader) -> None:
        before = made.snapshot
        assert not await made.look()
        assert made.snapshot is before

    run_with(sources, story)


def test_reloader__database_goes_away_and_comes_back__serves_on_then_catches_up() -> None:
    sources = Memory()

    async def story(made: Reloader) -> None:
        before: Snapshot = made.snapshot
        sources.away = True
        assert not await made.look()
        assert made.snapshot is before
        assert made.stale is not None
        sources.away = False
        sources.changed()
        assert await made.look()
        assert made.stale is None
        assert made.snapshot.revision.traffic == 1

    run_with(sources, story)


def test_reloader__artefact_arrives_late__is_loaded_without_a_newer_revision() -> None:
    sources = Memory()
    late = sources.models.pop("v1")

    async def story(made: Reloader) -> None:
        assert made.snapshot.table.ready == set()
        sources.models["v1"] = late
        assert await made.look()
        assert made.snapshot.table.ready == {"cards"}

    run_with(sources, story, retry_s=0)


def test_reloader__database_away_at_the_start__says_so() -> None:
    sources = Memory()
    sources.away = True
    with pytest.raises(Unavailable):
        asyncio.run(reloader(sources).start())
