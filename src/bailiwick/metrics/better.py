"""Which way of a metric is good, by its name. Pure."""

from __future__ import annotations

import re

_LOWER_IS_BETTER = re.compile(
    r"(.*_)?(latency|failed|failures?|errors?|error_rate|cost|timeouts?|loss|refused|tokens)(_.*)?|.*_ms"
)


def lower_is_better(metric: str) -> bool:
    """Whether small values of a metric are good, by its name; false for names that are not known.

    >>> [lower_is_better(each) for each in ("latency_ms", "time_to_first_token_ms", "completion_tokens")]
    [True, True, True]
    >>> lower_is_better("correct"), lower_is_better("tokens_per_second")
    (False, False)
    """
    return not metric.endswith("_per_second") and _LOWER_IS_BETTER.fullmatch(metric) is not None
