"""Durations by OpenTelemetry's names for generative AI, as Prometheus writes them. Pure.

Names, attributes and bucket boundaries: opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics; Prometheus takes
``_`` for ``.`` and adds the unit. Three finer boundaries come first, because a model in this process answers in less.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from bailiwick.backends.model import Operation
from bailiwick.gateway.model import Finished
from bailiwick.metrics.prometheus import Family, Sample

OPERATION_NAMES = {
    Operation.CHAT: "chat",
    Operation.COMPLETION: "text_completion",
    Operation.EMBEDDING: "embeddings",
    Operation.RESPONSE: "chat",
}
PROVIDER = "bailiwick"

_DURATION_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
    *(1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
)
_FIRST_TOKEN_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
_TOKENS = (1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864)

Series = tuple[str, str, str, str]
"""Operation, domain, version, and what else tells series of one histogram apart."""


class Histogram:
    """Counts of values per bucket, for each series.

    Args:
        bounds: upper boundaries of the buckets, rising; the last bucket is unbounded.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts: dict[Series, list[int]] = {}
        self._sums: dict[Series, float] = {}

    def add(self, series: Series, value: float) -> None:
        """Count one value."""
        counts = self._counts.get(series)
        if counts is None:
            counts = self._counts[series] = [0] * (len(self._bounds) + 1)
            self._sums[series] = 0.0
        counts[bisect_left(self._bounds, value)] += 1
        self._sums[series] += value

    def samples(self, last_label: str) -> Iterator[Sample]:
        """The samples of all series; ``last_label`` names the series' last part."""
        for series in sorted(self._counts):
            operation, domain, version, last = series
            labels = {
                "gen_ai_operation_name": operation,
                "gen_ai_provider_name": PROVIDER,
                "gen_ai_request_model": domain,
                "gen_ai_response_model": version,
                last_label: last,
            }
            so_far = 0
            for bound, number in zip((*map(str, self._bounds), "+Inf"), self._counts[series], strict=True):
                so_far += number
                yield Sample(so_far, {**labels, "le": bound}, "_bucket")
            yield Sample(self._sums[series], labels, "_sum")
            yield Sample(so_far, labels, "_count")


class GenAiHistograms:
    """Duration of requests, time to the first token, and tokens."""

    def __init__(self) -> None:
        self._durations = Histogram(_DURATION_S)
        self._first_tokens = Histogram(_FIRST_TOKEN_S)
        self._tokens = Histogram(_TOKENS)

    def add(self, finished: Finished) -> None:
        """Count one finished request."""
        operation = OPERATION_NAMES[finished.operation]
        domain, version = finished.domain, finished.version
        error = "" if finished.status < 400 else str(finished.status)
        self._durations.add((operation, domain, version, error), finished.seconds)
        if finished.first_token_s is not None and not error:
            self._first_tokens.add((operation, domain, version, ""), finished.first_token_s)
        if finished.prompt_tokens is not None:
            self._tokens.add((operation, domain, version, "input"), finished.prompt_tokens)
        if finished.completion_tokens is not None:
            self._tokens.add((operation, domain, version, "output"), finished.completion_tokens)

    def families(self) -> list[Family]:
        """For Prometheus."""
        return [
            Family(
                "gen_ai_server_request_duration_seconds",
                "histogram",
                "From the request's head to the answer's last byte.",
                list(self._durations.samples("error_type")),
            ),
            Family(
                "gen_ai_server_time_to_first_token_seconds",
                "histogram",
                "From asking the model to the first piece of its stream.",
                list(self._first_tokens.samples("error_type")),
            ),
            Family(
                "gen_ai_client_token_usage",
                "histogram",
                "Tokens of a request, as the model counts them.",
                list(self._tokens.samples("gen_ai_token_type")),
            ),
        ]
