from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from gateway_sources import CLOCK, Memory

from bailiwick.backends.model import Operation
from bailiwick.backends.pool import UpstreamPool
from bailiwick.errors import Unavailable
from bailiwick.gateway.model import ModelRequest, Revision, Snapshot
from bailiwick.gateway.reloader import Reloader
from bailiwick.gateway.snapshot import Compiler
from bailiwick.gateway.targets import targets
from bailiwick.metrics.exposures import Exposure
from bailiwick.traffic.assign import slot
from bailiwick.traffic.comparison import compared
from bailiwick.traffic.model import SLOTS
from bailiwick.traffic.weights import reweight, whole
from bailiwick.traffic.wire import PublishedPlans, dump_plans, load_plans

PLAN = reweight(whole("cards", "v1", "s"), {"v1": 7_000, "v2": 3_000})
PLAN = replace(PLAN, comparison=compared(PLAN, "rollout-1", 2, "v2", "v1"))


def snapshot(memory: Memory) -> Snapshot:
    memory.held["cards"] = PLAN
    return Compiler(memory, UpstreamPool(), {}, CLOCK).compile(None)


def request(version: str | None = None, operation: Operation = Operation.CHAT) -> ModelRequest:
    return ModelRequest(operation, "cards", version, "x", None, False, {})


def unit_in(first: int, end: int) -> str:
    return next(unit for unit in map("user-{}".format, range(100_000)) if first <= slot("s", unit) < end)


@pytest.mark.parametrize(
    ("slots", "version", "arm"),
    [((0, 3_000), "v1", "control"), ((3_000, 7_000), "v1", None), ((7_000, SLOTS), "v2", "canary")],
)
def test_targets__amid_a_rollout__exposed_by_slot(slots: tuple[int, int], version: str, arm: str | None) -> None:
    unit = unit_in(*slots)
    target = next(iter(targets(request(), snapshot(Memory()), unit)))
    assert target.version == version
    assert target.exposures == (() if arm is None else (Exposure("rollout-1", 2, arm, unit, 0.3),))
    assert target.arm == ("" if arm is None else f"rollout-1={arm}")


def test_targets__embedding_amid_a_rollout__counts_nowhere() -> None:
    target = next(iter(targets(request(operation=Operation.EMBEDDING), snapshot(Memory()), unit_in(7_000, SLOTS))))
    assert target.exposures == ()


def test_compile__canary_cannot_be_loaded__nothing_is_compared() -> None:
    memory = Memory()
    del memory.models["v2"]
    served = snapshot(memory).served["cards"]
    assert served.plan is not None
    assert served.plan.comparison is None
    assert next(iter(targets(request(), snapshot(memory), unit_in(0, 3_000)))).exposures == ()


def test_wire__comparison__travels_with_the_plan() -> None:
    published = PublishedPlans(3, {"cards": PLAN, "loans": whole("loans", "l1", "t")})
    assert load_plans(dump_plans(published)) == published


def test_reloader__swaps__reports_each_revision_once() -> None:
    memory, said = Memory(), list[Revision]()
    compiler = Compiler(memory, UpstreamPool(), {}, CLOCK)
    reloader = Reloader(memory.revision, compiler.compile, 60.0, report=said.append, report_s=1e9)

    async def play() -> None:
        await reloader.start()
        await reloader.look_and_say()
        memory.changed()
        await reloader.look_and_say()
        await reloader.stop()

    asyncio.run(play())
    assert [revision.traffic for revision in said] == [0, 1]


def test_reloader__report_cannot_be_written__serves_on() -> None:
    memory = Memory()

    def away(revision: Revision) -> None:
        raise Unavailable("the database is away")

    compiler = Compiler(memory, UpstreamPool(), {}, CLOCK)
    reloader = Reloader(memory.revision, compiler.compile, 60.0, report=away)

    async def play() -> bool:
        await reloader.start()
        ready = reloader.ready
        await reloader.stop()
        return ready

    assert asyncio.run(play())
