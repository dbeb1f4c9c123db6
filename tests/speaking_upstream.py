"""An upstream that speaks the whole of OpenAI's chat format: several choices, tools, log-probabilities, usage.

What it says is made from what it was asked, so that a test sees what reached it; every answer also has fields that no
client and no gateway knows.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn

from bailiwick.cli.serve import bound_socket

WORDS = ("Bonjour", ",", " wörld", " 🌍", "!")
USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "total_tokens": 12,
    "completion_tokens_details": {"reasoning_tokens": 2},
}
ARGUMENTS = '{"city": "Zürich", "days": 3}'
_HEAD = {
    "id": "up-1",
    "created": 1_700_000_000,
    "model": "far-model",
    "system_fingerprint": "fp_1",
    "x_extra": {"a": 1},
}


def _logprob(token: str) -> dict[str, Any]:
    return {"token": token, "logprob": -0.5, "bytes": list(token.encode()), "top_logprobs": []}


def _tool_calls(body: dict[str, Any]) -> list[dict[str, Any]]:
    tools = [tool["function"]["name"] for tool in body.get("tools", ())]
    return [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": ARGUMENTS}}
        for number, name in enumerate(tools)
    ]


def _text(body: dict[str, Any]) -> str:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return json.dumps({name: name.upper() for name in wanted["json_schema"]["schema"]["properties"]})
    return "".join(WORDS)


def whole(body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a chat request."""
    calls = _tool_calls(body)
    choices = []
    for index in range(body.get("n") or 1):
        message: dict[str, Any] = {"role": "assistant", "content": None if calls else _text(body), "refusal": None}
        if calls:
            message["tool_calls"] = calls
        logprobs = {"content": [_logprob(word) for word in WORDS], "refusal": None} if body.get("logprobs") else None
        finish = "tool_calls" if calls else "stop"
        choices.append({"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish})
    return _HEAD | {"object": "chat.completion", "choices": choices, "usage": USAGE, "asked": body}


def chunks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same in pieces: each choice word by word, the arguments of tools letter by letter."""

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None, **more}
        return _HEAD | {"object": "chat.completion.chunk", "choices": [choice]}

    calls, many = _tool_calls(body), range(body.get("n") or 1)
    for index in many:
        yield chunk(index, {"role": "assistant", "content": None if calls else ""})
    for number, call in enumerate(calls):
        opened = {**call, "index": number, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield chunk(0, {"tool_calls": [opened]})
        for letter in ARGUMENTS:
            yield chunk(0, {"tool_calls": [{"index": number, "function": {"arguments": letter}}]})
    for word in () if calls else WORDS if "response_format" not in body else (_text(body),):
        for index in many:
            scores = {"logprobs": {"content": [_logprob(word)], "refusal": None}} if body.get("logprobs") else {}
            yield chunk(index, {"content": word}, None, **scores)
    for index in many:
        yield chunk(index, {}, "tool_calls" if calls else "stop")
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _HEAD | {"object": "chat.completion.chunk", "choices": [], "usage": USAGE}


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    raw, more = b"", True
    while more:
        message = await receive()
        raw, more = raw + message.get("body", b""), message.get("more_body", False)
    body = json.loads(raw)
    if body.get("stream"):
        kind, pieces = b"text/event-stream", [f"data: {json.dumps(each)}\n\n".encode() for each in chunks(body)]
        pieces.append(b"data: [DONE]\n\n")
    else:
        kind, pieces = b"application/json", [json.dumps(whole(body)).encode()]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class SpeakingUpstream:
    """The upstream on a thread of its own."""

    def __init__(self) -> None:
        self._socket = bound_socket("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        config = uvicorn.Config(_answer, interface="asgi3", log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        self._socket.close()
