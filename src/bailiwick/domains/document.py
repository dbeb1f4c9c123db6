"""Parse and serialise domains: one by one, and as a document.

A document is ``{"domains": {id: {...}}, "default_domain": id, "layer_mapping": {layer: {team: [ids]}}}``. Every error
names the file, the domain and the field. ``layer_mapping`` may be left out; where it is given it must list every domain
once, and agree with what the domains say of themselves.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from bailiwick.domains.model import (
    Backend,
    Domain,
    DomainRevision,
    DomainSet,
    Example,
    Generation,
    Lifecycle,
    Thresholds,
)
from bailiwick.domains.references import Standing, check_references
from bailiwick.domains.schema import BackendDocument, DocumentFrame, DomainDocument, DomainEntry, checked_id
from bailiwick.domains.sections import without_absent
from bailiwick.errors import InvalidInput

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
_SECRET_FIELDS = ("base_url", "api_key_env")
_SHOWN_ERRORS = 5
_LAYER_KEYS = ("layer", "team")


def parse_document(data: bytes, *, source: str, known_domains: Collection[str] = ()) -> DomainSet:
    """Read a document.

    Args:
        data: JSON in UTF-8, at most 64 MiB.
        source: the file or address it came from, for error messages.
        known_domains: ids outside the document that a fallback or the default may name.

    Raises:
        InvalidInput: anything at all is wrong with it.
    """
    frame = _frame(read_json(data, source=source), source)
    homes = _homes(frame, source)
    entries = {key: _entry(key, value, source) for key, value in frame.domains.items()}
    domains = {key: _placed(key, entries[key], homes, source) for key in sorted(entries)}
    lifecycles = {key: Lifecycle(entry.lifecycle) for key, entry in sorted(entries.items()) if entry.lifecycle}
    parsed = DomainSet(domains, frame.default_domain, lifecycles)
    standings = {key: Standing(parsed.lifecycle_of(key), domain.fallback) for key, domain in domains.items()}
    outside = {key: Standing(Lifecycle.ACTIVE, None) for key in known_domains if key not in domains}
    check_references(outside | standings, frame.default_domain, where=source)
    return parsed


def parse_domain(domain_id: str, value: Any, *, source: str) -> Domain:
    """Check one domain given as plain JSON values.

    Raises:
        InvalidInput: a field is missing, unknown, of the wrong type or out of bounds.
    """
    try:
        document = DomainDocument.model_validate(value)
    except ValidationError as error:
        raise _invalid(domain_id, error, source) from error
    return domain_of(domain_id, document, source=source)


def domain_of(domain_id: str, document: DomainDocument, *, source: str) -> Domain:
    """The domain that a checked document describes, defaults filled in.

    Raises:
        InvalidInput: the id is malformed, or not the one that the document states.
    """
    try:
        checked_id(domain_id)
    except ValueError as error:
        raise _at(source, domain_id, "id", f"{error}", requested=domain_id) from error
    if document.id not in (None, domain_id):
        raise _at(source, domain_id, "id", f"says {document.id!r} where {domain_id!r} is expected")
    return Domain(
        id=domain_id,
        name=document.name or domain_id.replace("-", " ").replace("_", " ").strip().capitalize(),
        agent_id=document.agent_id or f"agent-{domain_id}",
        layer=document.layer or "default",
        team=document.team or "default",
        description=document.description,
        keywords=tuple(document.keywords),
        tags=tuple(document.tags),
        examples=tuple(Example(each.text, each.label) for each in document.examples),
        attention_weights=dict(document.attention_weights),
        backend=_backend(document.backend),
        generation=Generation(
            temperature=document.generation.temperature,
            top_p=document.generation.top_p,
            max_tokens=document.generation.max_tokens,
            bounds=document.generation.effective_bounds(),
        ),
        fallback=document.fallback,
        enabled_env_var=document.enabled_env_var,
        thresholds=Thresholds(**document.thresholds.model_dump()),
        cache=document.cache.section() if document.cache else None,
        batching=document.batching.section() if document.batching else None,
    )


def _backend(document: BackendDocument) -> Backend:
    values = document.model_dump()
    for name in ("base_url", "weights"):
        values[name] = tuple(values[name]) if isinstance(values[name], list) else values[name]
    return Backend(**values)


def checked(domain: Domain, *, source: str) -> Domain:
    """A domain that code built, held to the same rules as one that was read.

    Raises:
        InvalidInput: it breaks one of them.
    """
    return parse_domain(domain.id, domain_json(domain), source=source)


def domain_json(domain: Domain) -> dict[str, Any]:
    """A domain as plain JSON values, every field stated but absent sections; `parse_domain` gives it back unchanged."""
    plain: dict[str, Any] = without_absent(json.loads(json.dumps(asdict(domain))))
    plain["examples"] = [{"text": e.text} if e.label is None else asdict(e) for e in domain.examples]
    return plain


def revision_json(revision: DomainRevision) -> dict[str, Any]:
    """One revision as plain JSON values: what the REST interface answers and ``--json`` prints."""
    return {
        "id": revision.domain.id,
        "revision": revision.revision,
        "lifecycle": revision.lifecycle.value,
        "created_at": revision.created_at.isoformat(),
        "created_by": revision.created_by,
        "reason": revision.reason,
        "config": domain_json(revision.domain),
    }


def document_json(domains: DomainSet) -> dict[str, Any]:
    """Several domains as a document of plain JSON values; `parse_document` gives them back unchanged."""
    return {
        "domains": {
            key: domain_json(domain) | {"lifecycle": domains.lifecycle_of(key).value}
            for key, domain in sorted(domains.domains.items())
        },
        "default_domain": domains.default_domain,
        "layer_mapping": domains.layer_mapping,
    }


def serialise(domains: DomainSet) -> bytes:
    """A document as indented JSON in UTF-8."""
    return json.dumps(document_json(domains), indent=2, ensure_ascii=False).encode() + b"\n"


def read_json(data: bytes, *, source: str) -> Any:
    """Parse JSON strictly: UTF-8, no repeated keys, no NaN, bounded size and depth.

    Raises:
        InvalidInput: it is not such JSON; names the line and column where known.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidInput(
            f"the document has {len(data):,} bytes", where=source, allowed=f"at most {MAX_DOCUMENT_BYTES:,} bytes"
        )
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"the document is not UTF-8: byte {error.start} is {data[error.start]:#04x}",
            where=source,
            remedy="save it as UTF-8",
        ) from error
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"the document is not JSON: {error.msg}", where=f"{source}:{error.lineno}:{error.colno}"
        ) from error
    except RecursionError as error:
        raise InvalidInput("the document is nested too deeply", where=source) from error
    except ValueError as error:  # a number too long to convert, a repeated key, NaN
        raise InvalidInput(f"the document is not acceptable JSON: {error}", where=source) from error


