"""What a snapshot is made from, as a file's bytes: checked whole, or refused. Pure.

The first line holds the sha256 of everything after it, the second line a JSON object, then the files that it names, one
after the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import orjson

from bailiwick.domains.document import document_json, parse_document
from bailiwick.domains.model import CatalogueState, CatalogueVersion
from bailiwick.errors import InvalidInput
from bailiwick.gateway.model import Revision
from bailiwick.governance.access.model import AccessState, ClientKey, KeySecret, Limits
from bailiwick.registry.model import ModelVersion
from bailiwick.routing.published import parse_published, published_document
from bailiwick.routing.runtime import Published
from bailiwick.traffic.wire import PublishedPlans, dump_plans, load_plans

FORMAT = 1
_MAGIC = b"bailiwick-snapshot "


@dataclass(frozen=True, slots=True)
class KeptInputs:
    """Everything that a snapshot was made from, but for the artefacts of models.

    Args:
        domains: those that were served.
        plans: of traffic and experiments, with the holdout.
        ended: ids of experiments that ran once.
        access: keys by their digests, and limits: nobody gets in, or gets more, because the database is away.
        versions: every version that is served, by its id.
        detector: the files of what detection has learned; empty: nothing.
        routing: rules, mode and policy.
    """

    revision: Revision
    domains: CatalogueState
    plans: PublishedPlans
    ended: frozenset[str] = frozenset()
    access: AccessState = field(default_factory=lambda: AccessState(0))
    versions: Mapping[str, ModelVersion] = field(default_factory=dict)
    detector: Mapping[str, bytes] = field(default_factory=dict)
    routing: Published = field(default_factory=Published)


def pack(kept: KeptInputs) -> bytes:
    """The bytes that `unpack` reads."""
    catalogue = kept.revision.domains
    head = {
        "format": FORMAT,
        "revision": [
            *(catalogue.catalogue, catalogue.revision),
            *(kept.revision.traffic, kept.revision.detector, kept.revision.access, kept.revision.routing),
        ],
        "domains": document_json(kept.domains.document),
        "plans": orjson.loads(dump_plans(kept.plans)),
        "ended": sorted(kept.ended),
        "access": asdict(kept.access),
        "versions": [asdict(version) for version in kept.versions.values()],
        "routing": published_document(kept.routing),
        "detector": {name: len(content) for name, content in kept.detector.items()},
    }
    # Keys are text in all of it; NaN cannot be in any of it.
    body = b"\n".join([orjson.dumps(head, option=orjson.OPT_NON_STR_KEYS), b"".join(kept.detector.values())])
    return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def revision_of(data: bytes) -> Revision:
    """The revision of a file, without the rest. Raises as `unpack`."""
    head = _head(data, source="")[0]
    try:
        return _revision(head)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged("", repr(error)) from error


def unpack(data: bytes, *, source: str) -> KeptInputs:
    """Read a file back, trusting nothing in it.

    Raises:
        InvalidInput: it was cut off, changed, or written by another version.
    """
    head, rest = _head(data, source=source)
    try:
        revision = _revision(head)
        named = {entry.get("fallback") for entry in head["domains"]["domains"].values()} - {None}
        document = parse_document(orjson.dumps(head["domains"]), source=source, known_domains=named)
        detector: dict[str, bytes] = {}
        for name, length in head["detector"].items():
            detector[name], rest = rest[:length], rest[length:]
        versions = [_version(entry) for entry in head["versions"]]
        return KeptInputs(
            revision,
            CatalogueState(revision.domains, document),
            load_plans(orjson.dumps(head["plans"])),
            frozenset(head["ended"]),
            _access(head["access"]),
            {version.id: version for version in versions},
            detector,
            parse_published(head["routing"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(source, repr(error)) from error


def _head(data: bytes, *, source: str) -> tuple[dict[str, Any], bytes]:
    first, _, body = data.partition(b"\n")
    if first != _MAGIC + hashlib.sha256(body).hexdigest().encode():
        raise _damaged(source, "its contents do not have its checksum")
    line, _, rest = body.partition(b"\n")
    try:
        head = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _damaged(source, repr(error)) from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise _damaged(source, "it was written in another format")
    return head, rest


def _revision(head: dict[str, Any]) -> Revision:
    catalogue, number, *counts = head["revision"]
    traffic, detector, access, routing = map(int, counts)
    return Revision(CatalogueVersion(str(catalogue), int(number)), traffic, detector, access, routing)


def _access(entry: dict[str, Any]) -> AccessState:
    return AccessState(
        int(entry["revision"]),
        tuple(
            ClientKey(**{**_instants(key), "domains": tuple(key["domains"]), "limits": Limits(**key["limits"])})
            for key in entry["keys"]
        ),
        tuple(KeySecret(**_instants(secret)) for secret in entry["secrets"]),
        tuple((str(domain), Limits(**limits)) for domain, limits in entry["domains"]),
    )


def _instants(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with its instants read."""
    return {
        name: datetime.fromisoformat(value)
        if value is not None and (name.endswith("_at") or name == "until")
        else value
        for name, value in entry.items()
    }


def _version(entry: dict[str, Any]) -> ModelVersion:
    return ModelVersion(**_instants(entry))


def _damaged(source: str, why: str) -> InvalidInput:
    return InvalidInput(f"the kept snapshot cannot be used: {why}", what="snapshot", where=source)
