"""The control plane as one FastAPI application. Errors leave as RFC 7807 problem documents."""

from __future__ import annotations

import importlib
import math
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bailiwick import __version__
from bailiwick.api.body_limit import BodyLimit
from bailiwick.errors import (
    BailiwickError,
    BudgetExhausted,
    Conflict,
    GateFailed,
    InvalidInput,
    NotFound,
    PolicyDenied,
    Unavailable,
)
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform

# Each module offers `router`.
_ROUTERS = [
    "bailiwick.api.domains",
    "bailiwick.api.extraction",
    "bailiwick.api.graph",
    "bailiwick.api.detection",
    "bailiwick.api.datasets",
    "bailiwick.api.training",
    "bailiwick.api.models",
    "bailiwick.api.deployments",
    "bailiwick.api.rollouts",
    "bailiwick.api.gates",
    "bailiwick.api.traffic",
    "bailiwick.api.privacy",
    "bailiwick.api.metrics",
    "bailiwick.api.observations",
    "bailiwick.api.audit",
    "bailiwick.api.privacy_releases",
    "bailiwick.api.shadow",
    "bailiwick.api.webhooks",
    "bailiwick.api.privacy_plans",
    "bailiwick.api.experiments",
    "bailiwick.api.holdout",
    "bailiwick.api.ensembles",
    "bailiwick.api.keys",
    "bailiwick.api.routing",
    "bailiwick.api.cache",
]

LARGER_BODIES = {"/v1/datasets/": 64 << 20, "/v1/domains/import": 64 << 20}
"""Longest request bodies in bytes, by the beginning of the path, where they may be longer than the usual."""

STATUS: dict[type[BailiwickError], int] = {
    InvalidInput: 422,
    NotFound: 404,
    Conflict: 409,
    PolicyDenied: 403,
    BudgetExhausted: 403,
    GateFailed: 409,
    Unavailable: 503,
}


_MOST_ACTOR = 180
_MOST_REASON = 2_000
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")


def create_api(platform: Platform, describe: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> FastAPI:
    """The control-plane application over a platform.

    Args:
        platform: what is controlled.
        describe: adds to the OpenAPI document what is served beside it in the same process.
    """
    api = FastAPI(title="Bailiwick", version=__version__)
    api.add_middleware(BodyLimit, usual=platform.settings.max_body_bytes, larger=LARGER_BODIES)
    api.state.platform = platform
    for module in _ROUTERS:
        api.include_router(importlib.import_module(module).router)
    api.add_exception_handler(BailiwickError, _problem)
    api.add_exception_handler(RequestValidationError, _invalid_request)
    api.add_exception_handler(HTTPException, _no_such_path)
    if describe is not None:
        _describe(api, describe)
    return api


def _describe(api: FastAPI, describe: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    own = api.openapi

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = describe(own())
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]


def platform_of(request: Request) -> Platform:
    """Dependency: the platform that serves this request."""
    platform: Platform = request.app.state.platform
    return platform


def actor_of(request: Request) -> Actor:
    """Dependency: who makes this request, for the audit trail.

    ``X-Actor`` and ``X-Reason`` are taken on trust until access keys are in force; what is not printable in them is
    left out, so that an entry reads as one line and as nobody else's. An odd request id is replaced.
    """
    given_id = request.headers.get("x-request-id", "")
    return Actor(
        name=f"api:{_printable(request, 'x-actor', _MOST_ACTOR) or 'anonymous'}",
        request_id=given_id if _REQUEST_ID.fullmatch(given_id) else uuid.uuid4().hex,
        reason=_printable(request, "x-reason", _MOST_REASON) or None,
    )


def _printable(request: Request, header: str, most: int) -> str:
    """A header as UTF-8 text without control, format and unassigned characters."""
    text = request.headers.get(header, "").encode("latin-1").decode("utf-8", "replace")
    return "".join(each for each in text if each.isprintable()).strip()[:most]


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BailiwickError)
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
    return _problem_json(status, error.message, error.fields())


async def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _problem_json(422, f"{where}: {first['msg']}", {"code": InvalidInput.code, "where": where})


async def _no_such_path(request: Request, error: Exception) -> JSONResponse:
    """What the framework itself refuses: a path that does not exist (404), or not with this method (405)."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    if error.status_code == 404:
        fields = NotFound(f"there is nothing at {path!r}", what="path", remedy="GET /openapi.json lists every path")
        answer = _problem_json(404, fields.message, fields.fields())
    else:
        answer = _problem_json(error.status_code, f"{path!r}: {error.detail}", {"code": InvalidInput.code})
    answer.headers.update(error.headers or {})
    return answer


def _problem_json(status: int, title: str, fields: dict[str, Any]) -> JSONResponse:
    body = {"type": f"urn:bailiwick:{fields['code']}", "title": title, "status": status, **_sayable(fields)}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def _sayable(value: Any) -> Any:
    """What was asked for may be NaN or infinite, which JSON does not know: then as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _sayable(each) for key, each in value.items()}
    return [_sayable(each) for each in value] if isinstance(value, list | tuple) else value
