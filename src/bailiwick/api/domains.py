"""`/v1/domains`: create, change, list, import and export domains."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from bailiwick.api.app import actor_of, platform_of
from bailiwick.domains.document import (
    MAX_DOCUMENT_BYTES,
    document_json,
    domain_json,
    domain_of,
    parse_document,
    revision_json,
)
from bailiwick.domains.model import MAX_REVISION, DomainRevision, Lifecycle
from bailiwick.domains.schema import DomainDocument
from bailiwick.domains.service import LIVING
from bailiwick.errors import InvalidInput
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.registry.model import ModelVersion
from bailiwick.traffic.model import TrafficPlan

router = APIRouter(prefix="/v1/domains", tags=["domains"])

TheActor = Annotated[Actor, Depends(actor_of)]
ThePlatform = Annotated[Platform, Depends(platform_of)]
TheMatch = Annotated[str | None, Header(alias="If-Match", description='The revision you changed, such as "3".')]
TheLifecycles = Annotated[list[Lifecycle] | None, Query(alias="lifecycle", description="Default: all but deleted.")]


async def document_bytes(request: Request) -> bytes:
    """Dependency: the body, refused as soon as it is longer than a document may be."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MAX_DOCUMENT_BYTES:
            raise InvalidInput(
                "the document is too large", where="request body", allowed=f"at most {MAX_DOCUMENT_BYTES:,} bytes"
            )
    return bytes(data)


@router.post("/create", status_code=201)
def create(
    document: DomainDocument, response: Response, platform: ThePlatform, actor: TheActor, activate: bool = False
) -> dict[str, Any]:
    """Make a domain, as a draft unless ``activate`` is true."""
    if document.id is None:
        raise InvalidInput("a new domain needs an id", what="id", where="request body: id")
    domain = domain_of(document.id, document, source="request body")
    created = platform.domains.create(domain, actor, activate=activate)
    response.headers["Location"] = f"/v1/domains/{created.domain.id}"
    return _answer(created, response)


@router.get("/list")
def list_domains(platform: ThePlatform, lifecycle: TheLifecycles = None) -> dict[str, Any]:
    """Every domain in one line each."""
    found = platform.domains.list_domains(tuple(lifecycle or LIVING))
    lines = [
        {
            "id": each.domain.id,
            "name": each.domain.name,
            "agent_id": each.domain.agent_id,
            "layer": each.domain.layer,
            "team": each.domain.team,
            "lifecycle": each.lifecycle.value,
            "revision": each.revision,
        }
        for each in found
    ]
    return {"domains": lines, "default_domain": platform.domains.default_domain()}


@router.get("")
def show_all(platform: ThePlatform, lifecycle: TheLifecycles = None) -> dict[str, Any]:
    """Every domain with its configuration, and the model that serves it."""
    found = platform.domains.list_domains(tuple(lifecycle or LIVING))
    return {"domains": _with_models(platform, found)}


@router.get("/export", response_model=None)
def export_document(
    platform: ThePlatform,
    response: Response,
    if_none_match: Annotated[str | None, Header(description="The ETag of an earlier answer.")] = None,
) -> dict[str, Any] | Response:
    """The domain document. Its ``ETag`` names the version; asked again with it, an unchanged document is a 304."""
    version = platform.domains.version()
    if version is not None and if_none_match == _etag(version.catalogue, version.revision):
        return Response(status_code=304, headers={"ETag": if_none_match})
    state = platform.domains.state()
    if state is None:
        return document_json(platform.domains.export_document())
    response.headers["ETag"] = _etag(state.version.catalogue, state.version.revision)
    return document_json(state.document)


@router.post("/import")
def import_document(
    data: Annotated[bytes, Depends(document_bytes)], platform: ThePlatform, actor: TheActor, dry_run: bool = False
) -> dict[str, Any]:
    """Create and update domains as a document says: all of it or nothing."""
    known = [each.domain.id for each in platform.domains.list_domains()]
    document = parse_document(data, source="request body", known_domains=known)
    outcome = platform.domains.import_document(document, actor, dry_run=dry_run)
    return {
        "created": outcome.created,
        "updated": outcome.updated,
        "unchanged": outcome.unchanged,
        "default_domain": outcome.default_domain,
        "dry_run": outcome.dry_run,
    }


@router.get("/{domain_id}")
def show(
    domain_id: str,
    response: Response,
    platform: ThePlatform,
    revision: Annotated[int | None, Query(ge=1, le=MAX_REVISION)] = None,
) -> dict[str, Any]:
    """One domain as it is, or as it was at a revision."""
    found = platform.domains.get(domain_id, revision)
    response.headers["ETag"] = _etag(found.revision)
    return _with_models(platform, [found])[0] if revision is None else revision_json(found)


