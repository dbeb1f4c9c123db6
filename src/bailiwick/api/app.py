"""The control plane as one FastAPI application. Errors leave as RFC 7807 problem documents."""

from __future__ import annotations

import importlib
import uuid
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from bailiwick import __version__
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
    "bailiwick.api.traffic",
    "bailiwick.api.privacy",
    "bailiwick.api.metrics",
    "bailiwick.api.privacy_releases",
]

STATUS: dict[type[BailiwickError], int] = {
    InvalidInput: 422,
    NotFound: 404,
    Conflict: 409,
    PolicyDenied: 403,
    BudgetExhausted: 403,
    GateFailed: 409,
    Unavailable: 503,
}


def create_api(platform: Platform) -> FastAPI:
    """The control-plane application over a platform."""
    api = FastAPI(title="Bailiwick", version=__version__)
    api.state.platform = platform
    for module in _ROUTERS:
        api.include_router(importlib.import_module(module).router)
    api.add_exception_handler(BailiwickError, _problem)
    api.add_exception_handler(RequestValidationError, _invalid_request)
    return api


def platform_of(request: Request) -> Platform:
    """Dependency: the platform that serves this request."""
    platform: Platform = request.app.state.platform
    return platform


def actor_of(request: Request) -> Actor:
    """Dependency: who makes this request, for the audit trail.

    ``X-Actor`` and ``X-Reason`` are taken on trust until access keys are in force.
    """
    return Actor(
        name=f"api:{request.headers.get('x-actor', 'anonymous')[:180]}",
        request_id=request.headers.get("x-request-id", uuid.uuid4().hex)[:100],
        reason=request.headers.get("x-reason"),
    )


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BailiwickError)
    status = STATUS.get(type(error), 500)
    return _problem_json(status, error.message, error.fields())


async def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _problem_json(422, f"{where}: {first['msg']}", {"code": InvalidInput.code, "where": where})


def _problem_json(status: int, title: str, fields: dict[str, Any]) -> JSONResponse:
    body = {"type": f"urn:bailiwick:{fields['code']}", "title": title, "status": status, **fields}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")
