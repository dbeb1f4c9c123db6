"""The Prometheus text format, version 0.0.4, as far as counters, gauges, summaries and histograms need it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sample:
    """One value with its labels. ``suffix`` is ``_sum``, ``_count`` or ``_bucket`` in a summary or histogram."""

    value: float
    labels: Mapping[str, str]
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its samples. Counters are named ``..._total``."""

    name: str
    kind: Literal["counter", "gauge", "summary", "histogram"]
    help: str
    samples: Sequence[Sample]


def render(families: Iterable[Family]) -> str:
    r"""The exposition of the families.

    >>> print(render([Family("jobs_total", "counter", "Jobs done.", [Sample(3, {"kind": 'a"b'})])]), end="")
    # HELP jobs_total Jobs done.
    # TYPE jobs_total counter
    jobs_total{kind="a\"b"} 3
    """
    lines: list[str] = []
    for family in families:
        help_text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
        lines += [f"# HELP {family.name} {help_text}", f"# TYPE {family.name} {family.kind}"]
        lines += [
            f"{family.name}{sample.suffix}{_labels(sample.labels)} {_number(sample.value)}" for sample in family.samples
        ]
    return "".join(f"{line}\n" for line in lines)


def metric_name(text: str) -> str:
    """A legal metric name near the text.

    >>> metric_name("latency ms"), metric_name("95th")
    ('latency_ms', '_95th')
    """
    cleaned = re.sub(r"[^a-zA-Z0-9_:]", "_", text)
    return f"_{cleaned}" if cleaned[:1].isdigit() or not cleaned else cleaned


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{metric_name(name)}="{_escape(value)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
