"""Experiments from the snapshot to the exposure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from experiment_plans import experiment
from gateway_sources import Memory, compiler, request, split

from bailiwick.backends.model import Call, Operation, UpstreamFailed
from bailiwick.domains.model import Backend, Domain
from bailiwick.errors import InvalidInput
from bailiwick.gateway.answering import Answering, Asked
from bailiwick.gateway.model import Snapshot
from bailiwick.gateway.participants import Asker, Evaluated
from bailiwick.gateway.pins import Pins
from bailiwick.gateway.targets import Target, targets
from bailiwick.metrics.exposures import Exposure
from bailiwick.metrics.model import Feedback
from bailiwick.metrics.prometheus import Family
from bailiwick.traffic.model import Arm, Condition, Holdout, Operator, PlacedExperiments
from bailiwick.traffic.weights import whole

VERSIONS = experiment("model", versions={"control": "v1", "treatment": "v2"})
HEAT = experiment(
    "heat", layer="sampling", parameters={"control": {"temperature": 0.0}, "treatment": {"temperature": 1.5}}
)


class Tape:
    """A recorder that remembers."""

    def __init__(self) -> None:
        self.answered: list[dict[str, Any]] = []
        self.lost: list[dict[str, Any]] = []
        self.numbers: list[tuple[str, str, str, float]] = []

    def record(self, domain: str, version: str, metric: str, value: float, *, arm: str = "") -> bool:
        self.numbers.append((domain, version, metric, value))
        return True

    def served(self, request_id: str, domain: str, version: str, values: Mapping[str, float], **more: Any) -> bool:
        self.answered.append({"request_id": request_id, "domain": domain, "version": version, **values, **more})
        return True

    def exposed(self, exposures: Sequence[Exposure], **more: Any) -> bool:
        self.lost.append({"exposures": tuple(exposures), **more})
        return True

    def feedback(self, request_id: str, **_more: Any) -> Feedback:
        raise AssertionError(request_id)

    def families(self) -> list[Family]:
        return []


def sources_with(*plans: Any, **fields: Any) -> Memory:
    sources = Memory()
    placed: dict[str, tuple[Any, ...]] = {}
    for plan in plans:
        placed[plan.domain] = (*placed.get(plan.domain, ()), plan)
    sources.placed = PlacedExperiments(placed, **fields)
    return sources


def asker(user: str | None = "user-1", **headers: str) -> Asker:
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Asker(fields, user, "req-1")


def first(snapshot: Snapshot, user: str = "user-1", **headers: str) -> Target:
    return next(targets(request(), snapshot, user, asker(user, **headers)))


# Snapshots


def test_compile__version_only_an_arm_names__is_loaded_once_and_stays_out_of_the_plan() -> None:
    sources = sources_with(VERSIONS)
    one = compiler(sources).compile(None)
    sources.changed()
    two = compiler(sources).compile(one)
    assert sources.loads == ["v1", "v2"]
    assert two.served["cards"].backends.keys() == {"v1"}
    assert two.served["cards"].arm_backends["v2"] is one.served["cards"].arm_backends["v2"]
    assert two.flags == {"model": "cards"}


def test_compile__arm_becomes_the_plans_version__is_not_loaded_again() -> None:
    sources = sources_with(VERSIONS)
    one = compiler(sources).compile(None)
    sources.held["cards"] = whole("cards", "v2", "s")
    sources.placed = PlacedExperiments()
    two = compiler(sources).compile(one)
    assert two.served["cards"].arm_backends == {}
    assert two.flags == {}
    assert sources.loads.count("v1") == 1


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (experiment("broken", versions={"treatment": "missing"}), "missing"),
        (experiment("broken", parameters={"treatment": {"temperature": 9.0}}), "temperature"),
        (experiment("broken", parameters={"treatment": {"max_tokens": 10**6}}), "max_tokens"),
        (experiment("broken", parameters={"treatment": {"top_p": "much"}}), "top_p"),
    ],
)
def test_compile__experiment_that_cannot_run__is_left_out_and_named_others_run(broken: Any, why: str) -> None:
    snapshot = compiler(sources_with(broken, replace(HEAT, layer="other"))).compile(None)
    assert snapshot.flags == {"heat": "cards"}
    problem = next(each for each in snapshot.problems if "left out" in each)
    assert problem.startswith("cards: the experiment 'broken' is left out: ")
    assert why in problem
    assert [each.experiment for each in first(snapshot).assigned] == ["heat"]


def test_compile__version_of_another_domain__experiment_is_left_out() -> None:
    sources = sources_with(experiment("far", domain="loans", versions={"treatment": "v2"}))
    sources.held["loans"] = whole("loans", "v1", "s")
    snapshot = compiler(sources).compile(None)
    assert "'v2' is a version of 'cards'" in snapshot.problems[-1]
    assert snapshot.flags == {}


# Targets


def test_targets__experiment_on_versions__arm_decides_and_stays() -> None:
    snapshot = compiler(sources_with(VERSIONS)).compile(None)
    seen = {user: first(snapshot, user) for user in map("user-{}".format, range(60))}
    for user, target in seen.items():
        [assigned] = target.assigned
        assert target.version == {"control": "v1", "treatment": "v2"}[assigned.arm.name]
        assert target.arm == f"model={assigned.arm.name}"
        assert target.exposures == (Exposure("model", 1, assigned.arm.name, user, 0.5),)
        assert first(snapshot, user) == target
    assert {target.version for target in seen.values()} == {"v1", "v2"}


def test_targets__two_layers__version_of_one_and_parameters_of_the_other() -> None:
    snapshot = compiler(sources_with(VERSIONS, HEAT)).compile(None)
    seen = {(t.version, t.parameters["temperature"]) for t in (first(snapshot, f"u{n}") for n in range(60))}
    assert seen == {("v1", 0.0), ("v1", 1.5), ("v2", 0.0), ("v2", 1.5)}


def test_targets__arm_without_a_version__plan_decides() -> None:
    sources = sources_with(HEAT)
    sources.held["cards"] = split("cards", 5_000)
    snapshot = compiler(sources).compile(None)
    plain = compiler(Memory()).compile(None)
    assert {first(snapshot, f"u{n}").version for n in range(40)} == {"v1", "v2"}
    assert first(plain).assigned == ()


def test_targets__tester__sees_the_arm_and_is_not_counted() -> None:
    plan = replace(VERSIONS, slots=((0, 1),), overrides={"ada": "treatment"})
    target = first(compiler(sources_with(plan, HEAT)).compile(None), "ada")
    assert (target.version, target.counted, target.exposures) == ("v2", False, ())
    assert len(target.assigned) == 2


def test_targets__held_out__plan_and_no_exposure() -> None:
    snapshot = compiler(sources_with(VERSIONS, holdout=Holdout(slots=9_999))).compile(None)
    assert {(first(snapshot, f"u{n}").version, first(snapshot, f"u{n}").exposures) for n in range(40)} == {("v1", ())}


def test_targets__embedding__takes_part_in_nothing() -> None:
    snapshot = compiler(sources_with(VERSIONS)).compile(None)
    for number in range(10):
        (target,) = targets(request(operation=Operation.EMBEDDING), snapshot, f"u{number}", asker(f"u{number}"))
        assert (target.version, target.assigned, target.counted) == ("v1", (), True)


def test_targets__conditions__on_headers() -> None:
    plan = replace(VERSIONS, conditions=(Condition("X-Country", Operator.IN, ("nl",)),))
    snapshot = compiler(sources_with(plan)).compile(None)
    assert first(snapshot, x_country="nl").assigned
    assert not first(snapshot, x_country="de").assigned
    assert not first(snapshot).assigned


# Units


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("user", "ada"),
        ("session", "s-1"),
        ("request", "req-1"),
        ("header:X-Tenant", "acme"),
        ("header:x-none", None),
    ],
)
def test_asker__kind__unit(kind: str, expected: str | None) -> None:
    assert asker("ada", x_session_id="s-1", x_tenant="acme").unit(kind) == expected


def test_asker__no_user_in_the_body__header_or_nobody() -> None:
    assert asker(None, x_user_id="ada").unit("user") == "ada"
    assert asker(None).unit("user") is None
    assert asker(None).unit("session") is None
    assert asker(None, x_tenant="x" * 513).unit("header:x-tenant") is None
    assert asker(None, x_session_id="s").attribute("session") == "s"
    assert asker("ada").attribute("user") == "ada"


def test_evaluated__context__units_and_attributes() -> None:
    context = {"targetingKey": "ada", "session": "s-1", "X-Tenant": "acme", "Age": 18, "nested": {"a": 1}, "n": None}
    subject = Evaluated("ada", context, "req-1")
    assert [subject.unit(kind) for kind in ("user", "session", "request", "header:x-tenant", "header:age")] == [
        "ada",
        "s-1",
        "req-1",
        "acme",
        None,
    ]
    assert [subject.attribute(name) for name in ("age", "user", "nested", "n")] == [18, "ada", None, None]


# Answering


class Scripted:
    """A backend that does what it is told."""

    in_process = False

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.calls: list[Call] = []

    async def answer(self, call: Call) -> dict[str, Any]:
        self.calls.append(call)
        if isinstance(self.steps[0], BaseException):
            raise self.steps[0]
        if self.steps[0] == "wait":
            await asyncio.sleep(60)
        return {"ok": True}

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        self.calls.append(call)
        for step in self.steps:
            if isinstance(step, BaseException):
                raise step
            yield b"piece"


def asked_of(*backends: Scripted, fallback: bool = False) -> tuple[Answering, Asked, Tape]:
    sources = sources_with(VERSIONS, HEAT, experiment("far", domain="loans"))
    sources.held["loans"] = whole("loans", "v1", "s")
    sources.domains["cards"] = replace(sources.domains["cards"], fallback="loans" if fallback else None)
    made = compiler(sources)
    tape = Tape()
    found = tuple(targets(request(), made.compile(None), "user-1", asker()))
    assert len(found) == len(backends)
    chosen = tuple(replace(each, backend=backend) for each, backend in zip(found, backends, strict=True))
    return Answering(Pins(made), tape), Asked(request(), chosen, "req-1", "user-1"), tape


def names(exposures: Sequence[Exposure]) -> list[str]:
    return sorted(each.experiment for each in exposures)


def test_whole__answered__exposures_with_the_request_and_parameters_in_the_body() -> None:
    backend = Scripted("ok")
    answering, asked, tape = asked_of(backend)
    asyncio.run(answering.whole(asked))
    [answered] = tape.answered
    assert names(answered["exposures"]) == ["heat", "model"]
    assert (answered["failed"], answered["unit"], tape.lost) == (0.0, "user-1", [])
    assert answered["arm"].startswith("model=")
    assert backend.calls[0].body["temperature"] == asked.targets[0].parameters["temperature"]


@pytest.mark.parametrize("error", [UpstreamFailed("down"), InvalidInput("refused"), ValueError("a bug")])
def test_whole__attempt_fails_whatever_the_error__exposure_counts_as_failed(error: Exception) -> None:
    answering, asked, tape = asked_of(Scripted(error))
    with pytest.raises(type(error)):
        asyncio.run(answering.whole(asked))
    [lost] = tape.lost
    assert names(lost["exposures"]) == ["heat", "model"]
    assert lost["values"]["failed"] == 1.0
    assert (lost["request_id"], lost["domain"], tape.answered) == ("req-1", "cards", [])


def test_whole__fallback_answers__first_domain_keeps_its_failed_exposure() -> None:
    answering, asked, tape = asked_of(Scripted(UpstreamFailed("down")), Scripted("ok"), fallback=True)
    target, _ = asyncio.run(answering.whole(asked))
    assert target.served.domain.id == "loans"
    assert [(names(each["exposures"]), each["values"]["failed"]) for each in tape.lost] == [(["heat", "model"], 1.0)]
    assert [(each["domain"], names(each["exposures"])) for each in tape.answered] == [("loans", ["far"])]


def test_whole__client_leaves__exposure_counts_as_failed() -> None:
    answering, asked, tape = asked_of(Scripted("wait"))

    async def leave() -> None:
        work = asyncio.ensure_future(answering.whole(asked))
        await asyncio.sleep(0.05)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(leave())
    assert [each["values"] for each in tape.lost] == [{"failed": 1.0}]


def test_pieces__stream_breaks_or_ends_or_is_left__one_exposure_each() -> None:
    async def consume(answering: Answering, asked: Asked, pieces: int) -> None:
        stream = answering.pieces(asked)
        async for _ in stream:
            pieces -= 1
            if not pieces:
                break
        await stream.aclose()  # type: ignore[attr-defined]

    answering, asked, tape = asked_of(Scripted("ok", "ok"))
    asyncio.run(consume(answering, asked, 9))
    assert (len(tape.answered), tape.lost) == (1, [])

    answering, asked, tape = asked_of(Scripted("ok", UpstreamFailed("broke off")))
    with pytest.raises(UpstreamFailed):
        asyncio.run(consume(answering, asked, 9))
    assert ([each["values"]["failed"] for each in tape.lost], tape.answered) == ([1.0], [])

    answering, asked, tape = asked_of(Scripted("ok", "ok", "ok"))
    asyncio.run(consume(answering, asked, 1))
    assert ([each["values"] for each in tape.lost], tape.answered) == ([{"failed": 0.0}], [])


def test_ask__pin__is_exposed_to_nothing() -> None:
    sources = sources_with(VERSIONS)
    made = compiler(sources)
    tape = Tape()

    async def play() -> None:
        answering = Answering(Pins(made), tape)
        pinned = replace(request(), version="v2", body={"messages": [{"role": "user", "content": "x"}]})
        snapshot = made.compile(None)
        asked = await answering.loaded(answering.ask(pinned, snapshot, "req-1", "user-1", asker()), snapshot)
        assert (asked.targets[0].version, asked.targets[0].exposures) == ("v2", ())
        await answering.whole(asked)

    asyncio.run(play())
    assert (tape.answered, tape.lost, tape.numbers) == ([], [], [])


def test_arms_of_an_upstream__version_card__names_the_upstream_model() -> None:
    sources = sources_with(experiment("up-test", domain="up", parameters={"treatment": {"temperature": 0.5}}))
    sources.domains["up"] = Domain("up", "U", "a", backend=Backend("openai-compatible", "http://127.0.0.1:1/v1", "m"))
    snapshot = compiler(sources).compile(None)
    target = next(targets(request("up"), snapshot, "u", asker("u")))
    assert [each.experiment for each in target.assigned] == ["up-test"]
    assert Arm("control") == snapshot.served["up"].experiments.plan("up-test").arms[0]
    assert orjson.dumps(target.parameters)
