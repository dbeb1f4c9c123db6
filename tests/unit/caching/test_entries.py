from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.caching.entries import is_whole_stream, packed, rendered, unpacked
from bailiwick.caching.model import Entry

DONE = b"data: [DONE]\n\n"


@given(st.binary(max_size=200), st.floats(0, 4e9), st.text(max_size=20), st.booleans(), st.integers(0, 2**40))
def test_packed__any_entry__comes_back(payload: bytes, at: float, name: str, renamed: bool, tokens: int) -> None:
    entry = Entry(payload, at, name, renamed, tokens)
    assert unpacked(packed(entry, b"k"), b"k") == entry


@given(st.binary(max_size=300))
def test_unpacked__any_bytes__never_raises(raw: bytes) -> None:
    unpacked(raw, b"k")


@given(st.integers(0, 200))
def test_unpacked__cut_off__is_no_entry(length: int) -> None:
    raw = packed(Entry(b'{"id":"up-1","choices":[]}', 1.0, "r1"), b"k")
    assert length >= len(raw) or unpacked(raw[:length], b"k") is None


def test_rendered__an_answers_own_id__becomes_the_new_requests() -> None:
    events = b'data: {"id":"chatcmpl-r1","x":1}\n\ndata: {"id":"chatcmpl-r1","x":2}\n\n' + DONE
    found = rendered(Entry(events, 0.0, "r1", renamed=True), "r2")
    assert found.count(b'"chatcmpl-r2"') == 2 and b"r1" not in found


def test_rendered__an_upstreams_id__stays() -> None:
    payload = b'{"id":"chatcmpl-r1"}'
    assert rendered(Entry(payload, 0.0, "r1"), "r2") == payload


@pytest.mark.parametrize(
    ("events", "whole"),
    [
        (b'data: {"choices":[]}\n\n' + DONE, True),
        (b'data: {"choices":[{"delta":{"content":"error"}}],"error":null}\n\n' + DONE, True),
        (b'data: {"choices":[]}\n\n', False),
        (b'data: {"error":{"message":"no"}}\n\n' + DONE, False),
        (b'event: response.completed\ndata: {"type":"response.completed","response":{"error":null}}\n\n', True),
        (b'event: response.failed\ndata: {"type":"response.failed"}\n\n', False),
        (b"", False),
    ],
)
def test_stream__only_one_that_ended_well__is_whole(events: bytes, whole: bool) -> None:
    assert is_whole_stream(events) is whole
