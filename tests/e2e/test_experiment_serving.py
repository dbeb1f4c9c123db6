"""Experiments through a real server process: the official OpenAI client, and the official OpenFeature SDK."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest
from experiment_plans import experiment
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason
from serving import ADA, Fleet, ServerProcess, Upstream, serving

from bailiwick.traffic.enter import assignments, compile_domain
from bailiwick.traffic.model import Arm, Condition, ExperimentPlan, Holdout, Operator
from bailiwick.traffic.weights import reweight

USERS = [f"user-{number}" for number in range(40)]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.close()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Fleet:
    built = Fleet(tmp_path_factory.mktemp("fleet"))
    built.upstream("chatty", upstream.url, timeout_s=2.0, retries=0)
    built.train("cards")
    return built


@pytest.fixture(scope="module")
def server(fleet: Fleet) -> Iterator[ServerProcess]:
    with serving(fleet.home) as running:
        yield running


def place(fleet: Fleet, *plans: ExperimentPlan) -> None:
    with fleet.platform.traffic.changing() as connection:
        for plan in plans:
            fleet.platform.traffic.place(connection, plan, actor=ADA)


def withdraw(fleet: Fleet, *names: str) -> None:
    with fleet.platform.traffic.changing() as connection:
        for name in names:
            fleet.platform.traffic.withdraw(connection, name, actor=ADA)


def eventually(holds: Callable[[], bool]) -> None:
    """The server looks for changes ten times a second; give it a minute."""
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until, "the server did not notice"
        time.sleep(0.05)


def post(server: ServerProcess, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}{path}", raw, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response), response.headers
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text else None, error.headers


def chat(server: ServerProcess, user: str, model: str = "cards", **fields: Any) -> tuple[str, list[str]]:
    """The version that answered, and the experiments."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=30) as client:
        answer = client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": "my card was stolen"}], user=user, **fields
        )
    return answer.headers["x-bailiwick-version"], answer.headers.get_list("x-bailiwick-experiment", split_commas=True)


def in_force(server: ServerProcess, revision: int) -> bool:
    with urllib.request.urlopen(f"{server.url}/readyz", timeout=30) as response:
        return bool(json.load(response)["revision"]["traffic"] == revision)


def test_chat__experiment_placed_shifted_and_withdrawn__gateway_follows(fleet: Fleet, server: ServerProcess) -> None:
    old, new = fleet.versions["cards"]
    plan = experiment("model", versions={"control": old, "treatment": new})
    assert chat(server, "user-1") == (old, [])
    place(fleet, plan)
    eventually(lambda: in_force(server, fleet.platform.traffic.revision()))

    def expected(user: str) -> tuple[str, list[str]]:
        [found] = assignments(compile_domain([plan], Holdout()), {}.get, {"user": user}.get)
        return found.arm.version or "", [f"model={found.arm.name}"]

    before = {user: chat(server, user) for user in USERS}
    assert before == {user: expected(user) for user in USERS}
    assert {version for version, _ in before.values()} == {old, new}

    grown = replace(plan, split=reweight(plan.split, {"control": 2000, "treatment": 8000}))
    place(fleet, grown)
    eventually(lambda: in_force(server, fleet.platform.traffic.revision()))
    after = {user: chat(server, user) for user in USERS}
    assert all(after[user][0] == new for user in USERS if before[user][0] == new), "nobody leaves an arm that grows"

    withdraw(fleet, "model")
    eventually(lambda: in_force(server, fleet.platform.traffic.revision()))
    assert {chat(server, user)[0] for user in USERS} == {old}


def test_chat__parameters_of_the_arm__reach_the_upstream(
    fleet: Fleet, server: ServerProcess, upstream: Upstream
) -> None:
    heat = {"control": {"temperature": 0.0}, "treatment": {"temperature": 1.25, "greeting": "for the application"}}
    place(fleet, experiment("heat", domain="chatty", parameters=heat, unit="session"))
    eventually(lambda: in_force(server, fleet.platform.traffic.revision()))
    upstream.will("ok")
    seen = {}
    for number in range(12):
        _, [entered] = chat(server, "u", "chatty", temperature=0.7, extra_headers={"X-Session-ID": f"s-{number}"})
        seen.setdefault(entered, set()).add(upstream.bodies[-1]["temperature"])
        assert "greeting" not in upstream.bodies[-1]
    assert seen == {"heat=control": {0.0}, "heat=treatment": {1.25}}
    assert chat(server, "u", "chatty") == ("upstream", []), "without a session nobody takes part"
    withdraw(fleet, "heat")


def test_readyz__version_that_cannot_be_loaded__experiment_left_out_and_requests_answered(
    fleet: Fleet, server: ServerProcess
) -> None:
    place(fleet, experiment("broken", versions={"treatment": "cards-gone"}))
    eventually(lambda: in_force(server, fleet.platform.traffic.revision()))
    with urllib.request.urlopen(f"{server.url}/readyz", timeout=30) as response:
        problems = json.load(response)["problems"]
    assert any("'broken' is left out" in problem for problem in problems)
    assert chat(server, "user-1") == (fleet.versions["cards"][0], [])
    withdraw(fleet, "broken")


# OpenFeature


FLAGS = experiment(
    "checkout",
    arms=[
        Arm("control", None, {"banner": "plain", "columns": 2, "ratio": 1, "dark": False}),
        Arm("treatment", None, {"banner": "warm", "columns": 3, "ratio": 1.5, "dark": True}),
    ],
    overrides={"tester": "treatment"},
    conditions=(Condition("country", Operator.NOT_IN, ("xx",)),),
)
NAMES = experiment("naming", layer="names")


