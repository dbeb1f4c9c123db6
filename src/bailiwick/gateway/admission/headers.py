"""The headers by which OpenAI's clients pace themselves. Pure.

Names and forms: platform.openai.com/docs/guides/rate-limits ("Rate limits in headers"); ``retry-after-ms`` is read by
the official clients, which wait at most a minute for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.errors import BailiwickError
from bailiwick.gateway.admission.model import InvalidKey, RateLimited, Standing
from bailiwick.governance.access.model import Kind

LONGEST_WAIT_MS = 60_000
_NAMES = {
    kind: tuple(f"x-ratelimit-{what}-{kind.value}".encode() for what in ("limit", "remaining", "reset"))
    for kind in (Kind.REQUESTS, Kind.TOKENS)
}
Fields = list[tuple[bytes, bytes]]


def limit_headers(standings: Sequence[Standing]) -> Fields:
    """``x-ratelimit-*`` of the limit that leaves least, of requests and of tokens."""
    least: dict[Kind, Standing] = {}
    for each in standings:
        kind = each.limit.kind
        if kind in _NAMES and (kind not in least or each.remaining < least[kind].remaining):
            least[kind] = each
    fields: Fields = []
    for kind, each in least.items():
        limit, remaining, reset = _NAMES[kind]
        fields += (
            (limit, b"%d" % each.limit.most),
            (remaining, b"%d" % max(0, each.remaining)),
            (reset, duration(each.reset_ms).encode()),
        )
    return fields


def refusal_headers(error: BailiwickError) -> Fields:
    """What a refusal says beside its body; nothing for errors of others."""
    if isinstance(error, InvalidKey):
        return [(b"www-authenticate", b'Bearer realm="bailiwick"'), (b"x-should-retry", b"false")]
    if not isinstance(error, RateLimited):
        return []
    wait_ms = error.refusing.wait_ms
    fields = [
        *limit_headers(error.standings),
        (b"retry-after", b"%d" % -(-wait_ms // 1000)),
        (b"retry-after-ms", b"%d" % wait_ms),
    ]
    if wait_ms > LONGEST_WAIT_MS:  # clients would not wait so long, but come back at once
        fields.append((b"x-should-retry", b"false"))
    return fields


def duration(milliseconds: int) -> str:
    """A duration as OpenAI writes it.

    >>> [duration(each) for each in (0, 20, 1_000, 59_520, 360_000, 5_400_500)]
    ['0s', '20ms', '1s', '59.52s', '6m0s', '1h30m0.5s']
    """
    if milliseconds == 0:
        return "0s"
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds
