"""The section ``batching`` of a domain: how requests to its local model gather. Absent: each is computed by itself."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class Batching:
    """How requests gather.

    Args:
        size: of a batch at most, in texts.
        window_ms: how long the first request of a batch may wait for others. 0: never; what is there at the same
            moment is computed together. A positive window is only waited while requests do come together: a request
            that comes alone, after another that came alone, is computed at once.
    """

    size: int = 32
    window_ms: float = 0.0


class BatchingDocument(BaseModel):
    """See `Batching`."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True, hide_input_in_errors=True)

    size: int = Field(default=32, ge=1, le=1_024)
    window_ms: float = Field(default=0.0, ge=0, le=1_000)

    def section(self) -> Batching:
        """The checked section."""
        return Batching(**self.model_dump())
