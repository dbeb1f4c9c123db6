"""REST: training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Query

from bailiwick.api.app import actor_of, platform_of
from bailiwick.datasets.model import Dataset
from bailiwick.datasets.readers import Columns, Source
from bailiwick.datasets.splitting import Shares
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])


@router.get("")
def list_datasets(platform: Annotated[Platform, Depends(platform_of)], name: str | None = None) -> Sequence[Dataset]:
    """Every data set, newest first."""
    return platform.datasets.list(name)


@router.get("/{dataset}")
def get_dataset(dataset: str, platform: Annotated[Platform, Depends(platform_of)]) -> Dataset:
    """A data set by id, or the newest of a name."""
    return platform.datasets.get(dataset)


@router.post("/{name}", status_code=201)
def import_dataset(
    name: str,
    body: Annotated[bytes, Body(media_type="application/octet-stream")],
    platform: Annotated[Platform, Depends(platform_of)],
    actor: Annotated[Actor, Depends(actor_of)],
    form: Annotated[Literal["csv", "tsv", "jsonl"], Query(alias="format")] = "csv",
    domain: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    domain_column: str | None = None,
    unit_column: str | None = None,
    split_column: str | None = None,
    test_share: Annotated[float, Query(ge=0, lt=1)] = Shares().test,
    validation_share: Annotated[float, Query(ge=0, lt=1)] = Shares().validation,
) -> Dataset:
    """Snapshot the labelled texts of the request's body, CSV or JSON lines. The same rows give the same data set."""
    return platform.datasets.import_sources(
        [Source(f"body.{form}", body)],
        name=name,
        actor=actor,
        columns=Columns(text_column, label_column, domain_column, unit_column, split_column),
        domain=domain,
        shares=Shares(test_share, validation_share),
    )
