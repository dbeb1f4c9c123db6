"""The nouns of caching: what is wished, what is kept, what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bailiwick.backends.model import Call
from bailiwick.backends.ports import Backend
from bailiwick.caching.neighbours import Question
from bailiwick.caching.similarity import Similarity
from bailiwick.domains.cache import AnswerCaching
from bailiwick.errors import Unavailable

HIT_METRIC = "cache_hit"
"""Observed of every request that the cache took part in: 1 where it had the answer, else 0."""

SIMILAR_METRIC = "cache_similar"
"""Observed, as 1, of every hit that another question's answer served."""


class Outcome(StrEnum):
    """What the cache did for a request; the value of the header ``x-bailiwick-cache``."""

    HIT = "hit"
    """The answer was there, or an identical request was already being answered."""
    MISS = "miss"
    """The model was asked; its answer may serve the next request."""
    BYPASS = "bypass"
    """The cache took no part: the request forbids it, or an answer to it must not be kept."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request says of caching, and who asks.

    Args:
        no_cache: a kept answer must not serve; a fresh one may be kept.
        no_store: neither may happen.
        only_if_cached: the model must not be asked.
        max_age_s: the oldest answer that may serve; None: any.
        user: who asks, for the scope ``user``, with the client's key where it has one of ours; empty: unknown.
        key: digest of the client's key, for the scope ``key``; empty: there is none.
    """

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age_s: float | None = None
    user: str = ""
    key: bytes = b""


NO_WISHES = Wishes()
"""A request that says nothing, of somebody unknown."""


@dataclass(frozen=True, slots=True)
class CompiledCaching:
    """A domain's section ``cache``, compiled into a snapshot.

    Args:
        settings: the section, switched on.
        seed: digest of everything of the domain and its installation that an answer depends on.
        similarity: of questions; None: only the same question gets the same answer.
    """

    settings: AnswerCaching
    seed: bytes
    similarity: Similarity | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One kept answer.

    Args:
        payload: the answer's bytes: a JSON object, or the events of a stream.
        stored_at_s: seconds since 1970 when the model gave it.
        request_id: of the request that it answered.
        renamed: its ids are made of the request's id, so that another request gets its own.
        tokens: that the model counted for it, prompt and answer together.
        more_bytes: that are kept besides, such as a question's vector.
    """

    payload: bytes
    stored_at_s: float
    request_id: str
    renamed: bool = False
    tokens: int = 0
    more_bytes: int = 0

    @property
    def size(self) -> int:
        """Bytes in memory, about: the payload and the objects around it."""
        return len(self.payload) + self.more_bytes + 600


@dataclass(slots=True)
class Told:
    """What the cache says of one attempt. Filled in before the first byte of the answer is given.

    Args:
        outcome: None: the domain keeps no answers.
        age_s: of a kept answer, in seconds.
        similarity: to the question that the answer was given to, where that was another one.
        question: what similar questions are found by, where they are looked for.
    """

    outcome: Outcome | None = None
    age_s: float = 0.0
    similarity: float | None = None
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """One attempt to answer a request through the cache.

    Args:
        domain: whose answers these are.
        settings: its section ``cache``.
        seed: digest of everything of the domain and its installation that an answer depends on.
        call: what the backend would be asked.
        backend: who would be asked.
        identity: digest of the model's content; see `identity_of`.
        version: that would answer.
        arm: names every arm of experiments and rollouts that the request is in; empty: none.
        stream: the answer is wanted as events.
        wishes: what the request says of caching.
        flight_s: how long an answer may take that others wait for as well.
        told: gets the outcome.
        similarity: of questions, where a similar one's answer may serve.
    """

    domain: str
    settings: AnswerCaching
    seed: bytes
    call: Call
    backend: Backend
    identity: bytes
    version: str
    arm: bytes = b""
    stream: bool = False
    wishes: Wishes = NO_WISHES
    flight_s: float = 30.0
    told: Told = field(default_factory=Told)
    similarity: Similarity | None = None


class NotCached(Unavailable):
    """The request wants a kept answer only, and there is none (RFC 9111, 5.2.1.7)."""

    code = "not_cached"
