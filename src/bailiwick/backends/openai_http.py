"""Any OpenAI-compatible server as a backend: replicas, timeouts, safe retries, streams passed through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from bailiwick.backends.addresses import checked_base_url
from bailiwick.backends.complaints import Complaint, asked_wait_s, complaint_of
from bailiwick.backends.model import Call, Operation, UpstreamFailed, UpstreamRefused
from bailiwick.backends.origin import Header, origin_of
from bailiwick.backends.pool import UpstreamPool
from bailiwick.backends.ports import Break, Timing, TransportFailed, UpstreamResponse
from bailiwick.backends.racing import first_good, given_up
from bailiwick.backends.replicas import Attempt, Replica
from bailiwick.backends.retries import pause_before_retry
from bailiwick.backends.sse import EventCutter
from bailiwick.domains.model import Domain
from bailiwick.errors import InvalidInput

MAX_ANSWER_BYTES = 32 << 20
_MAX_ERROR_BYTES = 1 << 16
_CONNECT_S = 5.0
_AFTER_DONE_S = 0.2
_NEARLY = 0.95
_PATHS = {operation: f"/{operation.value}" for operation in Operation}
_REFUSALS = frozenset({400, 409, 413, 415, 422})
_FIXED: tuple[Header, ...] = (
    ("content-type", "application/json"),
    ("accept", "*/*"),
    ("accept-encoding", "identity"),
    ("user-agent", "bailiwick"),
)


@dataclass(frozen=True, slots=True)
class _Sending:
    """A call as it goes to a replica; ``ends_s`` of the loop's clock is when its answer must be there."""

    call: Call
    stream: bool
    headers: list[Header]
    payload: bytes
    ends_s: float


@dataclass(frozen=True, slots=True)
class _Reply:
    """A good answer: its head, and for whole answers its body."""

    attempt: Attempt
    response: UpstreamResponse
    raw: bytes = b""


