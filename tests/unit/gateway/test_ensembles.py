from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ensembles import CLOCK, Fixed
from gateway_gate import SECRET
from gateway_house import Tape
from gateway_sources import Memory

from bailiwick.backends.ensemble.backend import EnsembleBackend, models_asked
from bailiwick.backends.ensemble.board import Board
from bailiwick.backends.ensemble.standing import State
from bailiwick.backends.model import Call, Operation
from bailiwick.backends.pool import UpstreamPool
from bailiwick.errors import InvalidInput, NotFound
from bailiwick.gateway.admission.door import Door
from bailiwick.gateway.admission.local import LocalLimits
from bailiwick.gateway.app import Gateway
from bailiwick.gateway.ensembles import members_document, members_families, told
from bailiwick.gateway.keeping import KeptSnapshots
from bailiwick.gateway.limits import limits_of
from bailiwick.gateway.model import FeedbackRequest, Snapshot
from bailiwick.gateway.pins import Pins
from bailiwick.gateway.reloader import Reloader
from bailiwick.gateway.snapshot import Compiler
from bailiwick.governance.access.model import NO_LIMITS, AccessState, ClientKey, KeySecret, Limits
from bailiwick.governance.access.secret import digest_of
from bailiwick.metrics.model import Feedback
from bailiwick.metrics.prometheus import render
from bailiwick.models.ensemble.fitted import EnsembleModel
from bailiwick.models.ensemble.spec import EnsembleSpec, Strategy, parse_member
from bailiwick.registry.model import ModelVersion
from bailiwick.traffic.model import Shadow
from bailiwick.traffic.weights import whole


class Fleet(Memory):
    """Sources with ensembles: versions by name, each of the domain before its ``-``."""

    def __init__(self) -> None:
        super().__init__()
        self.board = Board()
        self.models: dict[str, Any] = {
            "cards-v1": Fixed(a=0.9, b=0.1),
            "cards-v2": Fixed(a=0.7, b=0.3),
            "loans-v1": Fixed(a=0.2, b=0.8),
        }
        self.held = {"cards": whole("cards", "cards-v1", "s"), "loans": whole("loans", "loans-v1", "s")}
        self.compiler = Compiler(self, UpstreamPool(), {}, CLOCK, self.board)

    def ensemble(self, version: str, *members: str, **fields: Any) -> None:
        """Register one, and deploy it."""
        spec = EnsembleSpec(fields.pop("strategy", Strategy.VOTE), tuple(map(parse_member, members)), **fields)
        self.models[version] = EnsembleModel(spec, None, lambda member: self.models[str(member.version)])
        domain = version.partition("-")[0]
        self.held[domain] = whole(domain, version, "s")
        self.changed()

    def version(self, version: str) -> ModelVersion:
        if version not in self.models:
            raise NotFound(f"no version {version!r}")
        domain = version.partition("-")[0]
        family = "ensemble" if isinstance(self.models[version], EnsembleModel) else "fixed"
        return ModelVersion(version, domain, family, CLOCK.now(), "0" * 64, 1)


def bound(snapshot: Snapshot, domain: str) -> EnsembleBackend:
    served = snapshot.served[domain]
    assert served.main is not None
    backend = served.backends[served.main]
    assert isinstance(backend, EnsembleBackend)
    return backend


def members(backend: EnsembleBackend) -> list[str]:
    return [member.name for member in backend.members]


def said(backend: Any, text: str = "x") -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], "response_format": {"type": "json_object"}}
    found: dict[str, Any] = asyncio.run(backend.answer(Call(Operation.CHAT, body, "r1")))
    return found


def test_bind__members_of_two_domains__served_pinned_and_floating_ones_are_asked() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "cards@cards-v2", "loans", quorum=2)
    snapshot = fleet.compiler.compile(None)
    backend = bound(snapshot, "cards")
    assert members(backend) == ["cards@cards-v1", "cards@cards-v2", "loans@loans-v1"]
    assert json.loads(said(backend)["choices"][0]["message"]["content"])["label"] == "a"
    assert not [problem for problem in snapshot.problems if "ensemble" in problem]


def test_bind__the_main_version_of_a_floating_member_changes__so_does_the_ensemble() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "loans")
    first = fleet.compiler.compile(None)
    fleet.models["loans-v2"] = Fixed(a=0.5, b=0.5)
    fleet.held["loans"] = whole("loans", "loans-v2", "s")
    fleet.changed()
    second = fleet.compiler.compile(first)
    assert members(bound(second, "cards")) == ["cards@cards-v1", "loans@loans-v2"]
    assert members(bound(first, "cards")) == ["cards@cards-v1", "loans@loans-v1"], "the old snapshot is as it was"


def test_bind__nothing_changed_for_the_members__pinned_models_are_not_loaded_again() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "cards@cards-v2")
    first = fleet.compiler.compile(None)
    loads = list(fleet.loads)
    fleet.changed()
    fleet.compiler.compile(first)
    assert fleet.loads == loads


