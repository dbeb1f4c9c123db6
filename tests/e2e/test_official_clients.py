"""What the official clients make of the gateway: Python, sync and async with its helpers, and JavaScript.

The other half of the Python client's proofs, on local models, is in `test_gateway.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel
from serving import Fleet, ServerProcess, Upstream, serving
from speaking_upstream import ARGUMENTS, USAGE, WORDS, SpeakingUpstream

JAVASCRIPT = Path(__file__).parent / "official_client.mjs"
NPM_PACKAGE = "openai@6.49.0"
NPM_INTEGRITY = "sha512-aYCc0C6L864eR6WSYIwQGyXriw/nIyZx0ObvhzOEVuk0zoBDpynjSbrionWI7q65B5H8jJX0DXR9snEzM6bfPg=="
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
LOST: list[ChatCompletionMessageParam] = [{"role": "user", "content": "my card was stolen"}]
TOOLS: list[ChatCompletionToolParam] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("weather", "forecast")
]
SAID = "".join(WORDS)


class City(BaseModel):
    name: str
    country: str


class Reading(BaseModel):
    """What a local model answers where JSON is asked for."""

    domain: str
    label: str
    confidence: float


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    speaking, failing = SpeakingUpstream(), Upstream()
    failing.will("429")
    fleet = Fleet(tmp_path_factory.mktemp("clients"))
    fleet.upstream("far", speaking.url)
    fleet.upstream("busy", failing.url, retries=0)
    with serving(fleet.home) as running:
        yield running
    speaking.close()
    failing.close()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=30) as made:
        yield made


def test_chat__several_choices_with_logprobs__all_there(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="far", messages=HELLO, n=3, logprobs=True, top_logprobs=2, seed=9)
    assert [(each.index, each.message.content, each.finish_reason) for each in answer.choices] == [
        (index, SAID, "stop") for index in range(3)
    ]
    logprobs = answer.choices[2].logprobs
    assert logprobs is not None and logprobs.content is not None
    assert [each.token for each in logprobs.content] == list(WORDS)
    assert answer.usage is not None and answer.usage.model_dump(exclude_none=True) == USAGE
    extra = answer.model_extra or {}
    assert extra["x_extra"] == {"a": 1}, "fields that nobody knows come back"
    asked = extra["asked"]
    assert (asked["n"], asked["top_logprobs"], asked["seed"], asked["model"]) == (3, 2, 9, "upstream-model")


def test_chat__fields_that_the_gateway_does_not_know__reach_the_upstream(client: openai.OpenAI) -> None:
    unknown = {"my_field": [1, {"b": None}], "reasoning_effort": "low", "metadata": {"team": "x"}, "big": 2**60}
    answer = client.chat.completions.create(model="far", messages=HELLO, extra_body=unknown, stop=["\n"])
    asked = (answer.model_extra or {})["asked"]
    assert {name: asked[name] for name in unknown} == unknown
    assert asked["stop"] == ["\n"]


def test_chat__stream_of_several_choices__each_whole_and_usage_last(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    said = {0: "", 1: ""}
    chunks = list(
        client.chat.completions.create(
            model="far", messages=HELLO, n=2, logprobs=True, stream=True, stream_options=options
        )
    )
    for chunk in chunks:
        for choice in chunk.choices:
            said[choice.index] += choice.delta.content or ""
    assert said == {0: SAID, 1: SAID}
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == 12
    assert all(chunk.usage is None for chunk in chunks[:-1])
    without = list(client.chat.completions.create(model="far", messages=HELLO, stream=True))
    assert all(chunk.usage is None for chunk in without)


def test_chat__tools__called_whole_and_in_pieces_and_answered(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="far", messages=HELLO, tools=TOOLS, parallel_tool_calls=True)
    calls = answer.choices[0].message.tool_calls
    assert calls is not None and answer.choices[0].finish_reason == "tool_calls"
    assert [(each.function.name, each.function.arguments) for each in calls if each.type == "function"] == [
        ("weather", ARGUMENTS),
        ("forecast", ARGUMENTS),
    ]
    with client.chat.completions.stream(model="far", messages=HELLO, tools=TOOLS) as stream:
        final = stream.get_final_completion()
    streamed = final.choices[0].message.tool_calls
    assert streamed is not None and [each.function.arguments for each in streamed] == [ARGUMENTS, ARGUMENTS]
    again: list[Any] = [*HELLO, answer.choices[0].message.model_dump(exclude_none=True)]
    again += [{"role": "tool", "tool_call_id": each.id, "content": "sunny"} for each in calls]
    asked = (client.chat.completions.create(model="far", messages=again).model_extra or {})["asked"]
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "tool", "tool"]


def test_chat__structured_parse__of_an_upstream_and_of_a_local_model(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(model="far", messages=HELLO, response_format=City).choices[0].message.parsed
    assert parsed == City(name="NAME", country="COUNTRY")
    with client.chat.completions.stream(model="far", messages=HELLO, response_format=City) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion().choices[0].message.parsed
    assert final == parsed
    assert {"chunk", "content.delta", "content.done"} <= kinds
    local = (
        client.chat.completions.parse(model="cards", messages=LOST, response_format=Reading).choices[0].message.parsed
    )
    assert local is not None and (local.domain, local.label) == ("cards", "lost_card")
    reading = client.responses.parse(model="cards", input="my card was stolen", text_format=Reading).output_parsed
    assert reading is not None and reading.label == "lost_card"


def test_async_client__helpers_and_many_at_once(server: ServerProcess) -> None:
    async def work() -> None:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
            async with client.chat.completions.stream(model="far", messages=HELLO, tools=TOOLS) as stream:
                events = [event.type async for event in stream]
            assert "tool_calls.function.arguments.delta" in events
            answers = await asyncio.gather(
                *(client.chat.completions.create(model=model, messages=LOST) for model in ["far", "cards", "auto"] * 10)
            )
            assert [each.choices[0].message.content for each in answers[:3]] == [SAID, "lost_card", "lost_card"]
            models = [model.id async for model in client.models.list()]
            assert {"auto", "cards", "far"} <= set(models)
            vectors = await client.embeddings.create(model="cards", input=["a", "b"])
            assert [each.index for each in vectors.data] == [0, 1]

    asyncio.run(work())


@pytest.mark.parametrize(
    ("model", "change", "kind"),
    [
        ("nope", {}, openai.NotFoundError),
        ("cards", {"temperature": 99}, openai.BadRequestError),
        ("cards", {"n": 2}, openai.BadRequestError),
        ("busy", {}, openai.RateLimitError),
    ],
)
def test_errors__as_the_client_sorts_them(
    client: openai.OpenAI, model: str, change: dict[str, Any], kind: type[openai.APIStatusError]
) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=model, messages=LOST, **change)
    body = caught.value.body
    assert isinstance(body, dict) and set(body) == {"message", "type", "param", "code"}
    assert caught.value.request_id, "the id is in the header, for whoever asks support"


@pytest.fixture(scope="session")
def node() -> list[str]:
    """The command that runs a script beside the official package, which is installed once into a cache folder."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no node with npm on this machine")
    folder = Path(os.environ.get("BAILIWICK_TEST_NODE_CACHE", Path(tempfile.gettempdir()) / "bailiwick-node-cache"))
    lock = folder / "node_modules" / ".package-lock.json"
    if not lock.exists():
        folder.mkdir(parents=True, exist_ok=True)
        install = [npm, "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            [*install, "--fetch-retries=1", "--fetch-timeout=30000", NPM_PACKAGE],
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            cwd=folder,
        )
        if done.returncode:
            pytest.skip(f"the npm registry cannot be reached: {done.stderr.strip()[-200:]}")
    found = json.loads(lock.read_text())["packages"]["node_modules/openai"]["integrity"]
    assert found == NPM_INTEGRITY, "the package is not the one that was looked at"
    script = shutil.copy(JAVASCRIPT, folder / "official_client.mjs")  # imports are looked up beside the script
    return [node, str(script)]


