"""An ensemble behind the `Backend` port: served, canaried, cached and compared like any other version."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailiwick.backends.ensemble import labels, texts, turns
from bailiwick.backends.ensemble.board import Board, Said
from bailiwick.backends.ensemble.events import as_events
from bailiwick.backends.ensemble.labels import Decided
from bailiwick.backends.ensemble.round import Member, Part, Round
from bailiwick.backends.ensemble.wanting import wants_usage
from bailiwick.backends.local import LocalBackend
from bailiwick.backends.model import Call, Operation, UpstreamFailed
from bailiwick.clock import Clock
from bailiwick.errors import BailiwickError, InvalidInput
from bailiwick.models.ensemble.fitted import EnsembleModel
from bailiwick.models.ensemble.spec import IN_TURN, LABELS
from bailiwick.models.model import ModelCard

_IDS = {Operation.CHAT: "chatcmpl-", Operation.COMPLETION: "cmpl-", Operation.RESPONSE: "resp_"}


class EnsembleBackend:
    """One version that is an ensemble.

    Args:
        model: what it is.
        domain, version: what answers name as ``model``: ``domain@version``.
        clock: for ``created``.
        board: how its members stand.
        identity: digest of what it is; empty: unknown, and its answers are not kept.
        members: that can be asked; none until it is bound to what else is served.
        judge: of ``best-of``.

    Attributes:
        models_asked: how many models one query is put to, judge included; those that take turns count as one.
    """

    def __init__(
        self,
        model: EnsembleModel,
        *,
        domain: str,
        version: str,
        clock: Clock,
        board: Board,
        identity: str = "",
        members: Sequence[Member] = (),
        judge: Member | None = None,
    ) -> None:
        self.model = model
        self.domain = domain
        self.version = version
        self.members = tuple(members)
        self.judge = judge
        self._name = f"{domain}@{version}"
        self._clock = clock
        self._board = board
        self._own_identity = identity
        self._labels = labels.labels_of(self.members, model.spec.labels)
        asked = [*self.members, *([judge] if judge else [])]
        self._in_process = all(member.backend.in_process for member in asked)
        self._whole_identity = _identity(identity, asked)
        at_once = self.members[:1] if model.spec.strategy in IN_TURN else asked
        self.models_asked = max(1, sum(models_asked(member.backend) for member in at_once))

    @property
    def name(self) -> str:
        """``domain@version``."""
        return self._name

    @property
    def identity(self) -> str:
        """What answers come from now: benched members give none, so what is kept meanwhile is told apart."""
        benched = [member.name for member in self.members if not member.seat.active]
        if not benched or not self._whole_identity:
            return self._whole_identity
        return "\n".join([self._whole_identity, "without", *benched])

    @property
    def in_process(self) -> bool:
        """Whether every member is."""
        return self._in_process

    def bound(self, members: Sequence[Member], judge: Member | None) -> EnsembleBackend:
        """The same ensemble over members that can be asked."""
        return EnsembleBackend(
            self.model,
            domain=self.domain,
            version=self.version,
            clock=self._clock,
            board=self._board,
            identity=self._own_identity,
            members=members,
            judge=judge,
        )

    async def answer(self, call: Call) -> dict[str, Any]:
        """The members' common answer; see `Backend.answer`.

        Its field ``bailiwick`` says what each member said and who agreed.
        """
        spec = self.model.spec
        if len(self.members) < (1 if spec.strategy in IN_TURN else spec.quorum):
            raise UpstreamFailed(
                f"{len(self.members)} of the {len(spec.members)} members of {self._name!r} can be asked here",
                status=503,
                remedy="GET /readyz says what is wrong with the others",
            )
        turn = Round(call, spec, self._name, self._board)
        if spec.strategy in LABELS:
            decided = await labels.vote(turn, self.members, self._labels)
            self._remember(call, labels.remembered(turn, decided))
            agreed = _agreed(turn, decided)
            return self._whole(turn, await self._said(call, decided), agreed, {})
        if call.operation is Operation.EMBEDDING:
            raise InvalidInput(
                f"{self._name!r} gives texts, no embeddings", what="model", remedy="ask one of its members"
            )
        if spec.strategy in IN_TURN:
            stood = await turns.take_turns(turn, self.members, self._labels, self.model.quality)
            self._remember(call, turns.remembered(turn, stood))
            found = await self._said(call, stood.answer) if isinstance(stood.answer, Decided) else stood.answer
            return self._whole(turn, found, [stood.part], {"why": stood.why})
        picked = await texts.pick(turn, self.members, self.judge)
        self._remember(call, texts.remembered(turn, picked))
        return self._whole(turn, picked.document, picked.agreed, {"given": picked.part.member.name, **picked.notes})

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The decided answer as events, in one piece: before the decision there is nothing to stream."""
        yield as_events(call.operation, await self.answer(call), with_usage=wants_usage(call))

    async def _said(self, call: Call, decided: Decided) -> dict[str, Any]:
        """What was decided, in the words of a classifier in this process."""
        speaker = LocalBackend(_Speaker(decided), domain=self.domain, version=self.version, clock=self._clock)
        return await speaker.answer(call)

    def _whole(
        self, turn: Round, document: dict[str, Any], agreed: Sequence[Part], notes: dict[str, Any]
    ) -> dict[str, Any]:
        call = turn.call
        usage = turn.usage()
        call.usage.prompt_tokens, call.usage.completion_tokens = usage.prompt_tokens, usage.completion_tokens
        call.usage.passing = any(not part.good or part.usage.passing for part in (*turn.parts, *turn.overhead))
        found = {**document, "model": self._name}
        if call.operation in _IDS:
            found["id"] = f"{_IDS[call.operation]}{call.request_id}"
        if usage.prompt_tokens is not None or usage.completion_tokens is not None:
            found["usage"] = _usage(call.operation, usage.prompt_tokens or 0, usage.completion_tokens or 0)
        found["bailiwick"] = {
            "ensemble": self._name,
            "strategy": self.model.spec.strategy.value,
            "agreed": [part.member.name for part in agreed],
            **notes,
            "members": [_told(part) for part in turn.parts],
        }
        return found

    def _remember(self, call: Call, said: Said | None) -> None:
        if said is not None:
            self._board.remember(call.request_id, said)


