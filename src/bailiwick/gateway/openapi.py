"""The gateway's own paths as an OpenAPI document, to be read beside the control plane's. Pure."""

from __future__ import annotations

from typing import Any

from bailiwick.gateway.limits import MOST
from bailiwick.gateway.requests import MAX_INPUTS, MAX_MESSAGES, MAX_NAME, MAX_TIMEOUT_MS, MAX_UNIT
from bailiwick.models.ensemble.selection import MAX_COST, MAX_LATENCY

Document = dict[str, Any]

_TAG = "gateway"
_LIMIT: Document = {"type": "number", "minimum": 0, "maximum": MOST}


def gateway_document() -> Document:
    """``{"paths": ..., "components": {"schemas": ...}}``; every name of a schema begins with ``Gateway``."""
    return {
        "paths": {
            "/v1/chat/completions": _model_call("chat_completions", "Answer a conversation.", "GatewayChat"),
            "/v1/completions": _model_call("completions", "Continue a text.", "GatewayCompletion"),
            "/v1/embeddings": _model_call("embeddings", "Place texts in a space.", "GatewayEmbedding", stream=False),
            "/v1/responses": _model_call("responses", "Answer, as OpenAI's Responses API.", "GatewayResponse"),
            "/v1/feedback": {"post": _operation("feedback", "Say what an answer was worth.", 201, "GatewayFeedback")},
            "/v1/models": {"get": _operation("models", "The domains that can answer.", 200)},
            "/v1/models/{model}": {
                "get": _operation("model", "One of them; `domain@version` too.", 200) | {"parameters": [_path("model")]}
            },
            "/v1/backends": {"get": _operation("backends", "Each replica of each upstream model.", 200)},
            "/ofrep/v1/evaluate/flags": {
                "post": _operation("flags", "Every experiment as an OpenFeature flag.", 200, "GatewayEvaluation")
            },
            "/ofrep/v1/evaluate/flags/{key}": {
                "post": _operation("flag", "One experiment as an OpenFeature flag.", 200, "GatewayEvaluation")
                | {"parameters": [_path("key")]}
            },
            "/healthz": {"get": _operation("healthz", "Alive.", 200)},
            "/readyz": {"get": _operation("readyz", "What is served, and how fresh it is; 503 while draining.", 200)},
            "/metrics": {"get": _operation("metrics", "Prometheus.", 200, answer="text/plain")},
        },
        "components": {"schemas": _schemas()},
    }


def merged(document: Document, more: Document) -> Document:
    """One document with the paths and schemas of both.

    >>> merged({"paths": {"/a": 1}}, {"paths": {"/b": 2}, "components": {"schemas": {"S": {}}}})["paths"]
    {'/a': 1, '/b': 2}
    """
    schemas = {**document.get("components", {}).get("schemas", {}), **more["components"]["schemas"]}
    components = {**document.get("components", {}), "schemas": schemas}
    return {**document, "paths": {**document["paths"], **more["paths"]}, "components": components}


def _model_call(name: str, summary: str, body: str, *, stream: bool = True) -> Document:
    operation = _operation(name, summary, 200, body)
    if stream:
        operation["responses"]["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    operation["parameters"] = [
        _header("x-request-id", "comes back, and names the request in logs and feedback", {"type": "string"}),
        _header("x-user-id", "who asks, where the body has no `user`", {"type": "string"}),
        _header("x-session-id", "who asks, where neither is given", {"type": "string"}),
        _header(
            "x-request-timeout-ms",
            "how long the client waits",
            {"type": "integer", "minimum": 1, "maximum": MAX_TIMEOUT_MS},
        ),
        _header(MAX_COST, "what the answer may cost, where an ensemble selects", _LIMIT),
        _header(MAX_LATENCY, "how slow a member may usually be, where an ensemble selects", _LIMIT),
    ]
    return {"post": operation}