def test_javascript_client__every_kind_of_call__as_the_python_client(server: ServerProcess, node: list[str]) -> None:
    done = subprocess.run([*node, f"{server.url}/v1"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["chat"] == [SAID] * 3
    assert found["tokens"] == list(WORDS)
    assert found["extra"] == {"a": 1}
    assert found["asked"] == [1, {"b": None}]
    assert found["streamed"] == SAID
    assert found["usage"] == 12
    assert found["tools"] == [["weather", ARGUMENTS], ["forecast", ARGUMENTS]]
    assert found["streamedTools"] == [ARGUMENTS, ARGUMENTS]
    assert found["parsed"] == {"name": "NAME", "country": "COUNTRY"}
    assert found["runTools"] == [3, 3]
    assert found["local"] == "lost_card"
    assert found["completion"] == ["apply_loan", "repay_loan"]
    assert found["embedding"] == pytest.approx(1, abs=1e-5)
    assert found["response"] == ["lost_card", "response.created", "response.completed"]
    assert {"auto", "cards", "far"} <= set(found["models"])
    assert found["errors"] == {
        "nope": [404, "model_not_found", "NotFoundError"],
        "cards": [400, "invalid_input", "BadRequestError"],
        "busy": [429, "upstream_failed", "RateLimitError"],
    }
    assert found["aborted"] is True
