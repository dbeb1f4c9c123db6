"""A real server process, spoken to by the official client as anybody would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from raw_upstream import upstream as raw_upstream
from serving import ADA, Fleet, ServerProcess, Upstream, serving

from bailiwick.domains.model import Backend, Domain
from bailiwick.traffic.assign import version_for

LOST = [{"role": "user", "content": "my card was stolen"}]


def client_of(server: ServerProcess) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=30)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.close()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Fleet:
    built = Fleet(tmp_path_factory.mktemp("fleet"))
    built.upstream("chatty", upstream.url, timeout_s=1.0, retries=2, api_key_env="CHATTY_KEY")
    built.upstream("backed", upstream.url, timeout_s=1.0, retries=0, fallback="cards")
    built.upstream("frank", upstream.url, timeout_s=5.0, retries=0, breaker_failures=0)
    built.upstream("nowhere", "http://127.0.0.1:9/v1", timeout_s=1.0, retries=1)
    built.upstream("keyless", upstream.url, api_key_env="NO_SUCH_KEY_VARIABLE")
    return built


@pytest.fixture(scope="module")
def server(fleet: Fleet) -> Iterator[ServerProcess]:
    with serving(fleet.home, {"CHATTY_KEY": "sk-secret"}) as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with client_of(server) as made:
        yield made


def post(server: ServerProcess, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any, Any]:
    """Status, parsed body and headers."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}{path}", raw, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response), response.headers
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), error.headers


def get(server: ServerProcess, path: str) -> Any:
    with urllib.request.urlopen(f"{server.url}{path}", timeout=30) as response:
        return json.load(response) if "json" in response.headers["content-type"] else response.read().decode()


def _sample(server: ServerProcess, name: str) -> float:
    lines = get(server, "/metrics").splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)


# Local models


def test_chat__named_domain__label_and_headers(client: openai.OpenAI, fleet: Fleet) -> None:
    raw = client.chat.completions.with_raw_response.create(model="cards", messages=LOST)
    answer = raw.parse()
    assert answer.choices[0].message.content == "lost_card"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 1)
    assert answer.model == f"cards@{fleet.versions['cards'][0]}"
    assert raw.headers["x-bailiwick-domain"] == "cards"
    assert raw.headers["x-bailiwick-version"] == fleet.versions["cards"][0]
    assert raw.headers["x-bailiwick-route"] == "explicit"
    assert answer.id == f"chatcmpl-{raw.headers['x-request-id']}"


def test_chat__auto__detected_domain_with_confidence(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "what is the mortgage rate today"}]
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=messages)
    assert raw.parse().choices[0].message.content == "loan_rate"
    assert raw.headers["x-bailiwick-domain"] == "loans"
    assert raw.headers["x-bailiwick-route"] in ("rule", "detected")
    assert 0.5 < float(raw.headers["x-bailiwick-confidence"]) <= 1


def test_chat__auto_without_any_hint__default_domain(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "qwertz uiop"}]
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=messages)
    assert (raw.headers["x-bailiwick-domain"], raw.headers["x-bailiwick-route"]) == ("cards", "fallback")


def test_chat__json_asked_for__label_confidence_alternatives(client: openai.OpenAI) -> None:
    wanted = {"type": "json_object"}
    answer = client.chat.completions.create(model="cards", messages=LOST, response_format=wanted)
    document = json.loads(answer.choices[0].message.content or "")
    assert (document["domain"], document["label"]) == ("cards", "lost_card")
    confidences = [document["confidence"], *(other["confidence"] for other in document["alternatives"])]
    assert sum(confidences) == pytest.approx(1, abs=1e-5)
    assert confidences == sorted(confidences, reverse=True)


def test_chat__logprobs__probabilities_of_the_top_labels(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="cards", messages=LOST, logprobs=True, top_logprobs=3)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    top = logprobs.content[0].top_logprobs
    assert top[0].token == "lost_card"
    assert sum(math.exp(each.logprob) for each in top) == pytest.approx(1)


