"""The headers by which OpenAI's clients pace themselves. Pure.

Names and forms: platform.openai.com/docs/guides/rate-limits ("Rate limits in headers"); ``retry-after-ms`` is read by
the official clients, which wait at most a minute for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bailiwick.errors import BailiwickError
from bailiwick.gateway.admission.model import InvalidKey, RateLimited, Standing
from bailiwick.governance.access.model import Kind

LONGEST_WAIT_MS = 60_000
_SHOWN = (Kind.REQUESTS, Kind.TOKENS)
Fields = list[tuple[bytes, bytes]]


def limit_headers(standings: Sequence[Standing]) -> Fields:
    """``x-ratelimit-*`` of the limit that leaves least, of requests and of tokens."""
    return [field for kind in _SHOWN for field in _of_kind(standings, kind)]


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
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _of_kind(standings: Sequence[Standing], kind: Kind) -> Iterator[tuple[bytes, bytes]]:
    found = [each for each in standings if each.limit.kind is kind]
    if found:
        least = min(found, key=lambda each: each.remaining)
        name = kind.value.encode()
        yield b"x-ratelimit-limit-" + name, b"%d" % least.limit.most
        yield b"x-ratelimit-remaining-" + name, b"%d" % max(0, least.remaining)
        yield b"x-ratelimit-reset-" + name, duration(least.reset_ms).encode()
