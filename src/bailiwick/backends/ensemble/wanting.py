"""What a client wants of an answer's form. Pure."""

from __future__ import annotations

from bailiwick.backends import responses, wire
from bailiwick.backends.model import Call, Operation


def wants_json(call: Call) -> bool:
    """Whether the answer must be a JSON object."""
    return responses.wants_json(call.body) if call.operation is Operation.RESPONSE else wire.wants_json(call.body)


def wants_usage(call: Call) -> bool:
    """Whether a stream ends with its usage."""
    options = call.body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True