def test_chat__stream__role_content_finish_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="cards", messages=LOST, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == "lost_card"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None


def test_chat__async_client__same_answer(server: ServerProcess) -> None:
    async def ask() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x") as client:
            whole = await client.chat.completions.create(model="cards", messages=LOST)
            pieces = await client.chat.completions.create(model="cards", messages=LOST, stream=True)
            streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in pieces])
            return [whole.choices[0].message.content or "", streamed]

    assert asyncio.run(ask()) == ["lost_card", "lost_card"]


def test_completion__several_prompts__one_choice_each(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="loans", prompt=["apply for a mortgage", "repay my loan early"])
    assert [choice.text for choice in answer.choices] == ["apply_loan", "repay_loan"]
    streamed = client.completions.create(model="loans", prompt="apply for a mortgage", stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == "apply_loan"


def test_embeddings__texts_read_alike__are_close(client: openai.OpenAI) -> None:
    texts = ["my card was stolen", "I lost my card", "why was I charged a card fee"]
    answer = client.embeddings.create(model="cards", input=texts)
    stolen, lost, fee = (row.embedding for row in answer.data)

    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert cosine(stolen, stolen) == pytest.approx(1, abs=1e-5)
    assert cosine(stolen, lost) > cosine(stolen, fee)
    again = client.embeddings.create(model="cards", input=texts[0], encoding_format="float")
    assert again.data[0].embedding == pytest.approx(stolen, abs=1e-6)


def test_embeddings__auto__refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="cannot be compared"):
        client.embeddings.create(model="auto", input="x")


def test_models__listed_and_fetched(client: openai.OpenAI, fleet: Fleet) -> None:
    assert {model.id for model in client.models.list()} >= {"auto", "cards", "loans", "chatty"}
    assert client.models.retrieve("cards").id == "cards"
    pinned = f"cards@{fleet.versions['cards'][0]}"
    assert client.models.retrieve(pinned).id == pinned
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nope")


def test_unknown_model__not_found_in_openais_shape(client: openai.OpenAI, server: ServerProcess) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nope", messages=LOST)
    assert caught.value.code == "model_not_found"
    status, body, headers = post(server, "/v1/chat/completions", {"model": "cards@v0", "messages": LOST})
    assert status == 404
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert headers["x-request-id"]


def test_pinned_version__not_in_the_plan__answers_itself(client: openai.OpenAI, fleet: Fleet) -> None:
    newer = fleet.train("cards")
    answer = client.chat.completions.create(model=f"cards@{newer}", messages=LOST)
    assert answer.model == f"cards@{newer}"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model=f"loans@{newer}", messages=LOST)


