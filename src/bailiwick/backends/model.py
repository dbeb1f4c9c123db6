"""The nouns of backends: what is asked of a model, what a classifier reads in a text, and how a call fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.models.ensemble.selection import NO_LIMITS, Limits

MOST_TOKENS = 1_000_000_000
"""That one call can be said to have used; what an upstream counts beyond that is no count."""


class Operation(StrEnum):
    """What is asked; the value is the path below ``/v1``."""

    CHAT = "chat/completions"
    COMPLETION = "completions"
    EMBEDDING = "embeddings"
    RESPONSE = "responses"


@dataclass(slots=True)
class Usage:
    """The tokens of one call, as the model counts them; None where it does not say.

    Args:
        passing: the answer is what could be had at this moment, such as an ensemble's without a member that failed:
            it is good enough to be given, not to be kept.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    passing: bool = field(default=False, repr=False, compare=False)

    def take(self, said: object) -> None:
        """Read an OpenAI usage object, of either interface; what is no number from 0 to `MOST_TOKENS` is left out.

        >>> usage = Usage()
        >>> usage.take({"prompt_tokens": 3, "completion_tokens": "many"})
        >>> usage
        Usage(prompt_tokens=3, completion_tokens=None)
        >>> usage.take({"input_tokens": 4, "output_tokens": 5})
        >>> usage
        Usage(prompt_tokens=4, completion_tokens=5)
        """
        if isinstance(said, dict):
            self.prompt_tokens = _count(said.get("prompt_tokens", said.get("input_tokens")))
            self.completion_tokens = _count(said.get("completion_tokens", said.get("output_tokens")))


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one backend.

    Args:
        body: the OpenAI request object, already parsed and validated; fields that Bailiwick does not know are kept.
        request_id: of the client's request, handed on to upstreams.
        deadline_s: seconds until the whole answer, or the first event of a stream, must be there.
        usage: filled in by the backend once it knows.
        limits: on cost and latency, for backends that can choose.
        trace: headers that tell upstreams which trace the call is part of.
    """

    operation: Operation
    body: dict[str, Any]
    request_id: str
    deadline_s: float = 30.0
    usage: Usage = field(default_factory=Usage)
    limits: Limits = NO_LIMITS
    trace: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a classifier says of one text: labels with their probabilities, most likely first (at most 20)."""

    ranking: tuple[tuple[str, float], ...]

    @property
    def label(self) -> str:
        """The most likely label."""
        return self.ranking[0][0]

    @property
    def confidence(self) -> float:
        """Its probability."""
        return self.ranking[0][1]


class UpstreamRefused(InvalidInput):
    """The model refused the request (an upstream's 4xx): the client has to change it.

    Args:
        message: as for every error.
        said_code: the model's own code for it, which clients may know, such as ``context_length_exceeded``.
    """

    code = "upstream_refused"

    def __init__(
        self,
        message: str,
        *,
        what: str | None = None,
        where: str | None = None,
        requested: int | None = None,
        said_code: str | None = None,
    ) -> None:
        super().__init__(message, what=what, where=where, requested=requested)
        if said_code is not None:
            self.code = said_code


class UpstreamFailed(Unavailable):
    """The model could not be reached, failed, or was too slow.

    Args:
        message: as for every error.
        status: what a gateway answers: 429, 502, 503 or 504.
        retryable: the same request may be sent again: the upstream has certainly not begun to answer it.
        retry_after_s: how long the upstream asked to wait, where it did.
        replica_is_ill: whether the failure counts against the server that was asked: a wrong key does not, nor does
            a limit on the rate of requests.
        told: the events of the stream have said it already.
    """

    code = "upstream_failed"

    def __init__(
        self,
        message: str,
        *,
        status: int = 502,
        retryable: bool = False,
        retry_after_s: float | None = None,
        where: str | None = None,
        remedy: str | None = None,
        replica_is_ill: bool = True,
        told: bool = False,
    ) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.told = told
        self.replica_is_ill = replica_is_ill
        self.status = status
        self.retryable = retryable
        self.retry_after_s = retry_after_s