@router.put("/{domain_id}")
def update(
    domain_id: str,
    document: DomainDocument,
    response: Response,
    platform: ThePlatform,
    actor: TheActor,
    if_match: TheMatch = None,
) -> dict[str, Any]:
    """Replace a domain's configuration; fields that are left out get their defaults."""
    domain = domain_of(domain_id, document, source="request body")
    return _answer(platform.domains.update(domain, actor, expected_revision=_expected(if_match)), response)


@router.post("/{domain_id}/activate")
def activate(
    domain_id: str, response: Response, platform: ThePlatform, actor: TheActor, if_match: TheMatch = None
) -> dict[str, Any]:
    """Let a domain be detected and served."""
    return _answer(platform.domains.activate(domain_id, actor, expected_revision=_expected(if_match)), response)


@router.post("/{domain_id}/archive")
def archive(
    domain_id: str, response: Response, platform: ThePlatform, actor: TheActor, if_match: TheMatch = None
) -> dict[str, Any]:
    """Take a domain out of detection and service."""
    return _answer(platform.domains.archive(domain_id, actor, expected_revision=_expected(if_match)), response)


@router.post("/{domain_id}/default")
def set_default(domain_id: str, platform: ThePlatform, actor: TheActor) -> dict[str, Any]:
    """Let this domain answer what no other claims."""
    platform.domains.set_default(domain_id, actor)
    return {"default_domain": domain_id}


@router.delete("/{domain_id}")
def delete(
    domain_id: str,
    response: Response,
    platform: ThePlatform,
    actor: TheActor,
    force: bool = False,
    if_match: TheMatch = None,
) -> dict[str, Any]:
    """Delete a domain; needs ``force=true``. Its history stays."""
    expected = _expected(if_match)
    return _answer(platform.domains.delete(domain_id, actor, force=force, expected_revision=expected), response)


@router.get("/{domain_id}/history")
def history(
    domain_id: str, platform: ThePlatform, limit: Annotated[int, Query(ge=1, le=10_000)] = 100
) -> dict[str, Any]:
    """The revisions of a domain, newest first, also of a deleted one."""
    return {"revisions": [revision_json(each) for each in platform.domains.history(domain_id, limit)]}


@router.get("/{domain_id}/diff")
def diff(
    domain_id: str,
    platform: ThePlatform,
    before: Annotated[
        int | None, Query(alias="from", ge=1, le=MAX_REVISION, description="Default: the one before `to`.")
    ] = None,
    after: Annotated[
        int | None, Query(alias="to", ge=1, le=MAX_REVISION, description="Default: the current one.")
    ] = None,
) -> dict[str, Any]:
    """The fields that differ between two revisions."""
    changes = platform.domains.diff(domain_id, before, after)
    return {"changes": [{"field": each.field, "before": each.before, "after": each.after} for each in changes]}


def served_model(plan: TrafficPlan | None, versions: Mapping[str, ModelVersion]) -> dict[str, Any]:
    """The model version that serves most of the domain's users, its training run and latest metrics; None: nothing."""
    weights = {} if plan is None else plan.weights
    stable = max(sorted(weights), key=lambda version: weights[version], default=None)
    version = None if stable is None else versions.get(stable)
    return {
        "model_version": stable,
        "training_run": None if version is None else version.training_run,
        "latest_metrics": None if version is None else dict(version.metrics),
    }


def _with_models(platform: Platform, revisions: Sequence[DomainRevision]) -> list[dict[str, Any]]:
    """Each domain with its model; as many queries for a thousand domains as for one."""
    plans = platform.traffic.plans()
    only = revisions[0].domain.id if len(revisions) == 1 else None
    versions = {version.id: version for version in platform.registry.list(only)}
    return [
        {
            "id": each.domain.id,
            "lifecycle": each.lifecycle.value,
            "revision": each.revision,
            "config": domain_json(each.domain),
            "agent_id": each.domain.agent_id,
            "layer": each.domain.layer,
            "team": each.domain.team,
            "keywords": each.domain.keywords,
            "tags": each.domain.tags,
            **served_model(plans.get(each.domain.id), versions),
        }
        for each in revisions
    ]


def _answer(revision: DomainRevision, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = _etag(revision.revision)
    return revision_json(revision)


def _etag(*parts: str | int) -> str:
    return '"' + "-".join(str(part) for part in parts) + '"'


def _expected(if_match: str | None) -> int | None:
    """The revision that ``If-Match`` names; None without the header, or for ``*``."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = re.fullmatch(r'\s*(?:W/)?"?(\d{1,9})"?\s*', if_match)
    if found is None:
        raise InvalidInput(
            f"If-Match: {if_match[:80]!r} names no revision",
            what="If-Match",
            requested=if_match[:80],
            allowed='the ETag of an earlier answer, such as "3"',
        )
    return int(found[1])
