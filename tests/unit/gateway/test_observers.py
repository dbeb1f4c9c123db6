"""Spans and lines of the access log, through a real gateway application."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_house import House, run
from gateway_sources import CLOCK
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from bailiwick.errors import InvalidInput
from bailiwick.gateway.access_log import AccessLog
from bailiwick.gateway.traces import Traces, configured_provider

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_traces__a_request__is_one_span_of_the_clients_trace_without_its_text() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces = Traces(provider)
    house = House(None, observers=[traces])

    async def story() -> None:
        await house.ask(stream=True, traceparent=PARENT, x_request_id="req-7")
        await house.ask(model="nobody")

    run(house, story)
    answered, refused = exporter.get_finished_spans()
    assert (answered.name, answered.kind) == ("chat cards", SpanKind.SERVER)
    assert answered.context is not None
    assert f"{answered.context.trace_id:032x}" == PARENT.split("-")[1]
    assert answered.parent is not None
    assert f"{answered.parent.span_id:016x}" == PARENT.split("-")[2]
    found = dict(answered.attributes or {})
    assert found.pop("gen_ai.response.time_to_first_chunk") > 0
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "bailiwick",
        "gen_ai.request.model": "cards",
        "gen_ai.response.model": "v1",
        "gen_ai.response.id": "req-7",
        "gen_ai.usage.input_tokens": house.seen[0].prompt_tokens,
        "gen_ai.usage.output_tokens": house.seen[0].completion_tokens,
        "http.response.status_code": 200,
        "bailiwick.domain": "cards",
        "bailiwick.version": "v1",
        "bailiwick.route": "explicit",
    }
    assert (answered.end_time or 0) - (answered.start_time or 0) == pytest.approx(house.seen[0].seconds * 1e9, abs=1e3)
    assert (refused.attributes or {})["error.type"] == "404"
    assert refused.status.status_code is StatusCode.UNSET  # the client's fault is no error of the server
    assert not any("secret" in span.to_json() for span in (answered, refused))


def test_traces__a_broken_parent__begins_a_trace() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    house = House(None, observers=[Traces(provider)])

    async def story() -> None:
        assert (await house.ask(traceparent="00-nonsense"))[0] == 200

    run(house, story)
    assert exporter.get_finished_spans()[0].parent is None


def test_configured_provider__exporters__are_those_of_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    configured_provider().shutdown()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    configured_provider().shutdown()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
    with pytest.raises(InvalidInput, match="carrier-pigeon"):
        configured_provider()


def test_observer__raises__the_answer_is_sent_all_the_same() -> None:
    def broken(_finished: object) -> None:
        raise ValueError("broken")

    house = House(None, observers=[broken])

    async def story() -> None:
        assert (await house.ask())[0] == 200

    run(house, story)


def test_access_log__requests__are_lines_without_text(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    log = AccessLog(str(path), CLOCK)
    house = House(None, observers=[log])

    async def story() -> None:
        await house.ask(stream=True, x_request_id="req-1", x_user_id="ada")
        await house.ask(model="nobody")

    run(house, story)
    log.close()
    text = path.read_text()
    answered, refused = map(json.loads, text.splitlines())
    assert answered.pop("duration_ms") >= answered.pop("time_to_first_token_ms") > 0
    assert answered == {
        "at": CLOCK.now().isoformat(),
        "request_id": "req-1",
        "operation": "chat/completions",
        "model": "cards",
        "domain": "cards",
        "version": "v1",
        "route": "explicit",
        "status": 200,
        "stream": True,
        "prompt_tokens": house.seen[0].prompt_tokens,
        "completion_tokens": house.seen[0].completion_tokens,
    }
    assert (refused["status"], refused["model"], "domain" in refused) == (404, "nobody", False)
    assert "secret" not in text
    assert "ada" not in text


def test_access_log__prompts_asked_for__what_the_user_asked_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    log = AccessLog(str(path), CLOCK, with_prompts=True)
    house = House(None, observers=[log])

    async def story() -> None:
        await house.ask(x_user_id="ada")

    run(house, story)
    log(replace(house.seen[0], text="ü" * 20_000))
    log.close()
    asked, long = map(json.loads, path.read_text().splitlines())
    assert (asked["prompt"], long["prompt"]) == ("secret words", "ü" * 10_000)
    assert "ada" not in path.read_text()


def test_access_log__a_file_that_cannot_be_written__is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        AccessLog(str(tmp_path / "missing" / "access.jsonl"), CLOCK)


def test_access_log__file_gone__lines_are_counted_as_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = AccessLog(str(folder / "access.jsonl"), CLOCK)
    (folder / "access.jsonl").unlink()
    folder.rmdir()
    house = House(None, observers=[log])

    async def story() -> None:
        await house.ask()

    run(house, story)
    log.close()
    (family,) = log.families()
    assert (family.name, [sample.value for sample in family.samples]) == ("bailiwick_access_log_dropped_total", [1])