def test_request_id__given_by_the_client__comes_back(server: ServerProcess) -> None:
    body = {"model": "cards", "messages": LOST}
    assert post(server, "/v1/chat/completions", body, {"x-request-id": "my-1"})[2]["x-request-id"] == "my-1"
    assert post(server, "/v1/chat/completions", body, {"x-request-id": "no good"})[2]["x-request-id"] != "no good"


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/chat/completions", b"{", 400),
        ("/v1/chat/completions", {"model": "cards", "messages": LOST, "temperature": 9}, 400),
        ("/v1/chat/completions", {"model": "cards", "messages": LOST, "n": 2}, 400),
        ("/v1/chat/completions", {"model": "cards", "messages": [{"role": "user", "content": "x" * 200_000}]}, 400),
        ("/v1/chat/completions", b"x" * (5 << 20), 413),
        ("/v1/completions", {"model": "cards", "prompt": [1, 2, 3]}, 400),
        ("/v1/embeddings", {"model": "cards", "input": "x", "dimensions": 99}, 400),
        ("/v1/feedback", {"request_id": "a b", "value": 1}, 400),
        ("/v1/feedback", {"request_id": "r"}, 400),
        ("/v1/models", {}, 405),
    ],
)
def test_bad_request__typed_error(server: ServerProcess, path: str, body: Any, expected: int) -> None:
    status, document, _ = post(server, path, body)
    assert status == expected
    assert document["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"messages": [{"role": "user", "content": ""}]}, 200),
        ({"messages": [{"role": "user", "content": "\0\u202e\n" * 50}]}, 200),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}]}, 200),
        (
            {
                "messages": [
                    {"role": "user", "content": "my card was stolen"},
                    {"role": "assistant", "content": None, "tool_calls": [{"id": "t", "type": "function"}]},
                    {"role": "tool", "tool_call_id": "t", "content": "{}"},
                ],
                "tools": [{"type": "function", "function": {"name": "f"}}],
            },
            200,
        ),
        ({"no_such_field": {"a": [1]}, "metadata": {"k": "v"}, "seed": 7}, 200),
        ({"n": 1, "max_tokens": 1}, 200),
        ({"max_tokens": 10**9}, 200),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}, 200),
        ({"n": 2}, 400),
        ({"n": 0}, 400),
        ({"max_tokens": 0}, 400),
        ({"max_tokens": -1}, 400),
        ({"max_tokens": 1.5}, 400),
        ({"max_tokens": "5"}, 400),
        ({"max_completion_tokens": 0}, 400),
        ({"response_format": {"type": "xml"}}, 400),
        ({"response_format": "json_object"}, 400),
        ({"messages": []}, 400),
        ({"messages": [{"role": "user"}]}, 400),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400),
        ({"model": "cards@"}, 400),
        ({"model": "auto@v1"}, 400),
        ({"model": "@v1"}, 400),
        ({"model": "cards@../../etc/passwd"}, 404),
        ({"model": "cards@a\0b"}, 404),
        ({"model": "CARDS"}, 404),
    ],
)
def test_odd_request__answered_or_refused_in_openais_shape(
    server: ServerProcess, change: dict[str, Any], expected: int
) -> None:
    status, document, _ = post(server, "/v1/chat/completions", {"model": "cards", "messages": LOST, **change})
    assert status == expected, document
    if status == 200:
        assert document["choices"][0]["finish_reason"] == "stop"
    else:
        assert set(document["error"]) == {"message", "type", "param", "code"}


def test_other_paths__go_to_the_control_plane(server: ServerProcess) -> None:
    assert {domain["id"] for domain in get(server, "/v1/domains")["domains"]} >= {"cards", "loans"}
    assert get(server, "/healthz") == {"status": "ok"}
    assert "cards" in get(server, "/readyz")["domains"]
    assert "bailiwick_gateway_requests_total{" in get(server, "/metrics")


# Traffic, observations, feedback


def test_feedback__on_a_served_request__is_stored_and_joined(
    client: openai.OpenAI, server: ServerProcess, fleet: Fleet
) -> None:
    raw = client.chat.completions.with_raw_response.create(model="loans", messages=LOST)
    request_id = raw.headers["x-request-id"]
    status, stored, _ = post(server, "/v1/feedback", {"request_id": request_id, "value": False, "label": "lost_card"})
    assert (status, stored["value"]) == (201, 0.0)
    metrics = fleet.platform.metrics
    _eventually(lambda: metrics.request(request_id) is not None)
    served = metrics.request(request_id)
    assert served is not None
    assert served.version == raw.headers["x-bailiwick-version"]
    _eventually(lambda: any(each.request_id == request_id and each.joined for each in metrics.feedback_on("loans")))


