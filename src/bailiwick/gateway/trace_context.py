"""The client's trace, handed on to upstreams: W3C Trace Context (www.w3.org/TR/trace-context). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

Trace = tuple[tuple[str, str], ...]

_PARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_STATE = re.compile(rb"[\x20-\x7e]{1,512}")


def passed_on(headers: Mapping[bytes, bytes]) -> Trace:
    """The headers that an upstream gets as they came; nothing where they are not of the standard's form.

    >>> passed_on({b"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    (('traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),)
    >>> passed_on({b"traceparent": b"00-nonsense", b"tracestate": b"a=1"})
    ()
    """
    parent = headers.get(b"traceparent")
    if parent is None or not _PARENT.fullmatch(parent):
        return ()
    named = [("traceparent", parent.decode("ascii"))]
    state = headers.get(b"tracestate")
    if state is not None and _STATE.fullmatch(state):
        named.append(("tracestate", state.decode("ascii")))
    return tuple(named)
