from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.backends.complaints import Complaint
from bailiwick.backends.model import UpstreamFailed
from bailiwick.backends.sse import MAX_EVENT_BYTES, EventCutter

STREAM = b': hi\n\ndata: {"a": 1}\n\nevent: x\nid: 7\ndata: {"b":\ndata: 2}\n\ndata: [DONE]\n\n'


@given(cuts=st.lists(st.integers(0, 200)), ending=st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_cutter__any_cut_and_line_ending__same_events(cuts: list[int], ending: bytes) -> None:
    stream = STREAM.replace(b"\n", ending)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    cutter = EventCutter()
    passed = b"".join(cutter.feed(stream[a:b]) for a, b in itertools.pairwise(places)) + cutter.feed(b"\n\n")
    assert passed == STREAM
    assert cutter.done


@given(st.binary(max_size=300))
def test_cutter__any_bytes__events_or_a_typed_error(noise: bytes) -> None:
    cutter = EventCutter()
    passed = cutter.feed(noise + b"\n\n")
    assert passed == b"" or passed.endswith(b"\n\n")
    assert cutter.fault is None or cutter.fault.status == 502


@pytest.mark.parametrize(
    "event", [b"data: {oops\n\n", b"data: 1\n\n", b"data: []\n\n", b"<html></html>\n\n", b'data: {"a": "\xff"}\n\n']
)
def test_cutter__malformed_event__fault_after_the_good_ones(event: bytes) -> None:
    good = b'data: {"a": 1}\n\n'
    cutter = EventCutter()
    assert cutter.feed(good + event + good) == good
    assert isinstance(cutter.fault, UpstreamFailed)


def test_cutter__endless_event__refused_at_a_megabyte() -> None:
    cutter = EventCutter()
    for _ in range(MAX_EVENT_BYTES // 65_536 + 1):
        assert cutter.feed(b"x" * 65_536) == b""
    assert "megabyte" in str(cutter.fault)


def test_cutter__after_done__nothing_is_passed() -> None:
    assert EventCutter().feed(b'data: [DONE]\n\ndata: {"late": 1}\n\n') == b"data: [DONE]\n\n"


def test_cutter__upstreams_own_error__kept_back_and_the_last() -> None:
    cutter = EventCutter()
    good = b'data: {"a": 1, "error": null}\n\n'
    assert cutter.feed(good + b'data: {"error": {"message": "overloaded", "code": 503}}\n\n' + good) == good
    assert cutter.is_broken and cutter.complaint == Complaint("overloaded", status=503)


@pytest.mark.parametrize(
    ("kind", "failed"), [("response.failed", True), ("error", True), ("response.incomplete", False)]
)
def test_cutter__typed_failure__passed_and_noticed(kind: str, failed: bool) -> None:
    event = b'data: {"type":"%b"}\n\n' % kind.encode()
    cutter = EventCutter(typed=True)
    assert cutter.feed(event) == event
    assert (cutter.is_broken, cutter.failed) == (failed, failed)


@pytest.mark.parametrize("kind", ["response.completed", "response.failed", "response.incomplete", "error"])
def test_cutter__typed_events__done_after_the_last_kind(kind: str) -> None:
    begun = b'event: response.created\ndata: {"type":"response.created"}\n\n'
    last = b'data: {"type":"%b"}\n\n' % kind.encode()
    cutter = EventCutter(typed=True)
    assert cutter.feed(begun + last + begun) == begun + last
    assert cutter.done
    untyped = EventCutter()
    untyped.feed(begun + last)
    assert not untyped.done


def test_cutter__type_that_is_no_text__passed_on() -> None:
    cutter = EventCutter(typed=True)
    assert cutter.feed(b'data: {"type":[1]}\n\n')
    assert (cutter.done, cutter.fault) == (False, None)
