"""Ensembles that ask one member at a time: a cascade, a choice per query, or the first good answer."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bailiwick.backends.ensemble.board import Said
from bailiwick.backends.ensemble.gather import gather
from bailiwick.backends.ensemble.labels import Decided, Labels, aligned, is_direct, says, texts_of
from bailiwick.backends.ensemble.round import Member, Part, Round
from bailiwick.backends.ensemble.said import confidence_of, is_good, normalised, text_of
from bailiwick.backends.ensemble.wanting import wants_json
from bailiwick.backends.model import Call, Operation, UpstreamFailed
from bailiwick.backends.text import estimate_tokens
from bailiwick.errors import InvalidInput
from bailiwick.models.ensemble.cascade import NEVER
from bailiwick.models.ensemble.fitted import candidates
from bailiwick.models.ensemble.quality import Quality
from bailiwick.models.ensemble.selection import Candidate, ranked
from bailiwick.models.ensemble.spec import EnsembleSpec, Strategy


@dataclass(frozen=True, slots=True)
class Stood:
    """The answer that stands: probabilities of a classifier, or a whole answer.

    Args:
        part: whose it is.
        answer: either.
        why: in words.
    """

    part: Part
    answer: Decided | dict[str, Any]
    why: str


async def take_turns(turn: Round, members: Sequence[Member], labels: Labels, quality: Quality | None) -> Stood:
    """Ask members in turn until an answer stands; whoever fails gives way to the next.

    Each gets its part of the time that is left, so that one that is stuck leaves time for the others. An answer that
    was not confident enough is given all the same when everybody after it fails.

    Raises:
        QuorumMissing: nobody answered.
        InvalidInput: everybody refused the request, or nobody is within its limits.
    """
    classifies = all(member.classifier is not None for member in members)
    texts = texts_of(turn.call) if classifies else []
    direct = classifies and is_direct(members, texts)
    order = _order(turn, members, quality)
    fallback: Stood | None = None
    for place, member in enumerate(order):
        last = place == len(order) - 1
        part = turn.part(member)

        async def work(part: Part = part, last: bool = last) -> tuple[Decided | dict[str, Any], float | None]:
            if classifies:
                return _read(labels, part, await says(turn, part, texts), len(texts))
            return await _answer(turn, part, last=last)

        found = await _one(turn, part, work, within_s=turn.left_s / (len(order) - place), direct=direct)
        if found is None:
            continue
        answer, confidence = found
        part.confidence = confidence
        threshold = _threshold(turn.spec, member)
        if last or threshold is None or (confidence is not None and confidence >= threshold):
            return Stood(part, answer, _why(turn.spec, threshold, confidence, last=last))
        fallback = Stood(part, answer, "nobody after it answered")
    if fallback is None:
        turn.require(0, 1)
    assert fallback is not None
    return fallback


def live_candidates(
    spec: EnsembleSpec, quality: Quality, members: Sequence[Member], text: str, tokens: float
) -> list[Candidate]:
    """What is expected of each member for a text, by what was learned and by what has been seen of it since.

    Args:
        spec: of the ensemble.
        quality: what was learned.
        members: those of the spec that can be asked.
        text: of the query.
        tokens: of the query alone.
    """
    learned = dict(zip((each.name for each in spec.members), candidates(spec, quality, text, tokens), strict=True))
    found = []
    for member in members:
        seat, before = member.seat, learned[member.spec.name]
        odds = math.log(before.quality / (1 - before.quality)) if 0 < before.quality < 1 else 0.0
        answer_tokens = 2.0 if member.classifier is not None else seat.completion_tokens
        found.append(
            replace(
                before,
                name=member.name,
                quality=1 / (1 + math.exp(-(odds + seat.log_odds_shift))),
                cost=member.spec.cost * (tokens + answer_tokens) / 1000,
                latency_ms=seat.latency_ms if seat.latency_ms is not None else before.latency_ms,
                available=seat.active,
            )
        )
    return found


def remembered(turn: Round, stood: Stood) -> Said | None:
    """What is kept until feedback comes; nothing of requests with several texts."""
    answer = stood.answer
    if isinstance(answer, Decided):
        if len(answer.probabilities) != 1:
            return None
        said = answer.labels[int(answer.probabilities[0].argmax())]
    else:
        said = normalised(text_of(turn.call.operation, answer))
    stood.part.said = stood.part.said or said
    return Said(said, tuple((part.member.seat, part.said) for part in turn.parts if part.good and part.said))


def _order(turn: Round, members: Sequence[Member], quality: Quality | None) -> Sequence[Member]:
    """Who is asked, one after the other. A benched member comes last, unless its turn for a trial has come."""
    if turn.spec.strategy is not Strategy.SELECT:
        ready = [member for member in members if member.seat.active or member.seat.due()]
        return [*ready, *(member for member in members if member not in ready)]
    assert quality is not None
    text = _text(turn.call)
    found = live_candidates(turn.spec, quality, members, text, estimate_tokens(text))
    places = ranked(found, turn.call.limits, turn.spec.cost_weight)
    return [members[place] for place in places]


async def _one(
    turn: Round,
    part: Part,
    work: Callable[[], Awaitable[tuple[Decided | dict[str, Any], float | None]]],
    *,
    within_s: float,
    direct: bool,
) -> tuple[Decided | dict[str, Any], float | None] | None:
    """One member's answer with its confidence; None where it failed or took too long."""
    if direct:
        try:
            return await turn.attend(part, work)
        except Exception:  # noqa: BLE001 - kept in the part, and logged where it is no error of ours
            return None
    (outcome,) = await gather([lambda: turn.attend(part, work)], quorum=1, within_s=within_s)
    if outcome.late:
        turn.late(part, outcome.seconds)
    return outcome.answer