def test_bind__unknown_members__named_and_left_out() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "ghost", "loans@loans-v9")
    del fleet.models["loans-v1"]
    snapshot = fleet.compiler.compile(None)
    assert members(bound(snapshot, "cards")) == ["cards@cards-v1"]
    named = [problem for problem in snapshot.problems if "goes without" in problem]
    assert len(named) == 2
    assert "'ghost' is not served" in named[0]
    assert said(bound(snapshot, "cards"))["bailiwick"]["agreed"] == ["cards@cards-v1"]


def test_bind__a_cycle__named_and_both_still_answer() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "loans")
    fleet.ensemble("loans-e1", "loans@loans-v1", "cards")
    snapshot = fleet.compiler.compile(None)
    cycles = [problem for problem in snapshot.problems if "leads back to itself" in problem]
    assert cycles and "cards@cards-e1 -> loans@loans-e1 -> cards@cards-e1" in cycles[0]
    for domain in ("cards", "loans"):
        assert said(bound(snapshot, domain))["choices"][0]["message"]["content"]


def test_bind__an_ensemble_of_an_ensemble__asked_as_one_member() -> None:
    fleet = Fleet()
    fleet.ensemble("loans-e1", "loans@loans-v1", "cards@cards-v2")
    fleet.ensemble("cards-e1", "cards@cards-v1", "loans", quorum=2)
    backend = bound(fleet.compiler.compile(None), "cards")
    assert members(backend) == ["cards@cards-v1", "loans@loans-e1"]
    found = said(backend)
    assert [part["label"] for part in found["bailiwick"]["members"]] == ["a", "b"]


def test_bind__pinned_or_in_the_shadow__bound_as_well() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "cards@cards-v2")
    fleet.held["cards"] = replace(whole("cards", "cards-v1", "s"), shadow=Shadow("cards-e1", 100))
    snapshot = fleet.compiler.compile(None)
    shadow = snapshot.served["cards"].shadow
    assert shadow is not None and isinstance(shadow.backend, EnsembleBackend)
    assert len(shadow.backend.members) == 2
    pinned = fleet.compiler.pinned(fleet.domains["cards"], "cards-e1")
    assert isinstance(pinned, EnsembleBackend)
    assert members(pinned) == ["cards@cards-v1", "cards@cards-v2"]


def test_bind__ensembles_leave__their_seats_are_forgotten() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "cards@cards-v2")
    first = fleet.compiler.compile(None)
    assert len(fleet.board.reports()) == 2
    fleet.held["cards"] = whole("cards", "cards-v1", "s")
    fleet.changed()
    fleet.compiler.compile(first)
    assert not fleet.board.reports()
    assert members_families(fleet.board) == []


def test_keeping__an_ensemble_over_members_in_no_plan__restored_whole_without_the_database(tmp_path: Path) -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "cards@cards-v2", "loans", quorum=3)

    def kept() -> KeptSnapshots:
        return KeptSnapshots(
            tmp_path / "last",
            fleet,
            lambda given, previous: fleet.compiler.over(given).compile(previous),
            {},
            lambda version: fleet.models[version.id],
        )

    keeping = kept()
    first = keeping.compile(None)
    fleet.changed()
    keeping.compile(first)
    fleet.away = True
    restored = kept().restore()
    assert restored is not None
    backend = bound(restored, "cards")
    assert members(backend) == ["cards@cards-v1", "cards@cards-v2", "loans@loans-v1"]
    assert len(said(backend)["bailiwick"]["members"]) == 3


class Remembering(Tape):
    """A recorder that takes feedback."""

    def feedback(self, request_id: str, **more: Any) -> Feedback:
        known = {name: more.get(name) for name in ("metric", "value", "label", "comment", "domain", "version")}
        return Feedback(request_id=request_id, arm="", joined=True, at=CLOCK.now(), **known)  # type: ignore[arg-type]


def conversation(
    fleet: Fleet, *requests: tuple[str, str, dict[str, Any], dict[str, str]], door: Door | None = None
) -> list[tuple[int, Any]]:
    """Requests to a gateway, one after the other: status and body of each."""
    reloader = Reloader(fleet.revision, fleet.compiler.compile, 3_600)
    app = Gateway(
        reloader,
        Pins(fleet.compiler),
        Remembering(),
        upstreams=lambda: members_document(fleet.board),
        more_families=lambda: members_families(fleet.board),
        on_feedback=told(fleet.board),
        door=door,
    )

    async def one(method: str, path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        messages: list[dict[str, Any]] = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(body).encode()}

        async def send(message: Any) -> None:
            messages.append(message)

        await app(scope, receive, send)
        return messages[0]["status"], json.loads(b"".join(each.get("body", b"") for each in messages))

    async def story() -> list[tuple[int, Any]]:
        await reloader.start()
        try:
            return [await one(*request) for request in requests]
        finally:
            await reloader.stop()

    return asyncio.run(story())


CHAT = {"model": "cards", "messages": [{"role": "user", "content": "x"}]}


