from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.backends.origin import origin_of, request_bytes

HERE = origin_of("http://host:8000/v1")


def test_request__post__head_and_body_as_the_standard_writes_them() -> None:
    assert request_bytes(HERE, "POST", "/embeddings", [("accept", "*/*")], b"{}") == (
        b"POST /v1/embeddings HTTP/1.1\r\nhost: host:8000\r\naccept: */*\r\ncontent-length: 2\r\n\r\n{}"
    )


@given(st.text(max_size=40))
def test_request__any_header_value__one_header_or_refused(value: str) -> None:
    try:
        raw = request_bytes(HERE, "POST", "/x", [("authorization", value)], b"")
    except ValueError:
        assert not value.isascii() or set(value) & set("\r\n\0")
    else:
        assert raw.count(b"\r\n") == 5
        assert raw.count(b"\n") == 5


@pytest.mark.parametrize(
    ("url", "authority", "host"),
    [
        ("https://llm.example", "llm.example", "llm.example"),
        ("https://llm.example:443/v1", "llm.example", "llm.example"),
        ("http://[::1]:8080/v1", "[::1]:8080", "::1"),
        ("https://bücher.example/v1", "xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_origin__any_address__host_header_and_name(url: str, authority: str, host: str) -> None:
    origin = origin_of(url)
    assert (origin.authority, origin.host) == (authority, host)
