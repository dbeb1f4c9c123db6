"""Answers OpenFeature clients over HTTP: one flag, or all of them. What is evaluated counts as exposed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import orjson
from xxhash import xxh3_128_hexdigest

from bailiwick.errors import BailiwickError
from bailiwick.gateway.asgi import JSON_TYPE, ClientGone, Receive, Scope, Send, read_body, request_id_of, send_bytes
from bailiwick.gateway.faults import status_of
from bailiwick.gateway.model import Snapshot
from bailiwick.gateway.ofrep import Evaluation, RefusedContext, evaluate, evaluate_all, failure, parse_evaluation
from bailiwick.gateway.ports import Recorder
from bailiwick.gateway.reloader import Reloader
from bailiwick.gateway.targets import exposure_of
from bailiwick.gateway.telemetry import Telemetry
from bailiwick.governance.access.table import AccessTable, AdmittedKey

FLAGS = "/ofrep/v1/evaluate/flags"
_FLAG = f"{FLAGS}/"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    document: dict[str, Any] | None
    etag: str | None = None
    domain: str = ""


class Evaluations:
    """The two endpoints of OFREP, over the gateway's snapshot: no SQL, no wait.

    Args:
        reloader: holds the snapshot.
        recorder: gets an exposure for every arm that is given.
        telemetry: counts the requests.
        max_body_bytes: longest accepted request body.
        identify: whose key a request carries; see `Door.identify`.
    """

    def __init__(
        self,
        reloader: Reloader,
        recorder: Recorder,
        telemetry: Telemetry,
        max_body_bytes: int,
        identify: Callable[[Mapping[bytes, bytes], AccessTable], AdmittedKey | None],
    ) -> None:
        self._reloader = reloader
        self._recorder = recorder
        self._telemetry = telemetry
        self._max_body_bytes = max_body_bytes
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer ``POST /ofrep/v1/evaluate/flags[/{key}]``."""
        started = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = request_id_of(headers)
        key = unquote(scope["path"].removeprefix(_FLAG)) if scope["path"].startswith(_FLAG) else None
        try:
            client = self._identify(headers, self._reloader.snapshot.access)
            raw = await read_body(headers, receive, self._max_body_bytes)
            snapshot = _for_client(self._reloader.snapshot, client)
            known = headers.get(b"if-none-match", b"").decode("latin-1")
            answer = self._evaluated(snapshot, raw, key, request_id, known)
        except ClientGone:
            return
        except RefusedContext as error:
            answer = _Answer(400, failure(error, key))
        except BailiwickError as error:
            answer = _Answer(status_of(error), {"errorCode": "GENERAL", "errorDetails": str(error)})
        fields = [JSON_TYPE, (b"x-request-id", request_id.encode())]
        if answer.etag is not None:
            fields.append((b"etag", answer.etag.encode()))
        await send_bytes(send, answer.status, b"" if answer.document is None else orjson.dumps(answer.document), fields)
        self._telemetry.count("evaluate", answer.domain, "", answer.status, time.perf_counter() - started)

    def _evaluated(self, snapshot: Snapshot, raw: bytes, key: str | None, request_id: str, known: str) -> _Answer:
        subject = parse_evaluation(raw, request_id)
        if key is not None:
            found = evaluate(snapshot, key, subject)
            self._expose([found], request_id)
            return _Answer(found.status, _named(found, request_id), domain=found.domain)
        every = list(evaluate_all(snapshot, subject))
        etag = f'"{xxh3_128_hexdigest(orjson.dumps([each.document for each in every]))}"'
        if etag in {tag.strip().removeprefix("W/") for tag in known.split(",")}:
            return _Answer(304, None, etag)  # the client has these arms already, and was counted when it got them
        self._expose(every, request_id)
        return _Answer(200, {"flags": [_named(each, request_id) for each in every]}, etag)

    def _expose(self, evaluations: list[Evaluation], request_id: str) -> None:
        """One exposure for each experiment, however many of its flags were asked for."""
        given = {
            each.assigned.experiment: (each.domain, each.assigned)
            for each in evaluations
            if each.assigned is not None and each.assigned.counted
        }
        for domain, assigned in given.values():
            self._recorder.exposed(
                (exposure_of(assigned),), request_id=request_id, domain=domain, version=assigned.arm.version or ""
            )


def _for_client(snapshot: Snapshot, client: AdmittedKey | None) -> Snapshot:
    """The snapshot with the flags of those domains only that the client's key may ask."""
    if client is None or client.exact is None:
        return snapshot
    return replace(snapshot, flags={flag: domain for flag, domain in snapshot.flags.items() if client.may_ask(domain)})


def _named(evaluation: Evaluation, request_id: str) -> dict[str, Any]:
    """The document with the request's id, under which the application may send feedback."""
    if evaluation.assigned is None:
        return evaluation.document
    return {**evaluation.document, "metadata": {**evaluation.document["metadata"], "requestId": request_id}}