def test_gateway__feedback_by_label__judges_members_and_shows_in_backends() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "loans", quorum=2)
    answers = conversation(
        fleet,
        ("POST", "/v1/chat/completions", CHAT, {"x-request-id": "r7"}),
        ("POST", "/v1/feedback", {"request_id": "chatcmpl-r7", "label": "b"}, {}),
        ("GET", "/v1/backends", {}, {}),
    )
    assert answers[0][1]["model"] == "cards@cards-e1"
    shown = {each["member"]: each for each in answers[2][1]["data"]}
    assert shown["cards@cards-v1"]["accuracy"] == 0
    assert shown["loans@loans-v1"]["accuracy"] == 1
    assert shown["loans@loans-v1"]["state"] == State.ACTIVE
    text = render(members_families(fleet.board))
    assert (
        'bailiwick_ensemble_member_accuracy{domain="cards",ensemble="cards@cards-e1",member="loans@loans-v1"} 1' in text
    )


def keyed(fleet: Fleet, limits: Limits = NO_LIMITS, *limited: tuple[str, Limits]) -> Door:
    """A door at which time stands still; one key is for `cards` alone."""
    key = ClientKey("key-1", "app", "ada", "", ("cards",), limits, SECRET[:8], CLOCK.now(), "ada")
    fleet.let_in = AccessState(1, (key,), (KeySecret("key-1", digest_of(SECRET)),), limited)
    door = Door(clock=CLOCK)
    door._local = LocalLimits(door.meter.spent, door.meter.to_midnight_ms, lambda: 0)
    return door


def chat(model: str, **more: Any) -> tuple[str, str, dict[str, Any], dict[str, str]]:
    return "POST", "/v1/chat/completions", {**CHAT, "model": model, **more}, {"authorization": f"Bearer {SECRET}"}


def test_key__for_the_ensembles_domain__is_for_what_it_asks_and_pays_for_all_of_it() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "loans", "loans@loans-v1", quorum=3)
    door = keyed(fleet, NO_LIMITS, ("loans", Limits(requests_per_minute=1)))
    refused, *answered = conversation(fleet, chat("loans"), chat("cards"), chat("cards"), chat("cards"), door=door)
    assert refused[0] == 403
    assert [status for status, _ in answered] == [200, 200, 200]
    members = [each["usage"] for _, document in answered for each in document["bailiwick"]["members"]]
    assert len(members) == 9
    assert door.meter.spent("key-1") == sum(each["prompt_tokens"] + each["completion_tokens"] for each in members)


def test_tokens__of_an_ensemble__are_taken_on_entry_for_every_member_that_is_asked_at_once() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "loans")
    two = [chat("cards", max_tokens=60)] * 2
    alone = [chat("cards@cards-v1", max_tokens=60)] * 2
    tight = Limits(tokens_per_minute=100)
    assert [status for status, _ in conversation(fleet, *alone, door=keyed(fleet, tight))] == [200, 200]
    # twice the estimate is more than a minute's tokens: it waits until the bucket is full again
    assert [status for status, _ in conversation(fleet, *two, door=keyed(fleet, tight))] == [200, 429]


def test_models_asked__nested_at_once_and_in_turn() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "cards@cards-v2")
    fleet.ensemble("loans-e1", "cards@cards-e1", "loans@loans-v1")
    assert models_asked(bound(fleet.compiler.compile(None), "loans")) == 3
    fleet.ensemble("loans-e2", "cards@cards-v1", "cards@cards-v2", strategy=Strategy.FIRST_GOOD)
    assert models_asked(bound(fleet.compiler.compile(None), "loans")) == 1


def test_gateway__limits_in_headers__reach_the_ensemble_or_are_refused() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "loans")
    (status, body), (good, _) = conversation(
        fleet,
        ("POST", "/v1/chat/completions", CHAT, {"x-bailiwick-max-cost": "cheap"}),
        ("POST", "/v1/chat/completions", CHAT, {"x-bailiwick-max-cost": "1e3"}),
    )
    assert (status, body["error"]["param"], good) == (400, "x-bailiwick-max-cost", 200)


@pytest.mark.parametrize("given", [b"", b"nan", b"inf", b"-1", b"1e99", b"\xff", b"1" * 30])
def test_limits_of__no_number__refused(given: bytes) -> None:
    with pytest.raises(InvalidInput):
        limits_of({b"x-bailiwick-max-latency-ms": given})


def test_told__feedback_on_something_else__nothing() -> None:
    told(Board())(FeedbackRequest("r1", value=1.0))


def test_identity__what_a_followed_member_serves__is_part_of_it() -> None:
    fleet = Fleet()
    fleet.ensemble("cards-e1", "cards@cards-v1", "loans")
    first = fleet.compiler.compile(None)
    assert bound(fleet.compiler.compile(first), "cards").identity == bound(first, "cards").identity != ""
    fleet.models["loans-v2"] = Fixed(a=0.1, b=0.9)
    fleet.held["loans"] = whole("loans", "loans-v2", "s")
    fleet.changed()
    assert bound(fleet.compiler.compile(first), "cards").identity not in ("", bound(first, "cards").identity)
