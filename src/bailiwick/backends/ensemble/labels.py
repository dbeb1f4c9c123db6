"""Ensembles of classifiers: every member says how likely each label is, and the pool of that is the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bailiwick.backends import responses
from bailiwick.backends.ensemble.board import Said
from bailiwick.backends.ensemble.round import Member, Part, Round, counted_members
from bailiwick.backends.ensemble.said import label_of
from bailiwick.backends.local import INLINE_CHARACTERS
from bailiwick.backends.model import Call, Operation
from bailiwick.backends.text import estimate_tokens, last_user_text
from bailiwick.errors import InvalidInput
from bailiwick.models.ensemble import pool

Floats = NDArray[np.float64]

Saying = Floats | list[dict[str, float]]
"""What a member says of the texts: probabilities of its labels, or labels with probabilities for each text."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels that an ensemble knows, and where each member's labels stand among them.

    Args:
        names: sorted.
        columns: by the member's name; None: its labels are these.
    """

    names: tuple[str, ...]
    columns: dict[str, NDArray[np.int64] | None]


@dataclass(frozen=True, slots=True)
class Decided:
    """What an ensemble says: probabilities of shape ``(texts, labels)``."""

    labels: tuple[str, ...]
    probabilities: Floats


def labels_of(members: Sequence[Member], known: Sequence[str]) -> Labels:
    """The labels of members in this process, and those that the ensemble's spec knows of.

    Args:
        members: of the ensemble.
        known: by the spec.
    """
    classifying = {member.name: member.classifier for member in members if member.classifier is not None}
    names = tuple(sorted({*known, *(label for backend in classifying.values() for label in backend.labels)}))
    at = {label: place for place, label in enumerate(names)}
    columns = {
        name: None if backend.labels == names else np.array([at[label] for label in backend.labels], np.int64)
        for name, backend in classifying.items()
    }
    return Labels(names, columns)


def texts_of(call: Call) -> list[str]:
    """The texts that a classifier reads in a request.

    Raises:
        InvalidInput: they are token numbers.
    """
    if call.operation is Operation.CHAT:
        return [last_user_text(call.body["messages"])]
    if call.operation is Operation.RESPONSE:
        return [last_user_text(responses.messages_of(call.body))]
    field = "prompt" if call.operation is Operation.COMPLETION else "input"
    given = call.body[field]
    texts = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(text, str) for text in texts):
        raise InvalidInput(f"a classifier reads text, {field!r} holds token numbers", what=field, remedy="send strings")
    return texts


async def vote(turn: Round, members: Sequence[Member], labels: Labels) -> Decided:
    """Ask every member, and pool what they say.

    Raises:
        QuorumMissing, InvalidInput: as `Round.all`.
    """
    texts = texts_of(turn.call)
    quorum = min(turn.spec.quorum, len(members))
    asked = counted_members(members, quorum)

    async def work(part: Part) -> Saying:
        return await says(turn, part, texts)

    if is_direct(asked, texts):
        answered = await _directly(turn, asked, texts, quorum)
    else:
        answered = await turn.all(asked, work, within_s=turn.left_s, quorum=quorum)
    if len(asked) < len(members):
        turn.probe([member for member in members if member not in asked], work)
    names, stack = aligned(labels, answered, len(texts))
    spec = turn.spec
    everybody = np.array([part.member.spec.weight * part.share for part in turn.parts])
    present = np.array([part.good for part in turn.parts])
    # a benched member, or one that counts less for now, must not make the others less sure
    total = sum(member.weight for member in spec.members)
    probabilities = pool.pool(spec.strategy, stack, pool.present_weights(everybody, present, total))
    return Decided(names, probabilities)


def is_direct(members: Sequence[Member], texts: Sequence[str]) -> bool:
    """Whether asking one after the other beats tasks: nobody waits for anything, and the texts are short."""
    if sum(map(len, texts)) > INLINE_CHARACTERS:
        return False
    return all(member.classifier is not None and member.backend.in_process for member in members)


async def _directly(
    turn: Round, members: Sequence[Member], texts: Sequence[str], quorum: int
) -> list[tuple[Part, Saying]]:
    answered: list[tuple[Part, Saying]] = []
    for member in members:
        if len(answered) >= quorum and not turn.left_s:
            break
        part = turn.part(member)
        try:
            answered.append((part, await turn.attend(part, lambda part=part: says(turn, part, texts))))  # type: ignore[misc]
        except Exception:  # noqa: BLE001, S112 - kept in the part, and logged where it is no error of ours
            continue
    turn.require(len(answered), quorum)
    return answered


async def says(turn: Round, part: Part, texts: Sequence[str]) -> Saying:
    """What one member says of the texts; it is asked in the way it can be asked.

    Raises:
        InvalidInput: it says no label.
        UpstreamFailed: it cannot be reached.
    """
    classifier, backend = part.member.classifier, part.member.backend
    if classifier is not None:
        found = await classifier.probabilities(texts)
        part.usage.prompt_tokens = turn.prompt_tokens(texts)
        return found
    said: list[dict[str, float]] = []
    used: list[tuple[int | None, int | None]] = []
    for text in texts:
        inner = _question(turn, part, text)
        said.append(label_of(await backend.answer(inner)))
        used.append((part.usage.prompt_tokens, part.usage.completion_tokens))
    if len(texts) > 1:
        part.usage.prompt_tokens = _total([prompt for prompt, _ in used])
        part.usage.completion_tokens = _total([completion for _, completion in used])
    return said


def aligned(labels: Labels, answered: Sequence[tuple[Part, Saying]], texts: int) -> tuple[tuple[str, ...], Floats]:
    """The answers as probabilities of the same labels, shape ``(members, texts, labels)``, and those labels.

    Each part is told what its member says of the first text, and how sure it is.
    """
    names = labels.names
    moved: NDArray[np.int64] | None = None
    at: dict[str, int] = {}
    worded = [each for _, said in answered if isinstance(said, list) for each in said]
    if worded:
        names = tuple(sorted({*names, *(label for each in worded for label in each)}))
        at = {label: place for place, label in enumerate(names)}
        if len(names) > len(labels.names):
            moved = np.array([at[label] for label in labels.names], np.int64)
    stack = np.zeros((len(answered), texts, len(names)))
    for row, (part, said) in enumerate(answered):
        if isinstance(said, list):
            for place, each in enumerate(said):
                # what it leaves open is any other label's, for all we know
                stack[row, place] = max(0.0, 1 - sum(each.values())) / max(1, len(names) - len(each))
                for label, probability in each.items():
                    stack[row, place, at[label]] = probability
        else:
            columns = labels.columns[part.member.name]
            if moved is not None:
                columns = moved if columns is None else moved[columns]
            if columns is None:
                stack[row] = said
            else:
                stack[row][:, columns] = said
        best = int(stack[row, 0].argmax())
        part.said, part.confidence = names[best], float(stack[row, 0, best])
        if part.usage.completion_tokens is None:
            part.usage.completion_tokens = estimate_tokens(part.said)
    return names, stack


def remembered(turn: Round, decided: Decided) -> Said | None:
    """What is kept until feedback comes; nothing of requests with several texts."""
    if len(decided.probabilities) != 1:
        return None
    counted = tuple((part.member.seat, part.said) for part in turn.parts if part.good and part.said is not None)
    return Said(decided.labels[int(decided.probabilities[0].argmax())], counted)


def _question(turn: Round, part: Part, text: str) -> Call:
    """A chat request for JSON, whatever the client's request is."""
    inner = turn.inner(part)
    body = inner.body
    if turn.call.operation is not Operation.CHAT:
        body = {"model": body.get("model"), "messages": [{"role": "user", "content": text}]}
    body = {name: value for name, value in body.items() if name not in ("n", "logprobs", "top_logprobs")}
    return replace(inner, operation=Operation.CHAT, body=body | {"response_format": {"type": "json_object"}})


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
