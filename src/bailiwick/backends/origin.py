"""Where an upstream listens, and the bytes of a request to it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

Header = tuple[str, str]

_PATH_CHARACTERS = "/%:@!$&'()*+,;=~-._"


@dataclass(frozen=True, slots=True)
class Origin:
    """A server, and the path below which its interface lies.

    Args:
        tls: https.
        host: without brackets; in ASCII.
        port: also where the URL leaves it to the scheme.
        prefix: such as ``/v1``; percent-encoded, without a trailing slash.
    """

    tls: bool
    host: str
    port: int
    prefix: str

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def name(self) -> str:
        """``host:port``, what metrics and errors call it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, path: str) -> str:
        """The whole address of a path below the prefix."""
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.prefix}{path}"


def origin_of(base_url: str) -> Origin:
    """The origin of an address that `checked_base_url` has passed.

    >>> origin_of("http://[::1]:8000/v1")
    Origin(tls=False, host='::1', port=8000, prefix='/v1')
    >>> origin_of("https://llm.example/a b").authority, origin_of("https://llm.example/a b").prefix
    ('llm.example', '/a%20b')

    Raises:
        ValueError: the host's name cannot be written in ASCII.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    tls = parts.scheme == "https"
    return Origin(tls, host, parts.port or (443 if tls else 80), quote(parts.path.rstrip("/"), safe=_PATH_CHARACTERS))


def request_bytes(origin: Origin, method: str, path: str, headers: Sequence[Header], body: bytes) -> bytes:
    r"""An HTTP/1.1 request, head and body.

    >>> request_bytes(origin_of("http://x/v1"), "GET", "/models", [], b"").split(b"\r\n")[:2]
    [b'GET /v1/models HTTP/1.1', b'host: x']

    Raises:
        ValueError: a header's value is not plain ASCII text without line breaks: it would become another header.
    """
    lines = [
        f"{method} {origin.prefix}{path} HTTP/1.1\r\nhost: {origin.authority}\r\n",
        *(f"{name}: {value}\r\n" for name, value in headers),
    ]
    if method != "GET":
        lines.append(f"content-length: {len(body)}\r\n")
    lines.append("\r\n")
    head = "".join(lines).encode("ascii")
    if head.count(b"\n") != len(headers) + (3 if method == "GET" else 4) or head.count(b"\r") != head.count(b"\n"):
        raise ValueError("a header holds a line break")
    if b"\0" in head:
        raise ValueError("a header holds a NUL character")
    return head + body
