"""A trained model in this process, behind the OpenAI wire format.

A classifier's answer is its most likely label; asked for JSON, the label with its confidence and alternatives.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailiwick.backends import responses, wire
from bailiwick.backends.batching import Batcher
from bailiwick.backends.model import Call, Operation, Reading
from bailiwick.backends.text import content_text, estimate_tokens, last_user_text
from bailiwick.clock import Clock
from bailiwick.domains.batching import Batching
from bailiwick.errors import InvalidInput
from bailiwick.models.ports import FittedModel

MAX_CHARACTERS = 100_000
"""Of all texts of one call together; more than any query, and what bounds the time of one call."""

INLINE_CHARACTERS = 4_000
"""Up to here predicting on the event loop costs less than handing over to a thread would delay others."""

_RANKED = 20
_FORMATS = ("text", "json_object", "json_schema")


class LocalBackend:
    """One version of a domain's model.

    Args:
        model: the loaded model.
        domain, version: what answers name as ``model``: ``domain@version``.
        clock: for ``created``.
        identity: digest of the model's artefact; empty: unknown, and its answers are not kept.
        batching: how requests gather; None: each is computed by itself.
    """

    in_process = True

    def __init__(
        self,
        model: FittedModel,
        *,
        domain: str,
        version: str,
        clock: Clock,
        identity: str = "",
        batching: Batching | None = None,
    ) -> None:
        self.identity = identity
        self.batcher = None if batching is None else Batcher(model.predict, batching)
        self._model = model
        self._labels = model.card.labels
        self._domain = domain
        self._name = f"{domain}@{version}"
        self._clock = clock

    @property
    def labels(self) -> tuple[str, ...]:
        """What it tells apart."""
        return self._labels

    async def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Of each label for each text; see `Classifying.probabilities`."""
        return await self._predict(texts, math.inf)

    async def answer(self, call: Call) -> dict[str, Any]:
        """The whole answer; see `Backend.answer`."""
        if call.operation is Operation.EMBEDDING:
            return await self._embed(call)
        if call.operation is Operation.RESPONSE:
            return await self._respond(call)
        if call.operation is Operation.COMPLETION:
            choices, counted = await self._complete(call)
            head = self._head(call, "cmpl-")
            return head | {"object": "text_completion", "choices": choices, "usage": counted}
        content, logprobs, counted = await self._chat(call)
        message = {"role": "assistant", "content": content, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}
        return self._head(call, "chatcmpl-") | {"object": "chat.completion", "choices": [choice], "usage": counted}

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The answer as events, in one piece: it is known whole after one prediction."""
        options = call.body.get("stream_options")
        with_usage = isinstance(options, dict) and options.get("include_usage") is True
        if call.operation is Operation.RESPONSE:
            yield responses.response_events(await self._respond(call))
            return
        if call.operation is Operation.COMPLETION:
            choices, counted = await self._complete(call)
            yield wire.completion_events(self._head(call, "cmpl-"), choices, counted if with_usage else None)
            return
        content, logprobs, counted = await self._chat(call)
        yield wire.chat_events(self._head(call, "chatcmpl-"), content, logprobs, counted if with_usage else None)

    async def _chat(self, call: Call) -> tuple[str, Any, dict[str, int]]:
        _one_choice(call.body)
        _known_format(call.body)
        messages = call.body["messages"]
        (reading,) = await self._read([last_user_text(messages)], call)
        content = wire.content_of(reading, self._domain, as_json=wire.wants_json(call.body))
        logprobs = None
        if call.body.get("logprobs") is True:
            logprobs = wire.chat_logprobs(reading, content, call.body.get("top_logprobs") or 0)
        prompt_tokens = estimate_tokens(*(content_text(message.get("content")) for message in messages))
        counted = wire.usage(prompt_tokens, estimate_tokens(content))
        call.usage.take(counted)
        return content, logprobs, counted

    async def _respond(self, call: Call) -> dict[str, Any]:
        if call.body.get("previous_response_id") is not None or call.body.get("conversation") is not None:
            raise InvalidInput(
                f"{self._name!r} keeps no earlier responses",
                what="previous_response_id",
                remedy="send the whole conversation as input",
            )
        messages = responses.messages_of(call.body)
        if not messages and call.body.get("input") is None:
            raise InvalidInput(f"{self._name!r} keeps no templates", what="prompt", remedy="send the text as input")
        (reading,) = await self._read([last_user_text(messages)], call)
        content = wire.content_of(reading, self._domain, as_json=responses.wants_json(call.body))
        prompt_tokens = estimate_tokens(*(content_text(message.get("content")) for message in messages))
        counted = wire.usage(prompt_tokens, estimate_tokens(content))
        call.usage.take(counted)
        return responses.response(
            call.body,
            content,
            request_id=call.request_id,
            created=int(self._clock.now().timestamp()),
            model=self._name,
            counted=counted,
        )

    async def _complete(self, call: Call) -> tuple[list[dict[str, Any]], dict[str, int]]:
        _one_choice(call.body)
        prompts = _texts(call.body["prompt"], "prompt")
        readings = await self._read(prompts, call)
        top = call.body.get("logprobs")
        choices = [
            {
                "index": index,
                "text": reading.label,
                "logprobs": None if top is None else wire.completion_logprobs(reading, top),
                "finish_reason": "stop",
            }
            for index, reading in enumerate(readings)
        ]
        written = sum(estimate_tokens(reading.label) for reading in readings)
        counted = wire.usage(estimate_tokens(*prompts), written)
        call.usage.take(counted)
        return choices, counted

    async def _embed(self, call: Call) -> dict[str, Any]:
        texts = _texts(call.body["input"], "input")
        wanted = call.body.get("dimensions")
        if wanted is not None and wanted != len(self._labels):
            raise InvalidInput(
                f"{self._name!r} gives embeddings of {len(self._labels)} dimensions, not {wanted!r}",
                what="dimensions",
                requested=wanted,
                allowed=len(self._labels),
            )
        vectors = np.sqrt(await self._predict(texts, call.deadline_s))
        tokens = estimate_tokens(*texts)
        call.usage.take({"prompt_tokens": tokens})
        encoding = call.body.get("encoding_format", "float")
        return wire.embeddings(vectors, model=self._name, tokens=tokens, encoding=encoding)

    async def _read(self, texts: Sequence[str], call: Call) -> list[Reading]:
        probabilities = await self._predict(texts, call.deadline_s)
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :_RANKED]
        return [
            Reading(tuple((self._labels[column], float(row[column])) for column in columns))
            for row, columns in zip(probabilities, order.tolist(), strict=True)
        ]

    async def _predict(self, texts: Sequence[str], within_s: float) -> NDArray[np.float64]:
        characters = sum(map(len, texts))
        if characters <= INLINE_CHARACTERS:
            if self.batcher is not None:
                return await self.batcher.predict(texts, within_s)
            return self._model.predict(texts)
        if characters > MAX_CHARACTERS:
            raise InvalidInput(
                f"{characters} characters are too many for {self._name!r}",
                what="messages",
                requested=characters,
                allowed=MAX_CHARACTERS,
                remedy="send a shorter text",
            )
        return await asyncio.to_thread(self._model.predict, texts)

    def _head(self, call: Call, prefix: str) -> dict[str, Any]:
        return {
            "id": prefix + call.request_id,
            "created": int(self._clock.now().timestamp()),
            "model": self._name,
        }


def _one_choice(body: dict[str, Any]) -> None:
    if body.get("n", 1) not in (1, None):
        raise InvalidInput(
            f"a local model gives one answer, {body['n']!r} were asked for", what="n", requested=body["n"], allowed=1
        )


def _known_format(body: dict[str, Any]) -> None:
    wanted = body.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else "text"
    if kind not in _FORMATS:
        raise InvalidInput(
            f"a local model does not answer in the format {kind!r}",
            what="response_format.type",
            requested=kind[:100] if isinstance(kind, str) else None,
            allowed=_FORMATS,
        )


def _texts(value: Any, field: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not all(isinstance(text, str) for text in texts):
        raise InvalidInput(
            f"a local model reads text, {field!r} holds token numbers",
            what=field,
            remedy="send strings",
        )
    return list(texts)