def test_plan__two_versions__sticky_per_user_in_the_plans_shares(fleet: Fleet, server: ServerProcess) -> None:
    first, second = fleet.versions["loans"][0], fleet.train("loans")
    fleet.shift("loans", {first: 7_000, second: 3_000})
    _eventually(lambda: second in get(server, "/v1/models/loans")["versions"])

    def version(user: str) -> str:
        body = {"model": "loans", "messages": LOST, "user": user}
        return post(server, "/v1/chat/completions", body)[2]["x-bailiwick-version"]

    seen = [version(f"user-{number}") for number in range(200)]
    assert seen == [version(f"user-{number}") for number in range(200)]
    assert 30 <= seen.count(second) <= 90  # binomial(200, 0.3): outside with probability below 1e-5
    by_header = {
        post(server, "/v1/chat/completions", {"model": "loans", "messages": LOST}, {"x-user-id": "user-3"})[2][
            "x-bailiwick-version"
        ]
        for _ in range(5)
    }
    assert by_header == {seen[3]}
    fleet.shift("loans", {first: 10_000})


def test_plan__share_grows__only_the_users_it_needs_move_and_nobody_moves_back(
    fleet: Fleet, server: ServerProcess
) -> None:
    first, second = fleet.versions["loans"][0], fleet.train("loans")

    def on_second(share: int, by_header: bool) -> set[str]:
        fleet.shift("loans", {first: 10_000 - share, second: share})
        revision = fleet.platform.traffic.revision()
        _eventually(lambda: get(server, "/readyz")["revision"]["traffic"] == revision)
        seen = set()
        for user in (f"user-{number}" for number in range(150)):
            body = {"model": "loans", "messages": LOST}
            who = ({**body}, {"x-user-id": user}) if by_header else ({**body, "user": user}, {})
            if post(server, "/v1/chat/completions", *who)[2]["x-bailiwick-version"] == second:
                seen.add(user)
        return seen

    small, large, back = on_second(1_000, False), on_second(4_000, True), on_second(1_000, True)
    plan = fleet.platform.traffic.plan("loans")
    assert plan is not None
    assert small == {f"user-{n}" for n in range(150) if version_for(plan, f"user-{n}") == second} == back
    assert small < large
    assert 30 <= len(large) <= 92  # binomial(150, 0.4): outside with probability below 1e-5
    fleet.shift("loans", {first: 10_000})


def test_plan__changed_under_load__no_request_fails(fleet: Fleet, server: ServerProcess) -> None:
    first, second = fleet.versions["cards"][0], fleet.train("cards")
    outcomes: list[tuple[int, str]] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            status, _, headers = post(server, "/v1/chat/completions", {"model": "cards", "messages": LOST})
            outcomes.append((status, headers["x-bailiwick-version"]))

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        fleet.shift("cards", {first: 5_000, second: 5_000})
        _eventually(lambda: {version for _, version in outcomes[-50:]} == {first, second})
        fleet.shift("cards", {second: 10_000})
        _eventually(lambda: {version for _, version in outcomes[-50:]} == {second})
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        fleet.shift("cards", {first: 10_000})
    assert {status for status, _ in outcomes} == {200}


def test_domain__archived__is_gone_and_new_one_appears(fleet: Fleet, server: ServerProcess, upstream: Upstream) -> None:
    fleet.upstream("brief", upstream.url)
    upstream.will("ok")
    _eventually(lambda: post(server, "/v1/chat/completions", {"model": "brief", "messages": LOST})[0] == 200)
    fleet.platform.domains.archive("brief", ADA)
    _eventually(lambda: post(server, "/v1/chat/completions", {"model": "brief", "messages": LOST})[0] == 404)


# Upstreams


