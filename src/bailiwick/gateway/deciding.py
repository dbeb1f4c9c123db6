"""Where a request goes: a named domain, or what the router says of `auto`; and the log of what it said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xxhash import xxh3_128_hexdigest

from bailiwick.backends.text import content_text
from bailiwick.clock import Clock
from bailiwick.gateway.model import Finished, ModelRequest, Snapshot
from bailiwick.gateway.participants import Asker, Participant
from bailiwick.routing.choose import choose
from bailiwick.routing.log import DecisionLog
from bailiwick.routing.logged import LoggedDecision
from bailiwick.routing.model import AUTO, Route
from bailiwick.routing.runtime import Question
from bailiwick.traffic.model import Scalar

_METADATA = "metadata."


def routed(request: ModelRequest, snapshot: Snapshot, unit: str, participant: Participant | None) -> Route:
    """The route of a request.

    Args:
        request: what is asked.
        snapshot: what is served.
        unit: whom the answer stays the same for; keys the draw where the request has no id.
        participant: who asks.

    Raises:
        NotFound, InvalidInput, Unavailable: as `choose`.
    """
    if snapshot.router is None or request.model != AUTO:
        return choose(request.model, request.text, snapshot.table, snapshot.detector)
    return snapshot.router.route(question_of(request, unit, participant), snapshot.table, snapshot.detector)


def question_of(request: ModelRequest, unit: str, participant: Participant | None) -> Question:
    """What the router must know of a request.

    The turns of a conversation have the session of ``x-session-id`` in common, or a user and the first message. Without
    either nobody can tell that two requests belong together. What a conversation is called is what a client says: of
    clients with keys each has its own, so that none of them learns from a name that it guesses where another's went.
    """
    if participant is None:
        return Question(request.text, request.operation.value, unit, attributes=_attributes(request, None))
    session, user = participant.unit("session"), participant.unit("user")
    first, turn = _first_turn(request.body)
    conversation = session
    if session is None and user is not None and first is not None:
        conversation = xxh3_128_hexdigest(f"{user}\0{first}".encode("utf-8", "surrogatepass"))
    asker = participant if isinstance(participant, Asker) else None
    if conversation is not None and asker is not None and asker.client:
        conversation = f"{asker.client}\0{conversation}"
    return Question(
        text=request.text,
        operation=request.operation.value,
        request_id=participant.unit("request") or unit,
        user=user,
        conversation=conversation,
        turn=turn,
        attributes=_attributes(request, participant),
        may_ask=None if asker is None else asker.may_ask,
    )


def _first_turn(body: dict[str, Any]) -> tuple[str | None, int]:
    """The first message of the user, and how many there are."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return None, 1
    asked = [each for each in messages if isinstance(each, dict) and each.get("role") == "user"]
    return (content_text(asked[0].get("content")), len(asked)) if asked else (None, 1)


def _attributes(request: ModelRequest, participant: Participant | None) -> Callable[[str], Scalar | None]:
    def attribute(name: str) -> Scalar | None:
        if name == "operation":
            return request.operation.value
        if name.startswith(_METADATA):
            metadata = request.body.get("metadata")
            if not isinstance(metadata, dict):
                return None
            value = next((each for key, each in metadata.items() if key.lower() == name[len(_METADATA) :]), None)
            return value if isinstance(value, str | int | float) else None
        return None if participant is None else participant.attribute(name)

    return attribute


class DecisionObserver:
    """Hands the decisions of finished requests to the log."""

    def __init__(self, log: DecisionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    def __call__(self, finished: Finished) -> None:
        """Take the decision of a request, where there was one."""
        if finished.decision is None:
            return
        counted = [each for each in (finished.prompt_tokens, finished.completion_tokens) if each is not None]
        self._log.offer(
            LoggedDecision(
                request_id=finished.request_id,
                at=self._clock.now(),
                decision=finished.decision,
                answered=finished.domain if finished.answered else "",
                version=finished.version if finished.answered else "",
                status=finished.status,
                latency_ms=finished.seconds * 1000,
                tokens=sum(counted) if counted else None,
            )
        )