def _operation(
    name: str, summary: str, success: int, body: str | None = None, answer: str = "application/json"
) -> Document:
    schema = {"type": "string"} if answer == "text/plain" else {"type": "object"}
    error = {"description": "Error", "content": {"application/json": {"schema": _ref("GatewayError")}}}
    good = {"description": "Success", "content": {answer: {"schema": schema}}}
    operation: Document = {
        "operationId": f"gateway_{name}",
        "summary": summary,
        "tags": [_TAG],
        "responses": {str(success): good, "4XX": error, "5XX": error},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    return operation


def _header(name: str, meaning: str, schema: Document) -> Document:
    return {"name": name, "in": "header", "required": False, "description": meaning, "schema": schema}


def _path(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _ref(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Document, *required: str, more: bool = True) -> Document:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": more}


def _whole(least: int, most: int) -> Document:
    return {"type": "integer", "minimum": least, "maximum": most}


def _texts() -> Document:
    several = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_INPUTS}
    return {"anyOf": [{"type": "string"}, several]}


_MODEL: Document = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_NAME,
    "description": "a domain, `auto`, or `domain@version`",
}
_COMMON: Document = {
    "model": _MODEL,
    "user": {"type": "string", "maxLength": MAX_UNIT, "description": "who asks: gets the same version every time"},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
}
_STREAMED: Document = {
    "stream": {"type": "boolean"},
    "stream_options": _object({"include_usage": {"type": "boolean"}}),
}
_FORMAT: Document = _object({"type": {"enum": ["text", "json_object", "json_schema"]}}, "type")


def _schemas() -> Document:
    part = _object({"type": {"type": "string"}, "text": {"type": "string"}}, "type", "text")
    message = _object(
        {
            "role": {"enum": ["system", "developer", "user", "assistant", "tool", "function"]},
            "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": part, "minItems": 1}]},
        },
        "role",
        "content",
    )
    messages = {"type": "array", "items": message, "minItems": 1, "maxItems": MAX_MESSAGES}
    error = _object(
        {
            "message": {"type": "string"},
            "type": {"type": "string"},
            "param": {"type": ["string", "null"]},
            "code": {"type": ["string", "null"]},
        },
        *("message", "type", "param", "code"),
    )
    chat = {
        "messages": messages,
        "n": _whole(1, 128),
        "logprobs": {"type": "boolean"},
        "top_logprobs": _whole(0, 20),
        "response_format": _FORMAT,
        "max_tokens": _whole(1, 1 << 31),
        "max_completion_tokens": _whole(1, 1 << 31),
        "tools": {"type": "array", "items": {"type": "object"}},
    }
    given = {"anyOf": [{"type": "string"}, messages]}
    feedback = {
        "request_id": {"type": "string", "description": "the answer's id, or its header x-request-id"},
        "model": _MODEL,
        "value": {"anyOf": [{"type": "number"}, {"type": "boolean"}]},
        "metric": {"type": "string"},
        "label": {"type": "string"},
        "comment": {"type": "string"},
    }
    return {
        "GatewayError": _object({"error": error}),
        "GatewayChat": _object({**_COMMON, **_STREAMED, **chat}, "model", "messages"),
        "GatewayCompletion": _object(
            {**_COMMON, **_STREAMED, "prompt": _texts(), "n": _whole(1, 128), "logprobs": _whole(0, 20)},
            *("model", "prompt"),
        ),
        "GatewayEmbedding": _object(
            {
                "model": _MODEL,
                "user": _COMMON["user"],
                "input": _texts(),
                "encoding_format": {"enum": ["float", "base64"]},
                "dimensions": _whole(1, 1 << 20),
            },
            *("model", "input"),
        ),
        "GatewayResponse": _object(
            {**_COMMON, "stream": {"type": "boolean"}, "input": given, "max_output_tokens": _whole(1, 1 << 31)},
            "model",
        ),
        "GatewayFeedback": _object(feedback, "request_id", more=False),
        "GatewayEvaluation": _object({"context": {"type": "object"}}),
    }
