"""`/v1/extractions`: runs, what went wrong in them, and, where a root folder is configured, starting one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.errors import InvalidInput, PolicyDenied
from bailiwick.extraction.service import DEFAULT_DIALECT
from bailiwick.extraction.store import RunRecord
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform

router = APIRouter(prefix="/v1/extractions", tags=["extraction"])


class ExtractionRequest(BaseModel):
    """What to read. Paths are relative to the server's extraction root."""

    model_config = ConfigDict(extra="forbid")

    paths: list[str] = Field(min_length=1, max_length=100, examples=[["warehouse"]])
    source: str | None = Field(None, min_length=1, max_length=300)
    dialect: str = DEFAULT_DIALECT
    dry_run: bool = False
    max_removed: float = Field(0.5, ge=0, le=1)


@router.post("")
def extract(
    request: ExtractionRequest,
    platform: Annotated[Platform, Depends(platform_of)],
    actor: Annotated[Actor, Depends(actor_of)],
) -> dict[str, Any]:
    """Read files on the server and give the run's counts; answers when the run has ended."""
    root = platform.settings.extraction_root
    if root is None:
        raise PolicyDenied(
            "this server reads no files on request",
            what="extraction_root",
            remedy="set BAILIWICK_EXTRACTION_ROOT to the folder that may be read, or run `bailiwick extract` there",
        )
    report = platform.extraction.extract(
        [_below(root, path) for path in request.paths],
        actor=actor,
        source=request.source,
        dialect=request.dialect,
        dry_run=request.dry_run,
        max_removed_fraction=request.max_removed,
    )
    failed = [{"file": file.name, "line": file.line, "message": file.message} for file in report.failed]
    return {**report.summary(), "failed": failed}


@router.get("")
def list_runs(
    platform: Annotated[Platform, Depends(platform_of)],
    source: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> list[RunRecord]:
    """The latest runs, newest first."""
    return list(platform.extraction.runs(source=source, limit=limit))


@router.get("/{run}/outcomes")
def list_outcomes(
    run: str,
    platform: Annotated[Platform, Depends(platform_of)],
    outcome: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> dict[str, Any]:
    """What was not simply read: statements that fell back or failed, files that were skipped or failed."""
    count, page = platform.extraction.outcomes(run, outcome=outcome, limit=limit, offset=offset)
    return {"count": count, "outcomes": page}


def _below(root: Path, path: str) -> Path:
    """The path, with proof that no ``..`` or link leads out of the root."""
    if "\0" in path:
        raise InvalidInput("a path holds a NUL character", what="paths", requested=repr(path))
    resolved = (root / path).resolve()
    if not resolved.is_relative_to(root.resolve()):
        raise PolicyDenied(f"{path!r} is outside the folder that may be read", what="paths", requested=path)
    return resolved