def test_upstream__answers__passed_on_with_unknown_fields_and_key(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.will("ok")
    raw = client.chat.completions.with_raw_response.create(
        model="chatty", messages=LOST, extra_body={"my_field": 1}, max_tokens=100_000
    )
    assert raw.parse().choices[0].message.content == "hello"
    assert raw.headers["x-bailiwick-version"] == "upstream"
    (body,) = upstream.bodies
    assert (body["model"], body["my_field"], body["max_tokens"]) == ("upstream-model", 1, 8192)
    assert upstream.headers[0][b"authorization"] == b"Bearer sk-secret"
    assert upstream.headers[0][b"x-request-id"].decode() == raw.headers["x-request-id"]


def test_upstream__streams__passed_through(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.will("ok")
    stream = client.chat.completions.create(model="chatty", messages=LOST, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "hello"


@pytest.mark.parametrize("step", ["503", "429", "502"])
def test_upstream__busy_twice__tried_again(client: openai.OpenAI, upstream: Upstream, step: str) -> None:
    upstream.will(step, step, "ok")
    answer = client.chat.completions.create(model="chatty", messages=LOST)
    assert answer.choices[0].message.content == "hello"
    assert len(upstream.bodies) == 3


@pytest.mark.parametrize(
    ("step", "status", "attempts"),
    [
        ("500", 502, 1),
        ("503", 503, 3),
        ("429", 429, 3),
        ("400", 400, 1),
        ("401", 502, 1),
        ("html", 502, 1),
        ("slow", 504, 1),
    ],
)
def test_upstream__fails__typed_error_without_secrets(
    server: ServerProcess, upstream: Upstream, step: str, status: int, attempts: int
) -> None:
    upstream.will(step)
    found, document, _ = post(server, "/v1/chat/completions", {"model": "chatty", "messages": LOST})
    assert found == status
    assert "sk-secret" not in json.dumps(document)
    assert len(upstream.bodies) == attempts
    assert "sk-secret" not in "".join(server.errors)


@pytest.mark.parametrize("step", ["drop", "malformed", "early"])
def test_upstream__breaks_off_its_stream__error_event_not_silence(
    client: openai.OpenAI, upstream: Upstream, step: str
) -> None:
    upstream.will(step)
    stream = client.chat.completions.create(model="chatty", messages=LOST, stream=True)
    seen = []
    with pytest.raises(openai.APIError, match="upstream"):
        for chunk in stream:
            seen.append(chunk.choices[0].delta.content)
    assert "".join(seen) == "hello"


def test_upstream__refuses__its_words_its_code_and_the_field(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.will("length")
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="maximum context length") as caught:
            client.chat.completions.create(model="frank", messages=LOST, stream=stream)  # type: ignore[call-overload]
        assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")
    assert len(upstream.bodies) == 2


def test_upstream__error_amid_its_stream__told_once_and_counted_as_a_failure(
    server: ServerProcess, upstream: Upstream
) -> None:
    upstream.will("complains")
    failed = (
        'bailiwick_gateway_requests_total{operation="chat/completions",domain="frank",version="upstream",status="502"}'
    )
    before = _sample(server, failed)
    body = json.dumps({"model": "frank", "messages": LOST, "stream": True}).encode()
    with urllib.request.urlopen(f"{server.url}/v1/chat/completions", body, timeout=30) as response:
        events = response.read().decode().split("\n\n")
    errors = [event for event in events if '"error"' in event]
    assert len(errors) == 1 and "the engine is overloaded" in errors[0]
    assert "data: [DONE]" not in events
    assert post(server, "/v1/chat/completions", {"model": "frank", "messages": LOST})[0] == 502
    _eventually(lambda: _sample(server, failed) == before + 2)


def test_upstream__domain_without_defaults__gets_what_the_client_sent(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    upstream.will("ok")
    client.chat.completions.create(model="frank", messages=LOST, response_format={"type": "grammar", "value": "x"})  # type: ignore[call-overload]
    assert upstream.bodies == [
        {"messages": LOST, "model": "upstream-model", "response_format": {"type": "grammar", "value": "x"}}
    ]


def test_upstream__clients_trace__handed_on(server: ServerProcess, upstream: Upstream) -> None:
    upstream.will("ok")
    asked = {"model": "frank", "messages": LOST}
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    post(server, "/v1/chat/completions", asked, {"traceparent": parent, "tracestate": "a=1"})
    post(server, "/v1/chat/completions", asked, {"traceparent": "nonsense", "tracestate": "a=1"})
    told = [(each.get(b"traceparent"), each.get(b"tracestate")) for each in upstream.headers]
    assert told == [(parent.encode(), b"a=1"), (None, None)]


def test_upstream__busy_with_a_moment_to_come_again__told_to_the_client(tmp_path: Any) -> None:
    answer = b"HTTP/1.1 429 Busy\r\nretry-after-ms: 2500\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n"

    async def story() -> None:
        async with raw_upstream(answer) as busy:
            fleet = Fleet(tmp_path)
            fleet.upstream("busy", busy.url, retries=0)
            with serving(fleet.home) as server:
                asked = {"model": "busy", "messages": LOST}
                status, _, headers = await asyncio.to_thread(post, server, "/v1/chat/completions", asked)
                assert (status, headers["retry-after"]) == (429, "3")
            fleet.platform.close()

    asyncio.run(story())


def test_base_url__without_v1__serves_as_well(server: ServerProcess) -> None:
    with openai.OpenAI(base_url=server.url, api_key="unused", max_retries=0, timeout=30) as client:
        chat = client.chat.completions.create(model="cards", messages=LOST)  # type: ignore[arg-type]
        assert chat.choices[0].message.content == "lost_card"
        assert client.completions.create(model="cards", prompt="my card was stolen").choices[0].text == "lost_card"
        assert client.responses.create(model="cards", input="my card was stolen").output_text == "lost_card"
        assert client.embeddings.create(model="cards", input="my card").data[0].embedding
        assert "cards" in {model.id for model in client.models.list()}
        assert client.models.retrieve("cards").id == "cards"


def test_metrics__every_family__named_as_prometheus_asks_and_explained(server: ServerProcess) -> None:
    lines = get(server, "/metrics").splitlines()
    helped = dict(line.split(" ", 3)[2:] for line in lines if line.startswith("# HELP "))
    typed = dict(line.split(" ", 3)[2:] for line in lines if line.startswith("# TYPE "))
    assert len(typed) > 30
    assert helped.keys() == typed.keys() and all(helped.values())
    for name, kind in typed.items():
        assert re.fullmatch(r"(bailiwick|gen_ai)_[a-z0-9_]+", name)
        assert name.endswith("_total") == (kind == "counter"), name
    samples = [re.match(r"[a-z0-9_]+", line) for line in lines if line and not line.startswith("#")]
    ends = re.compile(r"_(bucket|sum|count)$")
    assert all(found and (found[0] in typed or ends.sub("", found[0]) in typed) for found in samples)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/models", "/metrics"])
def test_head__where_get_is_answered__head_alone(server: ServerProcess, path: str) -> None:
    request = urllib.request.Request(f"{server.url}{path}", method="HEAD")
    with urllib.request.urlopen(request, timeout=30) as response:
        assert (response.status, response.read()) == (200, b"")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("step", ["500", "503", "slow"])
def test_upstream__fails_with_a_fallback__the_fallback_answers(
    server: ServerProcess, client: openai.OpenAI, upstream: Upstream, step: str, stream: bool
) -> None:
    upstream.will(step)
    raw = client.chat.completions.with_raw_response.create(model="backed", messages=LOST, stream=stream)  # type: ignore[call-overload]
    assert (raw.headers["x-bailiwick-domain"], raw.headers["x-bailiwick-route"]) == ("cards", "fallback")
    parsed = raw.parse()
    if stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in parsed) == "lost_card"
    else:
        assert parsed.choices[0].message.content == "lost_card"


def test_upstream__not_there_or_without_its_key__503(server: ServerProcess) -> None:
    for model, words in (("nowhere", "cannot be connected to"), ("keyless", "NO_SUCH_KEY_VARIABLE")):
        status, document, _ = post(server, "/v1/chat/completions", {"model": model, "messages": LOST})
        assert status == 503
        assert words in document["error"]["message"]


def test_upstream__client_leaves__upstream_is_let_go(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.will("forever")
    stream = client.chat.completions.create(model="chatty", messages=LOST, stream=True)
    next(iter(stream))
    stream.close()
    assert upstream.left.wait(10)


def test_upstream__client_leaves_before_the_answer__upstream_is_let_go(server: ServerProcess, fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fleet.upstream("silent", f"http://127.0.0.1:{listening.getsockname()[1]}/v1", timeout_s=60.0)
        _eventually(lambda: "silent" in get(server, "/readyz")["domains"])
        body = json.dumps({"model": "silent", "messages": LOST}).encode()
        host, _, port = server.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
            )
            asked, _ = listening.accept()
            asked.settimeout(20)
            assert b"silent" not in asked.recv(65_536)  # the upstream's own name of the model
        with asked, contextlib.suppress(ConnectionResetError):
            while asked.recv(65_536):
                pass


def test_timeout_header__shorter_than_the_domain_s__answered_in_time(server: ServerProcess, upstream: Upstream) -> None:
    upstream.will("slow")
    asked = {"model": "chatty", "messages": LOST}
    status, document, _ = post(server, "/v1/chat/completions", asked, {"X-Request-Timeout-Ms": "200"})
    assert (status, "within 0." in document["error"]["message"] or "0.2 s" in document["error"]["message"]) == (
        504,
        True,
    )
    assert 1 <= int(upstream.headers[0][b"x-request-timeout-ms"]) <= 200
    status, document, _ = post(server, "/v1/chat/completions", asked, {"X-Request-Timeout-Ms": "soon"})
    assert (status, document["error"]["param"]) == (400, "x-request-timeout-ms")


def test_replicas__one_is_away__answers_and_shown(server: ServerProcess, fleet: Fleet, upstream: Upstream) -> None:
    fleet.upstream("double", ("http://127.0.0.1:9/v1", upstream.url), weights=(2.0, 1.0))
    _eventually(lambda: "double" in get(server, "/readyz")["domains"])
    upstream.will("ok")
    for _ in range(12):
        assert post(server, "/v1/chat/completions", {"model": "double", "messages": LOST})[0] == 200
    by_replica = {each["replica"]: each for each in get(server, "/v1/backends")["data"] if each["domain"] == "double"}
    away, there = by_replica["127.0.0.1:9"], by_replica[upstream.url.removeprefix("http://").removesuffix("/v1")]
    assert (there["calls"], there["failures"], there["state"]) == (12, 0, "closed")
    assert away["failures"] == away["calls"] > 0
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as response:
        text = response.read().decode()
    assert f'bailiwick_upstream_failures_total{{domain="double",replica="127.0.0.1:9"}} {away["failures"]}' in text
    listed = subprocess.run(
        [sys.executable, "-m", "bailiwick", "backend", "list", "--url", server.url],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": "src"},
        check=True,
    )
    assert "double" in listed.stdout


def test_aiohttp__chosen_in_the_settings__serves_as_well(tmp_path: Any, upstream: Upstream) -> None:
    own = Fleet(tmp_path / "aiohttp")
    own.upstream("chatty", upstream.url)
    upstream.will("ok")
    with serving(own.home, {"BAILIWICK_UPSTREAM_CLIENT": "aiohttp"}) as running, client_of(running) as client:
        assert client.chat.completions.create(model="chatty", messages=LOST).choices[0].message.content == "hello"
        stream = client.chat.completions.create(model="chatty", messages=LOST, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "hello"


@pytest.mark.parametrize("model", ["cards", "auto"])
def test_responses__local_model__as_the_official_client_reads_them(client: openai.OpenAI, model: str) -> None:
    answer = client.responses.create(model=model, input="my card was stolen", max_output_tokens=5)
    assert (answer.output_text, answer.status, answer.max_output_tokens) == ("lost_card", "completed", 5)
    assert answer.usage is not None and answer.usage.input_tokens == 4
    asked: Any = [{"role": "user", "content": [{"type": "input_text", "text": "my card was stolen"}]}]
    as_json = client.responses.create(model=model, input=asked, text={"format": {"type": "json_object"}})
    assert json.loads(as_json.output_text)["label"] == "lost_card"
    with client.responses.stream(model=model, input=asked) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == "lost_card"
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_responses__upstream__passed_through_whole_and_streamed(
    fleet: Fleet, server: ServerProcess, tmp_path: Any
) -> None:
    front = Fleet(tmp_path / "responding")
    front.create(_relayed("far", f"{server.url}/v1"))
    with serving(front.home) as second, client_of(second) as client:
        assert client.responses.create(model="far", input="my card was stolen").output_text == "lost_card"
        with client.responses.stream(model="far", input="my card was stolen") as stream:
            assert stream.get_final_response().output_text == "lost_card"


def test_responses__template_without_input__for_the_upstream_to_know(
    client: openai.OpenAI, server: ServerProcess, upstream: Upstream
) -> None:
    upstream.will("ok")
    asked = {"prompt": {"id": "pmpt_1", "variables": {"city": "Utrecht"}}}
    assert post(server, "/v1/responses", {"model": "frank", **asked})[0] == 200
    assert upstream.bodies == [{"model": "upstream-model", **asked}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="cards", prompt={"id": "pmpt_1"})
    assert caught.value.param == "prompt"


@pytest.mark.parametrize("given", [None, [], [1], [{}], 7, [{"role": "nobody", "content": "x"}]])
def test_responses__bad_input__400_that_names_it(server: ServerProcess, given: Any) -> None:
    status, document, _ = post(server, "/v1/responses", {"model": "cards", "input": given})
    assert (status, document["error"]["param"].split(".")[0]) == (400, "input")


def test_responses__earlier_response_named__refused_where_nothing_is_kept(server: ServerProcess) -> None:
    body = {"model": "cards", "input": "x", "previous_response_id": "resp_1"}
    status, document, _ = post(server, "/v1/responses", body)
    assert (status, document["error"]["param"]) == (400, "previous_response_id")


def test_upstream__another_bailiwick__works_as_one(fleet: Fleet, server: ServerProcess, tmp_path: Any) -> None:
    front = Fleet(tmp_path / "front")
    front.create(_relayed("far", f"{server.url}/v1"))
    with serving(front.home) as second, client_of(second) as client:
        answer = client.chat.completions.create(model="far", messages=LOST)
        assert answer.choices[0].message.content == "lost_card"
        stream = client.chat.completions.create(model="far", messages=LOST, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "lost_card"
        assert len(client.embeddings.create(model="far", input="x").data[0].embedding) == 3


def _relayed(name: str, url: str) -> Any:
    return Domain(name, name, "agent", backend=Backend("openai-compatible", base_url=url, model="cards"))


# Stopping, and what cannot start


def test_sigterm__during_a_request__finishes_it_and_writes_what_was_observed(
    fleet: Fleet, upstream: Upstream, tmp_path: Any
) -> None:
    own = Fleet(tmp_path / "own")
    own.upstream("slow", upstream.url, timeout_s=10.0, retries=0)
    upstream.will("slow")
    with serving(own.home, {"BAILIWICK_METRICS_INTERVAL_S": "30"}) as server:
        answers: list[Any] = []
        body = {"model": "slow", "messages": LOST}
        asking = threading.Thread(target=lambda: answers.append(post(server, "/v1/chat/completions", body)))
        asking.start()
        _eventually(lambda: len(upstream.bodies) == 1)
        assert server.terminate() == 0
        asking.join()
    status, document, headers = answers[0]
    assert (status, document["choices"][0]["message"]["content"]) == (200, "hello")
    assert own.platform.metrics.request(headers["x-request-id"]) is not None


def test_port__already_taken__clear_error_and_exit_code(server: ServerProcess, fleet: Fleet) -> None:
    port = server.url.rpartition(":")[2]
    finished = subprocess.run(
        [sys.executable, "-m", "bailiwick", "--home", str(fleet.home), "serve", "--port", port],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": "src"},
        check=False,
    )
    assert finished.returncode == 8
    assert "already in use" in finished.stderr
    assert "--port" in finished.stderr


def _eventually(condition: Any, seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)
