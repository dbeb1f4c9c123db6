"""Spans of a real server, at a collector that speaks OTLP over HTTP."""

from __future__ import annotations

import gzip
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from receivers import eventually
from serving import Fleet, Upstream, serving

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `otel` is not installed")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """Keeps the spans that it is sent."""

    def __init__(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.spans: list[Any] = []
        self.services: set[str] = set()
        spans, services = self.spans, self.services

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    raw = gzip.decompress(raw)
                for resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
                    services.update(
                        each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
                    )
                    for scope in resource.scope_spans:
                        spans.extend(scope.spans)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def _attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def test_traces__requests__at_the_collector_with_their_attributes_and_without_their_text(
    tmp_path: Path, collector: Collector
) -> None:
    upstream = Upstream()
    upstream.will("500")
    fleet = Fleet(tmp_path)
    fleet.upstream("far", upstream.url, retries=0)
    fleet.platform.close()
    settings = {
        "BAILIWICK_TRACES": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with serving(tmp_path, settings) as server:
        for model in ("cards", "far"):
            body = {"model": model, "messages": [{"role": "user", "content": "secret card"}], "temperature": 0.5}
            address = f"{server.url}/v1/chat/completions"
            request = urllib.request.Request(address, json.dumps(body).encode(), {"traceparent": PARENT})
            try:
                urllib.request.urlopen(request, timeout=30).close()
            except urllib.error.HTTPError as error:
                assert (model, error.code) == ("far", 502)
        eventually(lambda: len(collector.spans) == 2)
    upstream.close()
    answered, failed = sorted(collector.spans, key=lambda span: span.start_time_unix_nano)
    assert collector.services == {"bailiwick"}
    assert (answered.trace_id.hex(), answered.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
    assert answered.end_time_unix_nano > answered.start_time_unix_nano
    found = _attributes(answered)
    assert {name: found[name] for name in found if name.startswith("gen_ai.re") and "id" not in name} == {
        "gen_ai.request.model": "cards",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.model": fleet.versions["cards"][0],
    }
    assert found["gen_ai.operation.name"] == "chat" and found["gen_ai.usage.input_tokens"] > 0
    assert (failed.name, _attributes(failed)["error.type"], failed.status.code) == ("chat far", "502", 2)
    assert not any(b"secret" in span.SerializeToString() for span in collector.spans)
