"""Any OpenAI-compatible server as a backend: pooled connections, timeouts, safe retries, streams passed through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
import orjson

from bailiwick.backends.addresses import checked_base_url
from bailiwick.backends.model import Call, UpstreamFailed, UpstreamRefused
from bailiwick.backends.pool import UpstreamPool
from bailiwick.backends.retries import pause_before_retry
from bailiwick.backends.sse import EventCutter
from bailiwick.domains.model import Domain

MAX_ANSWER_BYTES = 32 << 20
_MAX_ERROR_BYTES = 1 << 16
_CONNECT_S = 5.0
_AFTER_DONE_S = 0.2
_REFUSALS = frozenset({400, 409, 413, 415, 422})


class OpenAiHttpBackend:
    """A domain whose model is served elsewhere.

    Args:
        domain: its backend names address, model, key variable, timeout and retries.
        pool: shared connections.
        environment: where the key is looked up.
        model: overrides the domain's upstream model, where a registered version names another.
        rng: for the jitter of retries.

    Raises:
        InvalidInput: the address may not be called, or the domain names no upstream model.
    """

    in_process = False

    def __init__(
        self,
        domain: Domain,
        pool: UpstreamPool,
        environment: Mapping[str, str],
        *,
        model: str | None = None,
        rng: Random | None = None,
    ) -> None:
        backend = domain.backend
        self._base_url = checked_base_url(backend.base_url, domain=domain.id)
        self._model = model or backend.model
        self._key_variable = backend.api_key_env
        self._environment = environment
        self._timeout_s = backend.timeout_s
        self._retries = backend.retries
        self._where = f"upstream of domain {domain.id!r}"
        self._pool = pool
        self._rng = rng or Random()  # noqa: S311 - jitter, not a secret

    async def answer(self, call: Call) -> dict[str, Any]:
        """The upstream's whole answer; see `Backend.answer`."""
        async with self._within(call), self._opened(call) as response:
            raw = await self._bounded(response, MAX_ANSWER_BYTES)
        try:
            document = orjson.loads(raw)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise self._failed("answered with something that is not a JSON object")
        call.usage.take(document.get("usage"))
        return document

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The upstream's events as they come; silence may last as long as the domain's timeout."""
        cutter = EventCutter()
        async with self._within(call) as deadline, self._opened(call) as response:
            if response.content_type != "text/event-stream":
                raise self._failed(f"answered a stream request with {response.content_type[:80]!r}")
            async for piece in response.content.iter_any():
                events = cutter.feed(piece)
                call.usage.take(cutter.usage)
                if events:
                    deadline.reschedule(None)
                    yield events
                if cutter.fault is not None:
                    raise cutter.fault
                if cutter.done:
                    await self._until_end(response)
                    return
            events = cutter.feed(b"\n\n")
            call.usage.take(cutter.usage)
            if events:
                yield events
            if not cutter.done:
                raise cutter.fault or self._failed("ended its stream early")

    @asynccontextmanager
    async def _opened(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response with status 200, after as many attempts as are allowed."""
        ends = asyncio.get_running_loop().time() + call.deadline_s
        headers = self._headers(call)
        payload = orjson.dumps(call.body | {"model": self._model} if self._model else call.body)
        attempt = 0
        while True:
            try:
                response = await self._post(call, payload, headers)
                break
            except UpstreamFailed as failure:
                left_s = ends - asyncio.get_running_loop().time()
                pause = pause_before_retry(failure, attempt, self._retries, left_s, self._rng)
                if pause is None:
                    raise
            attempt += 1
            await asyncio.sleep(pause)
        try:
            yield response
        except aiohttp.ServerTimeoutError as error:
            raise self._failed(f"was silent for {self._timeout_s:g} s", status=504) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(f"broke off its answer ({type(error).__name__})") from error
        finally:
            response.release()

    async def _post(self, call: Call, payload: bytes, headers: dict[str, str]) -> aiohttp.ClientResponse:
        timeout = aiohttp.ClientTimeout(sock_connect=min(_CONNECT_S, self._timeout_s), sock_read=self._timeout_s)
        try:
            response = await self._pool.session.post(
                f"{self._base_url}/{call.operation.value}",
                data=payload,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._failed("cannot be connected to", status=503, retryable=True) from error
        except aiohttp.ServerTimeoutError as error:
            raise self._failed(f"was silent for {self._timeout_s:g} s", status=504) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failed(f"broke off before it answered ({type(error).__name__})") from error
        if response.status == 200:
            return response
        try:
            raise await self._refusal(response)
        finally:
            response.release()

    async def _refusal(self, response: aiohttp.ClientResponse) -> Exception:
        """The error that a status other than 200 means."""
        status = response.status
        if status in _REFUSALS:
            words = await self._words(response)
            return UpstreamRefused(f"the upstream refused the request: {words}", where=self._where, requested=status)
        if status in (429, 502, 503):
            return self._failed(
                f"answered with status {status}",
                status=429 if status == 429 else 503,
                retryable=True,
                retry_after_s=_retry_after_s(response.headers.get("retry-after")),
            )
        if status in (401, 403):
            return self._failed(f"refused the key (status {status}); check the variable {self._key_variable!r}")
        return self._failed(f"answered with status {status}")

    async def _words(self, response: aiohttp.ClientResponse) -> str:
        try:
            document = orjson.loads(await self._bounded(response, _MAX_ERROR_BYTES))
            error = document["error"]
            words = error["message"] if isinstance(error, dict) else error
        except (orjson.JSONDecodeError, KeyError, TypeError, UpstreamFailed, aiohttp.ClientError, OSError):
            return f"status {response.status}"
        key = self._environment.get(self._key_variable or "")
        text = str(words)[:500]
        return text.replace(key, "***") if key else text

    async def _bounded(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        pieces, length = [], 0
        async for piece in response.content.iter_any():
            pieces.append(piece)
            length += len(piece)
            if length > limit:
                raise self._failed(f"answered with more than {limit} bytes")
        return b"".join(pieces)

    async def _until_end(self, response: aiohttp.ClientResponse) -> None:
        """Read what follows ``[DONE]`` (normally only the end), so that the connection can be used again."""
        try:
            async with asyncio.timeout(_AFTER_DONE_S):
                await self._bounded(response, _MAX_ERROR_BYTES)
        except (TimeoutError, UpstreamFailed, aiohttp.ClientError, OSError):
            response.close()

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {"content-type": "application/json", "x-request-id": call.request_id}
        if self._key_variable is not None:
            key = self._environment.get(self._key_variable)
            if not key:
                raise self._failed(
                    "cannot be called without its key",
                    status=503,
                    remedy=f"set the environment variable {self._key_variable!r} and start the gateway again",
                )
            headers["authorization"] = f"Bearer {key}"
        return headers

    @asynccontextmanager
    async def _within(self, call: Call) -> AsyncIterator[asyncio.Timeout]:
        """The call's deadline, as a typed error."""
        try:
            async with asyncio.timeout(call.deadline_s) as deadline:
                yield deadline
        except TimeoutError as error:
            raise self._failed(f"did not answer within {call.deadline_s:g} s", status=504) from error

    def _failed(
        self,
        what: str,
        *,
        status: int = 502,
        retryable: bool = False,
        retry_after_s: float | None = None,
        remedy: str | None = None,
    ) -> UpstreamFailed:
        return UpstreamFailed(
            f"the upstream {what}",
            status=status,
            retryable=retryable,
            retry_after_s=retry_after_s,
            where=self._where,
            remedy=remedy,
        )


def _retry_after_s(value: str | None) -> float | None:
    """The header's seconds; its other form, a date, is left to the jitter."""
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None
