"""The log of exposures: one event per request and experiment, with what the request showed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

from bailiwick.metrics.exposures import Exposure
from bailiwick.metrics.observations import is_name

DIGEST_BYTES = 16
_MAX_UNIT = 4_000
_MAX_EPOCH = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ExposureEvent:
    """One exposure as it is logged.

    Args:
        part: grows in the order in which its writer commits.
        unit: before it is written the text that was randomised, afterwards its digest (see `digest`).
        request_id: that feedback names; None where the exposure belongs to no request.
        domain, version: that answered; empty where nothing did.
        outcomes: what was measured of the request, by metric.
        writer: the process that logged it; empty until it is read back.
    """

    part: int
    at: datetime
    experiment: str
    epoch: int
    arm: str
    unit: str
    request_id: str | None
    domain: str
    version: str
    propensity: float
    outcomes: Mapping[str, float] = field(default_factory=dict)
    writer: str = ""


@dataclass(frozen=True, slots=True)
class LoggedOutcome:
    """One line of the export: an event, and the feedback on its request by metric, as it stands now."""

    event: ExposureEvent
    feedback: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, and where the next page begins.

    Args:
        cursor: give it back to get what follows, also what is logged later.
    """

    lines: tuple[LoggedOutcome, ...]
    cursor: str


def is_exposure(exposure: Exposure) -> bool:
    """Whether an exposure fits the log.

    >>> is_exposure(Exposure("greeting", 1, "control", "user-7", 0.5))
    True
    """
    return (
        is_name(exposure.experiment)
        and is_name(exposure.arm)
        and isinstance(exposure.epoch, int)
        and 1 <= exposure.epoch <= _MAX_EPOCH
        and isinstance(exposure.unit, str)
        and 0 < len(exposure.unit) <= _MAX_UNIT
        and isinstance(exposure.propensity, int | float)
        and math.isfinite(exposure.propensity)
        and 0 < exposure.propensity <= 1
    )


def digest(unit: str, key: bytes) -> str:
    """A keyed 128-bit digest of a unit in hexadecimal: without the key, nobody can try out who it may be.

    Args:
        unit: any text.
        key: 16 to 64 bytes. BLAKE2b with a key is a message authentication code (RFC 7693, section 2.9).

    >>> digest("user-7", b"k" * 32) == digest("user-7", b"k" * 32), len(digest("", b"k" * 32))
    (True, 32)
    """
    return blake2b(unit.encode("utf-8", "surrogatepass"), key=key, digest_size=DIGEST_BYTES).hexdigest()