def _read(labels: Labels, part: Part, saying: Any, texts: int) -> tuple[Decided, float]:
    names, stack = aligned(labels, [(part, saying)], texts)
    totals = stack[0].sum(axis=1, keepdims=True)
    probabilities = np.where(totals > 0, stack[0] / np.where(totals > 0, totals, 1.0), 1 / max(1, len(names)))
    return Decided(names, probabilities), float(probabilities.max(axis=1).min())


async def _answer(turn: Round, part: Part, *, last: bool) -> tuple[dict[str, Any], float | None]:
    """A member's whole answer, and how sure it is where that decides something."""
    inner, backend, classifier = turn.inner(part), part.member.backend, part.member.classifier
    decides = turn.spec.strategy is Strategy.CASCADE and not last
    confidence: float | None = None
    if decides and classifier is not None and inner.operation is not Operation.EMBEDDING:
        confidence = float((await classifier.probabilities(texts_of(turn.call))).max(axis=1).min())
    asks_logs = decides and confidence is None and inner.operation is Operation.CHAT and not inner.body.get("logprobs")
    if asks_logs:
        inner = replace(inner, body=inner.body | {"logprobs": True})
    document = await backend.answer(inner)
    if not is_good(inner.operation, document, as_json=wants_json(turn.call)):
        raise UpstreamFailed("the answer is empty, filtered, or not the JSON that was asked for", replica_is_ill=False)
    if decides and confidence is None:
        confidence = confidence_of(inner.operation, document)
    if asks_logs:
        choices = [{**choice, "logprobs": None} for choice in document.get("choices", ())]
        document = {**document, "choices": choices}
    return document, confidence


def _threshold(spec: EnsembleSpec, member: Member) -> float | None:
    """The confidence that the answer needs; None: it stands in any case."""
    if spec.strategy is not Strategy.CASCADE:
        return None
    return NEVER if member.spec.threshold is None else member.spec.threshold


def _why(spec: EnsembleSpec, threshold: float | None, confidence: float | None, *, last: bool) -> str:
    if spec.strategy is Strategy.SELECT:
        return "the best predicted quality within the limits"
    if last and spec.strategy is Strategy.CASCADE:
        return "the last of the cascade"
    if threshold is None:
        return "the first good answer"
    return f"confidence {confidence or 0:.3f} reaches {threshold:.3f}"


def _text(call: Call) -> str:
    if call.operation is Operation.EMBEDDING:
        raise InvalidInput("a selection reads texts, not embeddings", what="model", remedy="name a member")
    return "\n".join(texts_of(call))
