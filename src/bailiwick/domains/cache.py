"""The section ``cache`` of a domain: whether and how its answers are kept. Absent by default: nothing is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Scope = Literal["everyone", "user", "key"]
MAX_GENERATION = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SemanticCache:
    """Answers of similar questions, at a threshold that was calibrated on the domain's own labelled examples.

    Args:
        threshold: likeness, 0 to 1, from which two questions are taken for the same.
        max_wrong: the budget: the share of such hits that may be wrong.
        model: the version whose labels say what a question means; None: only its wording counts.
        dataset: that the threshold was calibrated on.
        questions, hits, wrong: what its held-out half showed at the threshold.
    """

    threshold: float
    max_wrong: float
    model: str | None = None
    dataset: str = ""
    questions: int = 0
    hits: int = 0
    wrong: int = 0


@dataclass(frozen=True, slots=True)
class AnswerCaching:
    """How a domain's answers are kept.

    Args:
        enabled: off keeps the section without using it.
        ttl_s: how long an answer serves.
        max_entries, max_bytes: of one gateway process for the domain; the least recently used answers leave first.
        max_answer_bytes: longer answers are not kept.
        sampled: also keep answers of upstream models that were drawn at random (temperature above 0, no seed).
        scope: who shares answers: everyone, the requests of one user, or those with one client key.
        shared: also keep them in Redis, where one is configured and the model is not in this process.
        generation: `bailiwick cache clear` counts it up; answers of another generation are never served.
        semantic: None: only the same question gets the same answer.
    """

    enabled: bool = True
    ttl_s: float = 3600.0
    max_entries: int = 10_000
    max_bytes: int = 64 << 20
    max_answer_bytes: int = 1 << 20
    sampled: bool = False
    scope: Scope = "everyone"
    shared: bool = True
    generation: int = 0
    semantic: SemanticCache | None = None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True, hide_input_in_errors=True)


class SemanticCacheDocument(_Strict):
    """See `SemanticCache`; written by `bailiwick cache semantic`."""

    threshold: float = Field(gt=0, le=1)
    max_wrong: float = Field(gt=0, le=0.5)
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@+-]{1,200}$")] | None = None
    dataset: Annotated[str, Field(pattern=r"^[^\x00-\x1f]{0,200}$")] = ""
    questions: int = Field(default=0, ge=0, le=2**31 - 1)
    hits: int = Field(default=0, ge=0, le=2**31 - 1)
    wrong: int = Field(default=0, ge=0, le=2**31 - 1)


class AnswerCachingDocument(_Strict):
    """See `AnswerCaching`."""

    enabled: bool = True
    ttl_s: float = Field(default=3600.0, gt=0, le=30 * 86_400)
    max_entries: int = Field(default=10_000, ge=1, le=10_000_000)
    max_bytes: int = Field(default=64 << 20, ge=1 << 10, le=64 << 30)
    max_answer_bytes: int = Field(default=1 << 20, ge=64, le=64 << 20)
    sampled: bool = False
    scope: Scope = "everyone"
    shared: bool = True
    generation: int = Field(default=0, ge=0, le=MAX_GENERATION)
    semantic: SemanticCacheDocument | None = None

    def section(self) -> AnswerCaching:
        """The checked section."""
        values = self.model_dump()
        semantic = values.pop("semantic")
        return AnswerCaching(**values, semantic=None if semantic is None else SemanticCache(**semantic))
