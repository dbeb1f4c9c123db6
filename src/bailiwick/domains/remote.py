"""Domains of another Bailiwick, fetched by URL. Only http and https, no redirects, bounded in size and time."""

from __future__ import annotations

import hashlib
import time
from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from bailiwick.domains.document import MAX_DOCUMENT_BYTES, parse_document
from bailiwick.domains.model import CatalogueState, CatalogueVersion
from bailiwick.domains.schema import checked_http_url
from bailiwick.errors import InvalidInput, NotFound, Unavailable

EXPORT_PATH = "/v1/domains/export"
_CHUNK = 1 << 16


class RemoteDomains:
    """Another Bailiwick as a source of domains.

    The other side answers with an ``ETag`` that names the version; asking again with it costs the other side one row
    and the wire a few bytes.

    Args:
        base_url: such as ``https://bailiwick.example:8700``.
        timeout_s: for the whole answer.
        max_bytes: larger answers are refused.

    Raises:
        InvalidInput: the URL is not http or https, names no host, or holds a password.
    """

    name = "remote"

    def __init__(self, base_url: str, *, timeout_s: float = 10.0, max_bytes: int = MAX_DOCUMENT_BYTES) -> None:
        try:
            self._url = checked_http_url(base_url) + EXPORT_PATH
        except ValueError as error:
            raise InvalidInput(
                f"the address of the other Bailiwick {error}", what="domains_url", allowed="http://host:8700"
            ) from error
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._opener = _opener()
        self._newest: CatalogueState | None = None
        self._etag: str | None = None

    def version(self) -> CatalogueVersion | None:
        """See `sources.CatalogueSource.version`. Fetches what is newer, so that `load` need not ask again."""
        self._refresh()
        return None if self._newest is None else self._newest.version

    def load(self) -> CatalogueState | None:
        """See `sources.CatalogueSource.load`.

        Raises:
            Unavailable: the other side does not answer in time, or failed.
            NotFound: there is no Bailiwick at that address.
            InvalidInput: the answer is too large, or no domain document.
        """
        self._refresh()
        return self._newest

    def _refresh(self) -> None:
        request = Request(self._url, headers={"Accept": "application/json"})  # noqa: S310 - checked in the constructor
        if self._etag is not None:
            request.add_header("If-None-Match", self._etag)
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                data = self._read(answer, deadline)
                etag = answer.headers.get("ETag")
        except HTTPError as error:
            with error:
                if error.code != 304:
                    raise self._refused(error) from error
            return
        except (OSError, HTTPException) as error:
            raise Unavailable(
                f"the other Bailiwick does not answer: {getattr(error, 'reason', error)}",
                what="domains_url",
                where=self._url,
                remedy="check that it runs and that the address is right",
            ) from error
        document = parse_document(data, source=self._url)
        self._newest = CatalogueState(CatalogueVersion(f"remote-{hashlib.sha256(data).hexdigest()}", 1), document)
        self._etag = etag

    def _read(self, answer: HTTPResponse, deadline: float) -> bytes:
        """The body, piece by piece: a slow or endless answer ends at the deadline or the limit."""
        data = bytearray()
        while chunk := answer.read1(_CHUNK):
            data += chunk
            if len(data) > self._max_bytes:
                raise InvalidInput(
                    "the answer of the other Bailiwick is too large",
                    what="domains_url",
                    where=self._url,
                    allowed=f"at most {self._max_bytes:,} bytes",
                )
            if time.monotonic() > deadline:
                raise TimeoutError(f"no complete answer within {self._timeout_s:g} s")
        return bytes(data)

    def _refused(self, error: HTTPError) -> NotFound | InvalidInput | Unavailable:
        said = f"the other Bailiwick answered {error.code} {error.reason}"
        if error.code == 404:
            return NotFound(said, what="domains_url", where=self._url, remedy="is this the address of a Bailiwick?")
        if 300 <= error.code < 400:
            target = error.headers.get("Location", "elsewhere")
            return InvalidInput(
                f"{said}: it redirects to {target[:200]!r}",
                what="domains_url",
                where=self._url,
                remedy="use that address",
            )
        return Unavailable(said, what="domains_url", where=self._url)


def _opener() -> OpenerDirector:
    """An opener without the handlers for files, FTP and redirects."""
    opener = OpenerDirector()
    for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler(), HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
        opener.add_handler(handler)
    return opener
