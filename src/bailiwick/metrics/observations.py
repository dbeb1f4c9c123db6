"""What is observed: single numbers, and requests with the numbers that they showed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from bailiwick.metrics.exposures import Exposure

LARGEST_VALUE = 1e100
"""Beyond it the sum of squares would soon leave the range of a float."""

SHADOW_ARM = "shadow"
"""The arm of a version that answers copies of requests: nobody got those answers, so they count apart."""

_NUMBERS = (int, float)
_NAME = re.compile(r"[^\x00-\x1f\ud800-\udfff]{1,200}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{1,100}")


@dataclass(frozen=True, slots=True)
class Observation:
    """One number about one version at one instant.

    Args:
        metric: a name with its unit where it has one, such as ``latency_ms``; ``failed`` is 0 or 1.
        arm: of the experiment or rollout that the request belonged to; empty outside of any.
    """

    at: datetime
    domain: str
    version: str
    metric: str
    value: float
    arm: str = ""


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """One answered request: which version answered, and what was measured of it (numbers by metric).

    Args:
        request_id: 1 to 100 letters, digits or ``._:-``; feedback names it.
        exposures: the experiments that it took part in.
        unit: who asked, such as a user; only a keyed digest is stored. Empty where nobody is known.
    """

    at: datetime
    request_id: str
    domain: str
    version: str
    values: Mapping[str, float] = field(default_factory=dict)
    arm: str = ""
    exposures: tuple[Exposure, ...] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Exposed:
    """Exposures apart from any answered request: an evaluation of a flag, or a failed attempt with what it showed.

    Args:
        request_id: that feedback may name; None where there is none.
        domain, version: that were asked; empty where nothing was.
    """

    at: datetime
    exposures: tuple[Exposure, ...]
    request_id: str | None = None
    domain: str = ""
    version: str = ""
    values: Mapping[str, float] = field(default_factory=dict)


def is_recordable(observation: Observation) -> bool:
    """Whether names and instant fit the tables, and the value is a finite number of sensible size."""
    return is_measured(observation.metric, observation.value) and is_placed(observation)


def is_measured(metric: object, value: object) -> bool:
    """Whether a metric and its value are a name and a finite number of sensible size."""
    return isinstance(value, _NUMBERS) and -LARGEST_VALUE <= value <= LARGEST_VALUE and is_name(metric)


def measured(values: Mapping[str, float]) -> dict[str, float]:
    """Those numbers of a request that `is_measured` takes."""
    return {metric: float(value) for metric, value in values.items() if is_measured(metric, value)}


def is_exposed(item: Exposed) -> bool:
    """Whether id, names and instant of exposures fit the log."""
    return (
        item.at.tzinfo is not None
        and (item.request_id is None or (isinstance(item.request_id, str) and is_request_id(item.request_id)))
        and (item.domain == "" or (is_name(item.domain) and len(item.domain) <= 64))
        and (item.version == "" or is_name(item.version))
    )


def is_request_id(text: str) -> bool:
    """Whether a text may name a request.

    >>> is_request_id("req-20261123T190428-5f3a9c1e"), is_request_id("a b")
    (True, False)
    """
    return _REQUEST_ID.fullmatch(text) is not None


def is_placed(item: Observation | ServedRequest) -> bool:
    """Whether names and instant of an item fit the tables."""
    return (
        item.at.tzinfo is not None
        and is_name(item.domain)
        and len(item.domain) <= 64
        and is_name(item.version)
        and (item.arm == "" or is_name(item.arm))
    )


def is_name(text: object) -> bool:
    """Whether a text may name a version, a metric, an arm or an experiment."""
    return isinstance(text, str) and _is_fitting(text)


@lru_cache(maxsize=4_096)
def _is_fitting(text: str) -> bool:
    """There are few names and very many observations."""
    return _NAME.fullmatch(text) is not None