def models_asked(backend: object) -> int:
    """How many models answer one query of a backend: 1, or as many as an ensemble asks at once.

    >>> models_asked(object())
    1
    """
    return int(getattr(backend, "models_asked", 1))


class _Speaker:
    """A fitted model whose prediction is known already: it lends decided probabilities a classifier's words."""

    def __init__(self, decided: Decided) -> None:
        self.card = ModelCard("ensemble", decided.labels, 0)
        self._probabilities = decided.probabilities

    def predict(self, _texts: Sequence[str]) -> NDArray[np.float64]:
        """What was decided."""
        return self._probabilities

    def familiarity(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Nothing is said of it."""
        return np.ones(len(texts))


def _identity(own: str, asked: Sequence[Member]) -> str:
    """What the answers come from: the ensemble and whoever it asks now; empty where one of them is unknown."""
    members = [(member.name, str(getattr(member.backend, "identity", ""))) for member in asked]
    known = own and all(identity for _, identity in members)
    return "\n".join([own, *(f"{name} {identity}" for name, identity in members)]) if known else ""


def _agreed(turn: Round, decided: Decided) -> list[Part]:
    answer = decided.labels[int(decided.probabilities[0].argmax())]
    return [part for part in turn.parts if part.good and part.said == answer]


def _told(part: Part) -> dict[str, Any]:
    """A member's part, as the answer's field ``bailiwick`` shows it."""
    told: dict[str, Any] = {"member": part.member.name, "ms": round(part.seconds * 1000, 3), "share": part.share}
    if part.error is not None or not part.good:
        error = part.error
        told["failed"] = error.code if isinstance(error, BailiwickError) else "timeout"
        if error is not None and not isinstance(error, BailiwickError | TimeoutError):
            told["failed"] = "error"
        return told
    if part.confidence is not None:
        told |= (
            {"label": part.said, "confidence": round(part.confidence, 6)}
            if part.said
            else {"confidence": round(part.confidence, 6)}
        )
    told["usage"] = {
        "prompt_tokens": part.usage.prompt_tokens,
        "completion_tokens": part.usage.completion_tokens,
    }
    return told


def _usage(operation: Operation, prompt: int, completion: int) -> dict[str, Any]:
    if operation is Operation.RESPONSE:
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + completion,
        }
    if operation is Operation.EMBEDDING:
        return {"prompt_tokens": prompt, "total_tokens": prompt}
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
