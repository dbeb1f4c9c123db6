"""Members of ensembles that do what they are told, and ensembles over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bailiwick.backends.ensemble.backend import EnsembleBackend
from bailiwick.backends.ensemble.board import Board, SeatKey
from bailiwick.backends.ensemble.round import Member
from bailiwick.backends.local import LocalBackend
from bailiwick.backends.model import Call, Operation, UpstreamFailed
from bailiwick.backends.ports import Backend
from bailiwick.clock import VirtualClock
from bailiwick.models.ensemble.fitted import EnsembleModel
from bailiwick.models.ensemble.quality import Quality
from bailiwick.models.ensemble.spec import EnsembleSpec, MemberSpec, Strategy
from bailiwick.models.model import ModelCard

CLOCK = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))
Answer = Callable[[Call], Awaitable[dict[str, Any]]]


class Fixed:
    """A classifier that gives the same probabilities for every text."""

    def __init__(self, **probabilities: float) -> None:
        self.card = ModelCard("fixed", tuple(sorted(probabilities)), 0)
        self._row = [probabilities[label] for label in self.card.labels]

    def predict(self, texts: Sequence[str]) -> Any:
        return np.tile(np.array(self._row), (len(texts), 1))

    def familiarity(self, texts: Sequence[str]) -> Any:
        return np.ones(len(texts))


class Outside:
    """A model outside of this process: it answers with a text, after a while, or fails."""

    in_process = False

    def __init__(self, says: str = "", *, after_s: float = 0.0, fails: bool = False, stuck: bool = False) -> None:
        self.says, self.after_s, self.fails, self.stuck = says, after_s, fails, stuck
        self.calls: list[Call] = []

    async def answer(self, call: Call) -> dict[str, Any]:
        self.calls.append(call)
        while self.stuck:  # and deaf: it ignores being cancelled
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                self.stuck = False
                await asyncio.sleep(0.05)
        await asyncio.sleep(self.after_s)
        if self.fails:
            raise UpstreamFailed("scripted failure")
        call.usage.take({"prompt_tokens": 3, "completion_tokens": 2})
        message = {"role": "assistant", "content": self.says}
        return {
            "id": "up",
            "object": "chat.completion",
            "created": 1,
            "model": "outside",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        raise AssertionError("members are asked for whole answers")
        yield b""


def inside(**probabilities: float) -> LocalBackend:
    """A classifier in this process."""
    return LocalBackend(Fixed(**probabilities), domain="cards", version="v", clock=CLOCK)


def ensemble(
    strategy: Strategy,
    *backends: Backend,
    specs: Sequence[MemberSpec] | None = None,
    judge: Backend | None = None,
    quality: Quality | None = None,
    board: Board | None = None,
    **fields: Any,
) -> EnsembleBackend:
    """An ensemble ``cards@e1`` whose members are ``cards@m0``, ``cards@m1``..."""
    board = board or Board()
    members = specs or [MemberSpec("cards", f"m{number}") for number in range(len(backends))]
    judging = None if judge is None else MemberSpec("judges", "j")
    spec = EnsembleSpec(strategy, tuple(members), judge=judging, **fields)

    def nothing(member: MemberSpec) -> Any:
        raise AssertionError(member)

    made = EnsembleBackend(
        EnsembleModel(spec, quality, nothing), domain="cards", version="e1", clock=CLOCK, board=board
    )

    def member(each: MemberSpec, backend: Backend) -> Member:
        key = SeatKey("cards@e1", each.name)
        return Member(each, str(each.version), backend, board.seat("cards", key, each.accuracy))

    bound = [member(each, backend) for each, backend in zip(members, backends, strict=True)]
    return made.bound(bound, None if judging is None or judge is None else member(judging, judge))


def chat(text: str = "x", request_id: str = "r1", **fields: Any) -> Call:
    """A chat request."""
    known = {name: fields.pop(name) for name in ("deadline_s", "limits") if name in fields}
    body = {"model": "cards", "messages": [{"role": "user", "content": text}], **fields}
    return Call(Operation.CHAT, body, request_id, **known)


def content(document: dict[str, Any]) -> str:
    """What a chat answer says."""
    said: str = document["choices"][0]["message"]["content"]
    return said
