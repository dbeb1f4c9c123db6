"""`/v1/audit`: the audit trail, its signed head, and proofs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import PlainTextResponse, StreamingResponse

from bailiwick.api.app import platform_of
from bailiwick.governance.verify import Verification
from bailiwick.platform import Platform

router = APIRouter(prefix="/v1/audit", tags=["audit"])

ThePlatform = Annotated[Platform, Depends(platform_of)]


@router.get("")
def entries(
    platform: ThePlatform,
    subject: Annotated[str | None, Query(pattern=r"^[^\x00]{1,300}$", description="such as domain:cards")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> list[dict[str, Any]]:
    """The latest changes, newest first."""
    return [asdict(entry) for entry in platform.audit.entries(subject=subject, limit=limit)]


@router.get("/head", response_class=PlainTextResponse)
def head(platform: ThePlatform) -> str:
    """A signed head over everything recorded until now (C2SP checkpoint). Keep it where nobody here can change it."""
    return platform.transparency.head().note


@router.get("/key", response_class=PlainTextResponse)
def key(platform: ThePlatform) -> str:
    """The public key of the heads."""
    return platform.transparency.verifier_key + "\n"


@router.get("/proof/{sequence}")
def proof(platform: ThePlatform, sequence: Annotated[int, Path(ge=1, le=2**62)]) -> dict[str, Any]:
    """Proof that an entry is in the tree of the newest head (RFC 6962, section 2.1.1)."""
    return asdict(platform.transparency.prove(sequence))


@router.get("/consistency")
def consistency(platform: ThePlatform, first: Annotated[int, Query(ge=1, le=2**62)]) -> dict[str, Any]:
    """Proof that the tree of the first so many entries is the beginning of the newest (RFC 6962, section 2.1.2)."""
    return asdict(platform.transparency.prove_consistency(first))


@router.get("/verification")
def verification(platform: ThePlatform) -> dict[str, Any]:
    """Hash every entry again and hold the trail against every signed head; takes a second per 20,000 entries or so."""
    found: Verification = platform.transparency.verify()
    return {"intact": found.intact, **asdict(found)}


@router.get("/export")
def export(platform: ThePlatform) -> StreamingResponse:
    """The whole trail with its heads, as JSON lines; `bailiwick audit verify --file` reads it."""
    lines = (line + "\n" for line in platform.transparency.export())
    return StreamingResponse(lines, media_type="application/x-ndjson")
