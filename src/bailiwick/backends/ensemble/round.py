"""One query, put to members of an ensemble: who is asked, what each said, what it took."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from bailiwick.backends.ensemble.board import Board, Seat
from bailiwick.backends.ensemble.gather import gather
from bailiwick.backends.model import Call, UpstreamFailed, Usage
from bailiwick.backends.ports import Backend, Classifying
from bailiwick.backends.text import estimate_tokens
from bailiwick.errors import BailiwickError, InvalidInput
from bailiwick.models.ensemble.spec import EnsembleSpec, MemberSpec

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_probes: set[asyncio.Task[None]] = set()
ENSEMBLE_ARM = "ensemble"
"""The arm of a version that was asked as a member: nobody got its answer as such, so it counts apart."""

_STREAMING = ("stream", "stream_options")


class QuorumMissing(UpstreamFailed):
    """Too few members answered in time."""

    code = "quorum_missing"


@dataclass(frozen=True, slots=True)
class Member:
    """A member that can be asked.

    Args:
        version: that serves now.

    Attributes:
        name: ``domain@version``, as answers name it.
        classifier: the backend, where it says how likely each label is.
    """

    spec: MemberSpec
    version: str
    backend: Backend
    seat: Seat
    name: str = field(init=False)
    classifier: Classifying | None = field(init=False)

    def __post_init__(self) -> None:
        # once, not per query: asking whether something follows a protocol costs more than a short prediction
        found = self.backend if isinstance(self.backend, Classifying) else None
        object.__setattr__(self, "classifier", found)
        object.__setattr__(self, "name", f"{self.spec.domain}@{self.version}")


@dataclass(slots=True)
class Part:
    """What became of asking one member."""

    member: Member
    share: float
    usage: Usage = field(default_factory=Usage)
    said: str | None = None
    confidence: float | None = None
    error: Exception | None = None
    seconds: float = 0.0
    ended: bool = False
    good: bool = False


class Round:
    """One query on its way through an ensemble.

    Args:
        call: the client's.
        spec: of the ensemble.
        ensemble: its name, ``domain@version``.
        board: where members' failures and latencies are observed.

    Attributes:
        parts: of the members, in the order in which they were asked.
        overhead: parts of the judge.
    """

    def __init__(self, call: Call, spec: EnsembleSpec, ensemble: str, board: Board) -> None:
        self.call = call
        self.spec = spec
        self.parts: list[Part] = []
        self.overhead: list[Part] = []
        self._ensemble = ensemble
        self._prompt_tokens: int | None = None
        self._board = board
        self._ends_s = time.perf_counter() + min(call.deadline_s, spec.deadline_ms / 1000)
        self.body = {name: value for name, value in call.body.items() if name not in _STREAMING}

    def prompt_tokens(self, texts: Sequence[str]) -> int:
        """Of the texts that every classifier of the ensemble reads; counted once."""
        if self._prompt_tokens is None:
            self._prompt_tokens = estimate_tokens(*texts)
        return self._prompt_tokens

    @property
    def left_s(self) -> float:
        """Until the deadline."""
        return max(0.0, self._ends_s - time.perf_counter())

    def part(self, member: Member) -> Part:
        """Begin to ask a member."""
        part = Part(member, member.seat.share)
        self.parts.append(part)
        return part

    def inner(self, part: Part, **changes: Any) -> Call:
        """The call to a member; its usage is the part's."""
        return replace(self.call, body=self.body, deadline_s=max(0.001, self.left_s), usage=part.usage, **changes)

    async def attend(self, part: Part, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Put the query to a member, and learn from how it ends.

        Raises:
            Exception: whatever the member raises; it is kept in the part.
        """
        part.member.seat.begin()
        begun = time.perf_counter()
        try:
            answer = await work()
        except asyncio.CancelledError:
            self.end(part, begun, good=None)
            raise
        except Exception as error:
            part.error = error
            if not isinstance(error, BailiwickError):
                _log.exception("the member %s of %s failed", part.member.name, self._ensemble)
            # a request that the member refuses says nothing about the member
            self.end(part, begun, good=None if isinstance(error, InvalidInput) else False)
            raise
        seconds = time.perf_counter() - begun
        slow = self.spec.slow_ms is not None and seconds * 1000 > self.spec.slow_ms
        self.end(part, begun, good=not slow)
        part.good = True
        return answer

    def late(self, part: Part, seconds: float) -> None:
        """Count a part that was left behind after so many seconds, unless it has ended meanwhile."""
        if not part.ended:
            part.error = TimeoutError("did not answer in time")
            self.end(part, time.perf_counter() - seconds, good=False)

    def end(self, part: Part, begun: float, *, good: bool | None) -> None:
        """Count how a part ended, once."""
        if part.ended:
            return
        part.ended = True
        part.seconds = time.perf_counter() - begun
        member = part.member
        member.seat.end(good=good, seconds=part.seconds, tokens=part.usage.completion_tokens)
        observe = self._board.observe
        if observe is not None and good is not None:
            observe(member.spec.domain, member.version, "member_failed", float(not good), arm=ENSEMBLE_ARM)
            observe(member.spec.domain, member.version, "member_latency_ms", part.seconds * 1000, arm=ENSEMBLE_ARM)

    async def all(
        self,
        members: Sequence[Member],
        work: Callable[[Part], Awaitable[_Answer]],
        *,
        within_s: float,
        quorum: int,
    ) -> list[tuple[Part, _Answer]]:
        """Ask members at once; whoever has not answered in time has failed.

        Returns:
            What answered, in the order of the members.

        Raises:
            InvalidInput: every member refused the request; the words of one.
            QuorumMissing: fewer than the quorum answered.
        """
        parts = [self.part(member) for member in members]
        begun = time.perf_counter()

        def asking(part: Part) -> Callable[[], Awaitable[_Answer]]:
            return lambda: self.attend(part, lambda: work(part))

        outcomes = await gather([asking(part) for part in parts], quorum=quorum, within_s=within_s)
        answered: list[tuple[Part, _Answer]] = []
        for part, outcome in zip(parts, outcomes, strict=True):
            if outcome.answer is not None:
                answered.append((part, outcome.answer))
            elif outcome.late and not part.ended:
                late = time.perf_counter() - begun >= within_s
                part.error = part.error or (TimeoutError("did not answer in time") if late else None)
                self.end(part, begun, good=False if late else None)
        self.require(len(answered), quorum)
        return answered

    def require(self, answered: int, quorum: int) -> None:
        """See that enough members answered.

        Raises:
            InvalidInput, QuorumMissing: as `all`.
        """
        if answered >= quorum:
            return
        errors = [part.error for part in self.parts if part.error is not None]
        if errors and len(errors) == len(self.parts) and all(isinstance(error, InvalidInput) for error in errors):
            raise errors[0]
        why = "; ".join(f"{part.member.name}: {_words(part.error)}" for part in self.parts if part.error is not None)
        raise QuorumMissing(
            f"{answered} of {len(self.parts)} members of {self._ensemble!r} answered, {quorum} are needed"
            + (f" ({why[:600]})" if why else ""),
            status=503,
            remedy="ask again in a moment; `bailiwick backend list` shows the members",
        )

    def probe(self, members: Sequence[Member], work: Callable[[Part], Awaitable[Any]]) -> None:
        """Put the query to benched members whose turn has come. Nobody waits for them, and they do not count."""
        for member in members:
            if not member.seat.due():
                continue
            part = Part(member, 0.0)
            task = asyncio.ensure_future(self._probe(part, work, max(0.05, self.left_s)))
            _probes.add(task)
            task.add_done_callback(_probes.discard)

    async def _probe(self, part: Part, work: Callable[[Part], Awaitable[Any]], within_s: float) -> None:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(within_s):
                await self.attend_probe(part, work)
        except TimeoutError as error:
            part.error = error
            self.end(part, begun, good=False)
        except Exception as error:  # noqa: BLE001 - counted against the member already; nobody waits for it
            _log.debug("a probe of %s failed: %s", part.member.name, error)

    async def attend_probe(self, part: Part, work: Callable[[Part], Awaitable[Any]]) -> None:
        """As `attend`; a probe that the deadline ends is left to its caller to count."""
        part.member.seat.begin()
        begun = time.perf_counter()
        try:
            await work(part)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            part.error = error
            self.end(part, begun, good=None if isinstance(error, InvalidInput) else False)
            raise
        self.end(part, begun, good=True)

    def usage(self) -> Usage:
        """Of all members and the judge together; None where none says."""
        return Usage(
            _sum(part.usage.prompt_tokens for part in [*self.parts, *self.overhead]),
            _sum(part.usage.completion_tokens for part in [*self.parts, *self.overhead]),
        )


def counted_members(members: Sequence[Member], quorum: int) -> list[Member]:
    """Who is asked and counts: the active members; while they are too few, benched ones as well, in their order."""
    active = [member for member in members if member.seat.active]
    if len(active) == len(members) or len(active) >= quorum:
        return active
    missing = quorum - len(active)
    drafted = [member for member in members if not member.seat.active][:missing]
    return [member for member in members if member.seat.active or member in drafted]


def _sum(counts: Any) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _words(error: Exception | None) -> str:
    return error.message if isinstance(error, BailiwickError) else type(error).__name__
