"""Ensembles of text models: all are asked for whole answers, and one of the answers is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bailiwick.backends.ensemble import judge
from bailiwick.backends.ensemble.board import Said
from bailiwick.backends.ensemble.gather import gather
from bailiwick.backends.ensemble.labels import texts_of
from bailiwick.backends.ensemble.round import Member, Part, Round, counted_members
from bailiwick.backends.ensemble.said import is_good, normalised, text_of
from bailiwick.backends.ensemble.wanting import wants_json
from bailiwick.backends.model import Call, Operation, UpstreamFailed
from bailiwick.errors import InvalidInput
from bailiwick.models.ensemble.spec import Strategy

_FOR_MEMBERS = 0.6
"""Of the deadline, where a judge needs the rest."""


@dataclass(frozen=True, slots=True)
class Picked:
    """One member's answer, given to the client.

    Args:
        part: whose it is.
        document: the answer.
        agreed: parts whose answer is the same, once normalised.
        notes: what else the client is told.
    """

    part: Part
    document: dict[str, Any]
    agreed: tuple[Part, ...]
    notes: dict[str, Any] = field(default_factory=dict)


async def pick(turn: Round, members: Sequence[Member], judging: Member | None) -> Picked:
    """Ask every member, and give one of their answers.

    Raises:
        QuorumMissing, InvalidInput: as `Round.all`.
    """
    quorum = min(turn.spec.quorum, len(members))
    asked = counted_members(members, quorum)
    best_of = turn.spec.strategy is Strategy.BEST_OF
    within_s = turn.left_s * (_FOR_MEMBERS if best_of else 1.0)

    async def work(part: Part) -> dict[str, Any]:
        return await whole(turn, part)

    answered = await turn.all(asked, work, within_s=within_s, quorum=quorum)
    if len(asked) < len(members):
        turn.probe([member for member in members if member not in asked], work)
    operation = turn.call.operation
    texts = {id(part): text_of(operation, document) for part, document in answered}
    for part, _ in answered:
        part.said = normalised(texts[id(part)])
    notes: dict[str, Any] = {}
    chosen = 0 if len(answered) == 1 else None
    if best_of and chosen is None:
        chosen, notes["judge"] = await _judged(turn, judging, [texts[id(part)] for part, _ in answered])
    if chosen is None:
        chosen = most_agreed([(part.said or "", part.share * part.member.spec.weight) for part, _ in answered])
    part, document = answered[chosen]
    return Picked(part, document, tuple(each for each, _ in answered if each.said == part.said), notes)


async def whole(turn: Round, part: Part) -> dict[str, Any]:
    """A member's whole answer, if it is of use.

    Raises:
        UpstreamFailed: it says nothing, was filtered, or is not the JSON that was asked for.
        BailiwickError: the member failed.
    """
    document = await part.member.backend.answer(turn.inner(part))
    if not is_good(turn.call.operation, document, as_json=wants_json(turn.call)):
        raise UpstreamFailed("the answer is empty, filtered, or not the JSON that was asked for", replica_is_ill=False)
    return document


def most_agreed(answers: Sequence[tuple[str, float]]) -> int:
    """The first of the answers that carry the most weight together; of equals those of more members, then by text.

    Args:
        answers: normalised, with the weight of each.

    >>> most_agreed([("4", 1.0), ("five", 1.0), ("4", 1.0)])
    0
    """
    groups: dict[str, list[float]] = {}
    for said, weight in answers:
        groups.setdefault(said, []).append(weight)
    best = min(groups, key=lambda said: (-sum(sorted(groups[said])), -len(groups[said]), said))
    return next(index for index, (said, _) in enumerate(answers) if said == best)


def remembered(turn: Round, picked: Picked) -> Said:
    """What is kept until feedback comes: who said the same as the answer that was given."""
    said = tuple((part.member.seat, part.said or "") for part in turn.parts if part.good)
    return Said(picked.part.said or "", said)


async def _judged(turn: Round, judging: Member | None, texts: Sequence[str]) -> tuple[int | None, str]:
    """The position of the answer that the judge picked, and in words what became of the verdict."""
    if judging is None:
        return None, "not available: the members' majority decided"
    places = judge.order(turn.call.request_id, len(texts))
    part = Part(judging, 1.0)
    body = judge.question(_asked(turn.call), texts, places)

    async def ask() -> dict[str, Any]:
        return await judging.backend.answer(replace(turn.inner(part), operation=Operation.CHAT, body=body))

    turn.overhead.append(part)
    (outcome,) = await gather([lambda: turn.attend(part, ask)], quorum=1, within_s=turn.left_s)
    if outcome.answer is None:
        if outcome.late:
            turn.late(part, outcome.seconds)
        why = "was too slow" if outcome.late else "failed"
        return None, f"{judging.name} {why}: the members' majority decided"
    found = judge.verdict(text_of(Operation.CHAT, outcome.answer), places)
    if found is None:
        return None, f"{judging.name} gave no verdict: the members' majority decided"
    return found, judging.name


def _asked(call: Call) -> str:
    """The user's words, for the judge.

    Raises:
        InvalidInput: they are token numbers.
    """
    if call.operation is Operation.EMBEDDING:
        raise InvalidInput("embeddings are no texts", what="model")
    return "\n".join(texts_of(call))