@pytest.fixture(scope="module")
def flags(fleet: Fleet, server: ServerProcess) -> Iterator[OpenFeatureClient]:
    place(fleet, FLAGS, NAMES)
    eventually(lambda: in_force(server, fleet.platform.traffic.revision()))
    api.set_provider(OFREPProvider(server.url))
    yield api.get_client()
    api.shutdown()
    withdraw(fleet, "checkout", "naming")


def test_openfeature__typed_values__are_those_of_the_arm(flags: OpenFeatureClient) -> None:
    compiled = compile_domain([FLAGS, NAMES], Holdout())
    seen = set()
    for user in USERS[:12]:
        who = EvaluationContext(user, {"country": "nl"})
        found = assignments(compiled, {"country": "nl"}.get, {"user": user}.get)
        arm, naming = (next(e.arm for e in found if e.experiment == name) for name in ("checkout", "naming"))
        assert flags.get_string_value("naming", "?", who) == naming.name
        assert flags.get_string_value("checkout.banner", "?", who) == arm.parameters["banner"]
        assert flags.get_integer_value("checkout.columns", 0, who) == arm.parameters["columns"]
        assert flags.get_float_value("checkout.ratio", 0.0, who) == arm.parameters["ratio"]
        assert flags.get_boolean_value("checkout.dark", False, who) == arm.parameters["dark"]
        assert flags.get_object_value("checkout", {}, who) == arm.parameters
        seen.add(arm.name)
    assert seen == {"control", "treatment"}


def test_openfeature__details__reason_variant_and_metadata(flags: OpenFeatureClient) -> None:
    details = flags.get_string_details("naming", "?", EvaluationContext("user-1"))
    assert (details.reason, details.variant, details.error_code) == (Reason.SPLIT, details.value, None)
    assert details.flag_metadata["propensity"] == 0.5
    assert details.flag_metadata["requestId"]
    tester = flags.get_boolean_details("checkout.dark", False, EvaluationContext("tester"))
    assert (tester.value, tester.reason) == (True, Reason.TARGETING_MATCH)
    outside = flags.get_string_details("checkout.banner", "mine", EvaluationContext("user-1", {"country": "xx"}))
    assert (outside.value, outside.reason, outside.error_code) == ("mine", Reason.DISABLED, None)
    ended = flags.get_string_details("model", "mine", EvaluationContext("user-1"))
    assert (ended.value, ended.reason) == ("mine", Reason.DISABLED)


def test_openfeature__what_goes_wrong__default_with_the_right_code(flags: OpenFeatureClient) -> None:
    unknown = flags.get_string_details("nobody", "mine", EvaluationContext("user-1"))
    assert (unknown.value, unknown.error_code) == ("mine", ErrorCode.FLAG_NOT_FOUND)
    keyless = flags.get_string_details("naming", "mine", EvaluationContext())
    assert (keyless.value, keyless.error_code) == ("mine", ErrorCode.TARGETING_KEY_MISSING)
    wrong = flags.get_integer_details("checkout.banner", 7, EvaluationContext("user-1"))
    assert (wrong.value, wrong.error_code) == (7, ErrorCode.TYPE_MISMATCH)


def test_ofrep__bulk__every_flag_then_304_until_something_changes(
    fleet: Fleet, server: ServerProcess, flags: OpenFeatureClient
) -> None:
    body = {"context": {"targetingKey": "user-1"}}
    status, document, headers = post(server, "/ofrep/v1/evaluate/flags", body)
    keys = ["checkout", *(f"checkout.{name}" for name in ("banner", "columns", "dark", "ratio")), "naming"]
    assert (status, [each["key"] for each in document["flags"]]) == (200, keys)
    again = post(server, "/ofrep/v1/evaluate/flags", body, {"If-None-Match": f'"x", W/{headers["etag"]}'})
    assert (again[0], again[1], again[2]["etag"]) == (304, None, headers["etag"])
    other = {"context": {"targetingKey": "user-1", "country": "xx"}}
    assert post(server, "/ofrep/v1/evaluate/flags", other, {"If-None-Match": headers["etag"]})[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/naming", b"{", 400, "PARSE_ERROR"),
        ("", b"[]", 400, "PARSE_ERROR"),
        ("/naming", {"context": 7}, 400, "INVALID_CONTEXT"),
        ("", {"context": {"targetingKey": 7}}, 400, "INVALID_CONTEXT"),
        ("/naming", {}, 400, "TARGETING_KEY_MISSING"),
        ("/nobody", {"context": {"targetingKey": "u"}}, 404, "FLAG_NOT_FOUND"),
        ("/naming%2F..%2Fx", {"context": {"targetingKey": "u"}}, 404, "FLAG_NOT_FOUND"),
    ],
)
@pytest.mark.usefixtures("flags")
def test_ofrep__bad_request__status_and_code(
    server: ServerProcess, path: str, body: Any, status: int, code: str
) -> None:
    found, document, _ = post(server, f"/ofrep/v1/evaluate/flags{path}", body)
    assert (found, document["errorCode"]) == (status, code)
    assert ("key" in document) is bool(path)


@pytest.mark.usefixtures("flags")
def test_ofrep__get__405(server: ServerProcess) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/ofrep/v1/evaluate/flags/naming", timeout=30)
    assert (caught.value.code, caught.value.headers["allow"]) == (405, "POST")
