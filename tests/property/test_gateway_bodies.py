"""Whatever a client sends, the gateway answers with a success or a 4xx in OpenAI's shape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Fleet

from bailiwick.gateway.build import RunningGateway

OPTIONS = (
    *("stream", "user", "n", "logprobs", "top_logprobs", "response_format", "stream_options", "temperature", "top_p"),
    *("max_tokens", "max_completion_tokens", "dimensions", "encoding_format"),
    *("text", "max_output_tokens", "previous_response_id", "conversation", "instructions"),
    *("request_id", "value", "metric", "label", "comment"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "assistant"]), "content": st.text() | json_values}
    ),
    max_size=3,
)
bodies = st.fixed_dictionaries(
    {"model": st.sampled_from(["cards", "auto", "loans@x", "nope"]) | json_values},
    optional={
        "messages": messages | json_values,
        "prompt": st.text() | st.lists(st.text(), max_size=3) | json_values,
        "input": st.text() | messages | st.lists(st.text(), max_size=3) | json_values,
        **dict.fromkeys(OPTIONS, json_values),
    },
)
paths = st.sampled_from(["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/feedback"])


class InProcess:
    """The ASGI application on an event loop of its own."""

    def __init__(self, fleet: Fleet) -> None:
        self.loop = asyncio.new_event_loop()
        self.running = RunningGateway(fleet.platform)
        self.loop.run_until_complete(self.running.start())

    def post(self, path: str, raw: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> tuple[int, bytes]:
        sent: list[Any] = []
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers or []}
        pieces = [{"type": "http.request", "body": raw, "more_body": False}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            return pieces.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        self.loop.run_until_complete(self.running.app(scope, receive, send))
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)

    def close(self) -> None:
        self.loop.run_until_complete(self.running.stop())
        self.loop.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    fleet = Fleet(tmp_path_factory.mktemp("fuzzed"))
    made = InProcess(fleet)
    yield made
    made.close()
    fleet.platform.close()


def check(status: int, answer: bytes) -> None:
    assert 200 <= status < 500, answer
    if status >= 400:
        assert set(orjson.loads(answer)["error"]) == {"message", "type", "param", "code"}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=paths, body=bodies | json_values)
def test_gateway__any_json__never_a_5xx(gateway: InProcess, path: str, body: Any) -> None:
    check(*gateway.post(path, json.dumps(body).encode("utf-8", "surrogatepass")))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=paths, raw=st.binary(max_size=200), value=st.binary(max_size=30))
def test_gateway__any_bytes_and_headers__never_a_5xx(gateway: InProcess, path: str, raw: bytes, value: bytes) -> None:
    headers = [(b"x-request-id", value), (b"x-user-id", value), (b"content-length", value)]
    check(*gateway.post(path, raw, headers))
    good = json.dumps({"model": "cards", "messages": [{"role": "user", "content": "my card was stolen"}]}).encode()
    check(*gateway.post("/v1/chat/completions", good, headers[:2]))


@pytest.mark.parametrize("depth", [63, 1_000, 100_000])
def test_gateway__deep_nesting_in_an_unknown_field__no_5xx(gateway: InProcess, depth: int) -> None:
    raw = (
        b'{"model": "cards", "messages": [{"role": "user", "content": "x"}], "y": ' + b"[" * depth + b"]" * depth + b"}"
    )
    status, answer = gateway.post("/v1/chat/completions", raw)
    check(status, answer)
    assert status == (200 if depth < 64 else 400)
