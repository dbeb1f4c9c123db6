"""One OpenTelemetry span per finished request, with the attributes for generative AI and without any text of it.

Attributes: opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans. Where spans go to is configured as everywhere:
``OTEL_TRACES_EXPORTER`` (``otlp``, ``console``, ``none``), ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_SERVICE_NAME``, ...
"""

from __future__ import annotations

import os
import time
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from bailiwick.errors import InvalidInput
from bailiwick.gateway.histograms import OPERATION_NAMES, PROVIDER
from bailiwick.gateway.model import Finished

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
}
_MOST = 1 << 63
"""OTLP has integers of 64 bits: one longer number, which any client can send, would lose a whole batch of spans."""


class Traces:
    """Makes spans.

    Args:
        provider: of OpenTelemetry's SDK; see `configured_provider`.
    """

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._provider = provider
        self._tracer = provider.get_tracer("bailiwick.gateway")
        self._propagator = TraceContextTextMapPropagator()

    def __call__(self, finished: Finished) -> None:
        """Make the span of one request, a child of the client's where it sent its ``traceparent``."""
        ended = time.time_ns()
        parent = None
        if finished.traceparent:
            parent = self._propagator.extract({"traceparent": finished.traceparent.decode("latin-1")})
        span = self._tracer.start_span(
            f"{OPERATION_NAMES[finished.operation]} {finished.domain}".rstrip(),
            context=parent,
            kind=self._trace.SpanKind.SERVER,
            start_time=ended - int(finished.seconds * 1e9),
            attributes=attributes_of(finished),
        )
        if finished.status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(ended)

    def close(self) -> None:
        """Export what waits."""
        self._provider.shutdown()


def attributes_of(finished: Finished) -> dict[str, Any]:
    """The attributes of a span; what is not known is left out."""
    found: dict[str, Any] = {
        "gen_ai.operation.name": OPERATION_NAMES[finished.operation],
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": finished.model,
        "gen_ai.response.model": finished.version,
        "gen_ai.response.id": finished.request_id,
        "gen_ai.usage.input_tokens": finished.prompt_tokens,
        "gen_ai.usage.output_tokens": finished.completion_tokens,
        "gen_ai.response.time_to_first_chunk": finished.first_token_s,
        "http.response.status_code": finished.status,
        "error.type": str(finished.status) if finished.status >= 400 else None,
        "bailiwick.domain": finished.domain,
        "bailiwick.version": finished.version,
        "bailiwick.route": finished.route,
        "bailiwick.key": finished.key,
        "bailiwick.cache": finished.cache,
    }
    for name, attribute in _PARAMETERS.items():
        value = finished.body.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST:
            found[attribute] = value
    return {name: value for name, value in found.items() if value not in (None, "")}


def configured_provider() -> TracerProvider:
    """A provider whose exporters the ``OTEL_*`` variables name.

    Raises:
        InvalidInput: the SDK or an exporter is not installed, or is not configured.
    """
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise InvalidInput(
            "traces need OpenTelemetry's SDK", what="traces", remedy="pip install 'bailiwick[otel]', or turn traces off"
        ) from error
    named = {} if "OTEL_SERVICE_NAME" in os.environ else {SERVICE_NAME: "bailiwick"}
    provider = TracerProvider(resource=Resource.create(named))
    for name in os.environ.get("OTEL_TRACES_EXPORTER", "otlp").split(","):
        if name.strip() != "none":
            provider.add_span_processor(BatchSpanProcessor(_exporter(name.strip())))
    return provider


def _exporter(name: str) -> SpanExporter:
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    entry = {"otlp": "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"}.get(name, name)
    found = list(entry_points(group="opentelemetry_traces_exporter", name=entry))
    if not found:
        raise InvalidInput(
            f"there is no exporter of traces {name[:50]!r}",
            what="OTEL_TRACES_EXPORTER",
            requested=name[:50],
            remedy="pip install opentelemetry-exporter-otlp-proto-http, or set OTEL_TRACES_EXPORTER to console or none",
        )
    exporter: SpanExporter = found[0].load()()
    return exporter