def _unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {repeated[:80]!r} is given twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number that JSON knows")


def _frame(value: Any, source: str) -> DocumentFrame:
    try:
        return DocumentFrame.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"]) or "document"
        raise InvalidInput(
            f"{path}: {_plain_message(first['msg'])}",
            what=path,
            where=source,
            allowed='{"domains": {id: {...}}, "default_domain": id, "layer_mapping": {layer: {team: [ids]}}}',
        ) from error


def _homes(frame: DocumentFrame, source: str) -> dict[str, tuple[str, str]] | None:
    """Layer and team by domain id, or None where the document gives no mapping."""
    if not frame.layer_mapping:
        return None
    homes: dict[str, tuple[str, str]] = {}
    for domain_id, home in _listed(frame.layer_mapping):
        where = f"{source}: layer_mapping.{home[0]}.{home[1]}"
        if domain_id not in frame.domains:
            raise InvalidInput(
                f"layer_mapping lists {domain_id!r}, which is not in domains",
                what="layer_mapping",
                where=where,
                requested=domain_id,
                remedy=f"add domain {domain_id!r}, or remove it from the mapping",
            )
        if domain_id in homes:
            raise InvalidInput(
                f"layer_mapping lists domain {domain_id!r} twice",
                what="layer_mapping",
                where=where,
                remedy="a domain has one layer and one team",
            )
        homes[domain_id] = home
    return homes