class OpenAiHttpBackend:
    """A domain whose model is served elsewhere, by one server or several replicas.

    Args:
        domain: its backend names addresses, model, key variable, timeout and retries.
        pool: the shared client, and what is known of the replicas.
        environment: where the key is looked up.
        model: overrides the domain's upstream model, where a registered version names another.
        rng: for the jitter of retries and the choice of replicas.

    Raises:
        InvalidInput: an address may not be called.
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
        self._rng = rng or Random()  # noqa: S311 - jitter and balance, not secrets
        addresses = [
            checked_base_url(url, domain=domain.id, allows=pool.allows) for url in backend.addresses or (None,)
        ]
        try:
            origins = [origin_of(address) for address in addresses]
        except ValueError as error:
            raise InvalidInput(
                f"the upstream's address cannot be used: {error}",
                what="base_url",
                where=f"domain {domain.id!r}, backend.base_url",
            ) from error
        self._replicas = pool.replicas(domain.id, origins, backend, self._rng)
        self._client = pool.client
        self._model = model or backend.model
        # With the addresses: an ensemble's answers depend on them, too, and it knows its members by what they say here.
        self.identity = f"upstream model {self._model} at {' '.join(sorted(addresses))}"
        self._key_variable = backend.api_key_env
        self._environment = environment
        self._retries = backend.retries
        self._repeatable = backend.repeatable
        self._where = f"upstream of domain {domain.id!r}"
        self._timing = Timing(min(_CONNECT_S, backend.timeout_s), backend.timeout_s, backend.timeout_s)

    async def answer(self, call: Call) -> dict[str, Any]:
        """The upstream's whole answer; see `Backend.answer`."""
        try:
            async with asyncio.timeout(call.deadline_s):
                reply = await self._asked(call, stream=False)
        except TimeoutError as error:
            raise self._too_late(call) from error
        try:
            document = orjson.loads(reply.raw)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            reply.attempt.failed()
            raise self._failed("answered with something that is not a JSON object")
        if document.get("error") and call.operation is not Operation.RESPONSE:  # some say 200 to everything
            raise self._complained(reply.attempt, complaint_of(document), begun=False)
        reply.attempt.succeeded()
        call.usage.take(document.get("usage"))
        return document

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The upstream's events as they come; silence may last as long as the domain's timeout."""
        cutter = EventCutter(typed=call.operation is Operation.RESPONSE)
        reply: _Reply | None = None
        begun = False
        try:
            async with asyncio.timeout(call.deadline_s) as deadline:
                reply = await self._asked(call, stream=True)
                while piece := await reply.response.piece():
                    events = cutter.feed(piece)
                    call.usage.take(cutter.usage)
                    if events:
                        deadline.reschedule(None)
                        begun = True
                        yield events
                    if cutter.is_broken:
                        raise self._broken_stream(cutter, reply.attempt, begun=begun)
                    if cutter.done:
                        reply.attempt.succeeded()
                        await self._until_end(reply.response)
                        return
                events = cutter.feed(b"\n\n")
                call.usage.take(cutter.usage)
                if events:
                    yield events
                if cutter.is_broken or not cutter.done:
                    raise self._broken_stream(cutter, reply.attempt, begun=begun)
                reply.attempt.succeeded()
        except (TimeoutError, TransportFailed) as error:
            raise self._broken_off(error, reply, call) from error
        except UpstreamFailed as failure:
            if reply is not None and failure.replica_is_ill:
                reply.attempt.failed()
            raise
        finally:
            if reply is not None:
                reply.attempt.abandoned()
                reply.response.release()

    async def _asked(self, call: Call, *, stream: bool) -> _Reply:
        """A good answer, after as many attempts as are allowed."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + call.deadline_s
        payload = orjson.dumps(call.body | {"model": self._model} if self._model else call.body)
        sending = _Sending(call, stream, self._headers(call), payload, ends_s)
        replicas = self._replicas
        replicas.begin()
        attempt = replicas.attempt(stream=stream)
        if attempt is None:
            raise self._failed(
                "is left alone for a moment, after it failed several times in a row",
                status=503,
                retry_after_s=replicas.opens_in_s(),
            )
        tried: list[Replica] = []
        for number in range(self._retries + 1):
            tried.append(attempt.replica)
            try:
                after_s = replicas.hedge_after_s(stream=stream)
                if after_s is None:
                    return await self._once(attempt, sending)
                return await self._hedged(attempt, sending, after_s)
            except UpstreamFailed as failure:
                following = replicas.attempt(stream=stream, without=tried) if failure.retryable else None
                pause = pause_before_retry(
                    failure, number, self._retries, ends_s - loop.time(), self._rng, elsewhere=following is not None
                )
                if pause is None or not replicas.may_retry():
                    if following is not None:
                        following.withdrawn()
                    raise
                if following is None:
                    await asyncio.sleep(pause)
                    following = replicas.attempt(stream=stream)
                if following is None:
                    raise
                attempt = following
        raise AssertionError("the last attempt is never followed by another")

    async def _hedged(self, attempt: Attempt, sending: _Sending, after_s: float) -> _Reply:
        """The answer of one attempt, or where it takes long, of that or one at another replica."""
        tasks = [asyncio.ensure_future(self._once(attempt, sending))]
        winner: _Reply | None = None
        try:
            await asyncio.wait(tasks, timeout=after_s)
            if not tasks[0].done():
                second = self._replicas.attempt(stream=sending.stream, without=(attempt.replica,))
                if second is not None and self._replicas.may_hedge():
                    tasks.append(asyncio.ensure_future(self._once(second, sending)))
                elif second is not None:
                    second.withdrawn()
            winner = await first_good(tasks)
            return winner
        finally:
            for reply in await given_up(tasks):
                if reply is not winner:
                    reply.attempt.abandoned()
                    reply.response.release()

    async def _once(self, attempt: Attempt, sending: _Sending) -> _Reply:
        """One request to one replica. Its outcome is left open where the answer is good as far as it was read."""
        operation, stream = sending.call.operation, sending.stream
        again = self._repeatable or operation is Operation.EMBEDDING
        left_ms = max(1, int((sending.ends_s - asyncio.get_running_loop().time()) * 1000))
        headers = [*sending.headers, ("x-request-timeout-ms", str(left_ms))]
        response: UpstreamResponse | None = None
        reply: _Reply | None = None
        try:
            origin = attempt.replica.origin
            response = await self._client.send(
                origin, "POST", _PATHS[operation], headers, sending.payload, self._timing
            )
            if response.status != 200:
                raise await self._refusal(response, again=again)
            self._check_head(response, stream=stream)
            attempt.answered()
            raw = b"" if stream else await self._bounded(response, MAX_ANSWER_BYTES)
            reply = _Reply(attempt, response, raw)
            return reply
        except TransportFailed as error:
            attempt.failed(slow=error.kind is Break.SILENT)
            raise self._broken(error, begun=response is not None, again=again) from error
        except UpstreamRefused:
            attempt.refused()
            raise
        except UpstreamFailed as failure:
            if failure.replica_is_ill:
                attempt.failed()
            raise
        except ValueError as error:
            raise self._failed(f"cannot be called: {error}", status=503) from error
        except asyncio.CancelledError:
            if attempt.seconds >= self._timing.first_byte_s * _NEARLY:
                attempt.failed(slow=True)
            raise
        finally:
            if reply is None:
                attempt.abandoned()
            if response is not None and (reply is None or not stream):
                response.release()

    def _check_head(self, response: UpstreamResponse, *, stream: bool) -> None:
        encoding = response.header("content-encoding")
        if encoding not in (None, "", "identity"):
            raise self._failed(
                f"answered compressed ({encoding[:20]!r}), though it was asked not to",
                remedy='set upstream_client = "aiohttp", which reads compressed answers',
            )
        if stream:
            kind = (response.header("content-type") or "").partition(";")[0].strip().lower()
            if kind != "text/event-stream":
                raise self._failed(f"answered a stream request with {kind[:80]!r}")

    async def _refusal(self, response: UpstreamResponse, *, again: bool) -> Exception:
        """The error that a status other than 200 means."""
        status = response.status
        if status in _REFUSALS:
            return self._refused(await self._complaint(response), status)
        if status in (429, 502, 503):
            words = (await self._complaint(response)).quoted if status == 429 else ""
            return self._failed(
                f"answered with status {status}{words}",
                status=429 if status == 429 else 503,
                retryable=True,
                retry_after_s=asked_wait_s(*map(response.header, ("retry-after-ms", "retry-after", "date"))),
                replica_is_ill=status != 429,
            )
        if status == 404:
            words = (await self._complaint(response)).quoted
            return self._failed(f"answered with status 404{words}", replica_is_ill=False)
        if status in (401, 403):
            words = f"refused the key (status {status}); check the variable {self._key_variable!r}"
            return self._failed(words, replica_is_ill=False)
        ill = not 400 <= status < 500
        return self._failed(f"answered with status {status}", retryable=again and status >= 500, replica_is_ill=ill)

    def _broken(self, error: TransportFailed, *, begun: bool, again: bool) -> UpstreamFailed:
        """What a broken exchange means for the call."""
        if error.kind is Break.CONNECT:
            return self._failed(f"cannot be connected to ({error.words})", status=503, retryable=True)
        if error.kind is Break.SILENT:
            return self._failed(f"was silent for {self._timing.silence_s:g} s", status=504, retryable=again)
        what = "broke off its answer" if begun else "broke off before it answered"
        return self._failed(f"{what} ({error.words})", retryable=again)

    def _broken_off(self, error: TimeoutError | TransportFailed, reply: _Reply | None, call: Call) -> UpstreamFailed:
        """What it means that a stream did not begin in time, or did not go on."""
        if reply is not None:
            reply.attempt.failed(slow=isinstance(error, TimeoutError) or error.kind is Break.SILENT)
        if isinstance(error, TimeoutError):
            return self._too_late(call)
        return self._broken(error, begun=True, again=False)

    def _refused(self, complaint: Complaint, status: int) -> UpstreamRefused:
        return UpstreamRefused(
            f"the upstream refused the request: {complaint.words or f'status {status}'}",
            what=complaint.param,
            where=self._where,
            requested=status,
            said_code=complaint.code,
        )

    def _broken_stream(self, cutter: EventCutter, attempt: Attempt, *, begun: bool) -> Exception:
        if cutter.complaint is not None:
            return self._complained(attempt, cutter.complaint, begun=begun)
        if cutter.failed:
            return self._failed("failed amid its answer, and says so in it", told=True)
        return cutter.fault or self._failed("ended its stream early")

    def _complained(self, attempt: Attempt, said: Complaint, *, begun: bool) -> UpstreamRefused | UpstreamFailed:
        """What an error means that came in place of an answer, or of its next event, after a status that was good."""
        said = said.without(self._key())
        if said.status in _REFUSALS and not begun:
            attempt.refused()
            return self._refused(said, said.status)
        ill = said.status is None or said.status >= 500
        status = 429 if said.status == 429 else 502
        return self._failed(f"ended its answer with an error{said.quoted}", status=status, replica_is_ill=ill)

    async def _complaint(self, response: UpstreamResponse) -> Complaint:
        try:
            document = orjson.loads(await self._bounded(response, _MAX_ERROR_BYTES))
        except (orjson.JSONDecodeError, UpstreamFailed, TransportFailed):
            return Complaint()
        return complaint_of(document).without(self._key())

    def _key(self) -> str | None:
        return self._environment.get(self._key_variable or "")

    async def _bounded(self, response: UpstreamResponse, limit: int) -> bytes:
        pieces, length = [], 0
        while piece := await response.piece():
            pieces.append(piece)
            length += len(piece)
            if length > limit:
                raise self._failed(f"answered with more than {limit} bytes")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _until_end(self, response: UpstreamResponse) -> None:
        """Read what follows ``[DONE]`` (normally only the end), so that the connection can be used again."""
        try:
            async with asyncio.timeout(_AFTER_DONE_S):
                await self._bounded(response, _MAX_ERROR_BYTES)
        except (TimeoutError, UpstreamFailed, TransportFailed):
            pass  # releasing it closes it

    def _headers(self, call: Call) -> list[Header]:
        headers = [*_FIXED, ("x-request-id", call.request_id), *call.trace]
        if self._key_variable is not None:
            key = self._key()
            if not key:
                raise self._failed(
                    "cannot be called without its key",
                    status=503,
                    remedy=f"set the environment variable {self._key_variable!r} and start the gateway again",
                )
            headers.append(("authorization", f"Bearer {key}"))
        return headers

    def _too_late(self, call: Call) -> UpstreamFailed:
        return self._failed(f"did not answer within {call.deadline_s:g} s", status=504)

    def _failed(
        self,
        what: str,
        *,
        status: int = 502,
        retryable: bool = False,
        retry_after_s: float | None = None,
        remedy: str | None = None,
        replica_is_ill: bool = True,
        told: bool = False,
    ) -> UpstreamFailed:
        return UpstreamFailed(
            f"the upstream {what}",
            status=status,
            retryable=retryable,
            retry_after_s=retry_after_s,
            where=self._where,
            remedy=remedy,
            replica_is_ill=replica_is_ill,
            told=told,
        )