def _listed(mapping: Mapping[str, Mapping[str, Iterable[str]]]) -> Iterable[tuple[str, tuple[str, str]]]:
    return ((key, (layer, team)) for layer, teams in mapping.items() for team, ids in teams.items() for key in ids)


def _entry(domain_id: str, value: Any, source: str) -> DomainEntry:
    try:
        return DomainEntry.model_validate(value)
    except ValidationError as error:
        raise _invalid(domain_id, error, source) from error


def _placed(domain_id: str, entry: DomainEntry, homes: Mapping[str, tuple[str, str]] | None, source: str) -> Domain:
    if homes is None:
        return domain_of(domain_id, entry, source=source)
    if domain_id not in homes:
        raise _at(source, domain_id, "layer", "layer_mapping does not list this domain; list it, or drop the mapping")
    home = dict(zip(_LAYER_KEYS, homes[domain_id], strict=True))
    for field, mapped in home.items():
        stated = getattr(entry, field)
        if stated not in (None, mapped):
            raise _at(source, domain_id, field, f"says {stated!r}, but layer_mapping puts it in {field} {mapped!r}")
    return domain_of(domain_id, entry.model_copy(update=home), source=source)


def _invalid(domain_id: str, error: ValidationError, source: str) -> InvalidInput:
    found = error.errors(include_url=False)
    faults = [_located(each["loc"], each["msg"]) for each in found[:_SHOWN_ERRORS]]
    words = "; ".join([faults[0][1], *(f"{path}: {message}" for path, message in faults[1:])])
    if len(found) > _SHOWN_ERRORS:
        words += f"; and {len(found) - _SHOWN_ERRORS} more"
    first = found[0]
    return _at(
        source,
        domain_id,
        faults[0][0],
        words,
        requested=_quotable(first["loc"], first["type"], first.get("input")),
        remedy=_remedy(first["loc"], first["type"]),
    )


def _located(location: Sequence[Any], message: str) -> tuple[str, str]:
    """The path of a fault and its words; a rule over several fields names the field at the head of its message."""
    parts = [str(part) for part in location]
    plain = _plain_message(message)
    if headed := re.match(r"([a-z_][a-z_.]*): (.*)", plain, re.DOTALL):
        parts.append(headed[1])
        plain = headed[2]
    return ".".join(parts) or "domain", plain


def _plain_message(message: str) -> str:
    return message.removeprefix("Value error, ")


def _quotable(location: Sequence[Any], kind: str, value: Any) -> str | None:
    """The offending value, unless it is large or may be a secret."""
    if kind == "extra_forbidden" or any(part in _SECRET_FIELDS for part in location):
        return None
    return repr(value)[:80] if isinstance(value, str | int | float | bool) else None


def _remedy(location: Sequence[Any], kind: str) -> str | None:
    if kind != "extra_forbidden":
        return None
    name = str(location[-1]).lower()
    if any(word in name for word in ("key", "secret", "token", "password")):
        return "secrets are never stored; name the environment variable that holds it in backend.api_key_env"
    return "see docs/domains.md for the fields of a domain"


def _at(
    source: str, domain_id: str, path: str, message: str, *, requested: Any = None, remedy: str | None = None
) -> InvalidInput:
    return InvalidInput(
        f"domain {domain_id[:80]!r}: {path}: {message}",
        what=path,
        where=f"{source}: domains.{domain_id[:80]}.{path}",
        requested=requested,
        remedy=remedy,
    )
