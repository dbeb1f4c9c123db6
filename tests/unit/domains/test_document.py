"""Bad documents: each gives a typed error that names file, domain and field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bailiwick.domains import document as documents
from bailiwick.domains.document import parse_document, parse_domain, serialise
from bailiwick.domains.model import DomainSet, Lifecycle
from bailiwick.errors import Conflict, InvalidInput

MALFORMED = {
    "empty": (b"", "estate.json:1:1", "not JSON"),
    "cut off": (b'{"domains": {"cards": {"name": "Car', "estate.json:1:", "not JSON"),
    "wrong encoding": ('{"domains": {"c": {"name": "Währung"}}}'.encode("latin-1"), "estate.json", "not UTF-8"),
    "utf-16": ('{"domains": {}}'.encode("utf-16"), "estate.json", "not UTF-8"),
    "repeated key": (b'{"domains": {"cards": {}, "cards": {}}}', "estate.json", "'cards' is given twice"),
    "not a number": (b'{"domains": {"cards": {"attention_weights": {"a": NaN}}}}', "estate.json", "NaN"),
    "endless number": (b'{"domains": ' + b"1" * 5000 + b"}", "estate.json", "not acceptable JSON"),
    "deep nesting": (b"[" * 200_000, "estate.json", "nested too deeply"),
    "a list": (b"[]", "estate.json", "dictionary"),
    "no domains": (b"{}", "estate.json", "domains: Field required"),
    "unknown key": (b'{"domains": {}, "domain": {}}', "estate.json", "domain: Extra inputs"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_document__malformed_bytes__names_file_and_fault(case: str) -> None:
    data, where, words = MALFORMED[case]

    with pytest.raises(InvalidInput) as caught:
        parse_document(data, source="estate.json")

    assert str(caught.value.where).startswith(where)
    assert words in caught.value.message


BAD_FIELDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown field": ({"keyword": ["card"]}, "keyword", "Extra inputs"),
    "wrong type": ({"keywords": "card"}, "keywords", "valid list"),
    "number as text": ({"thresholds": {"min_accuracy": "0.9"}}, "thresholds.min_accuracy", "valid number"),
    "blank keyword": ({"keywords": ["card", " "]}, "keywords.1", "blank"),
    "keyword of signs": ({"keywords": ["?!"]}, "keywords.0", "letter or digit"),
    "NUL character": ({"description": "a\0b"}, "description", "U+0000"),
    "lone surrogate": ({"name": "\ud800"}, "name", "unicode"),
    "weight without word": ({"attention_weights": {"pin": 2}}, "attention_weights", "neither a keyword nor a tag"),
    "accuracy above one": ({"thresholds": {"min_accuracy": 85}}, "thresholds.min_accuracy", "less than or equal to 1"),
    "temperature": ({"generation": {"temperature": 2.5}}, "generation.temperature", "2.5 is outside its bounds"),
    "bounds beyond limits": (
        {"generation": {"bounds": {"top_p": [0, 2]}}},
        "generation.bounds.top_p",
        "lie within [0, 1]",
    ),
    "bounds that fall": ({"generation": {"bounds": {"top_p": [1, 0]}}}, "generation.bounds.top_p", "must rise"),
    "unknown bound": ({"generation": {"bounds": {"heat": [0, 1]}}}, "generation.bounds", "unknown parameter 'heat'"),
    "value outside bounds": (
        {"generation": {"max_tokens": 512, "bounds": {"max_tokens": [1, 256]}}},
        "generation.max_tokens",
        "512 is outside",
    ),
    "unknown backend": ({"backend": {"kind": "magic"}}, "backend.kind", "'local' or 'openai-compatible'"),
    "upstream without model": (
        {"backend": {"kind": "openai-compatible", "base_url": "http://x"}},
        "backend",
        "needs model",
    ),
    "local with address": ({"backend": {"base_url": "http://x"}}, "backend", "takes no base_url"),
    "file address": (
        {"backend": {"kind": "openai-compatible", "model": "m", "base_url": "file:///etc/passwd"}},
        "backend.base_url",
        "http:// or https://",
    ),
    "password in address": (
        {"backend": {"kind": "openai-compatible", "model": "m", "base_url": "http://ada:hunter2@x"}},
        "backend.base_url",
        "must not hold a user or password",
    ),
    "bad port": (
        {"backend": {"kind": "openai-compatible", "model": "m", "base_url": "http://x:99999999"}},
        "backend.base_url",
        "not a URL",
    ),
    "an address that is a number": (
        {"backend": {"kind": "openai-compatible", "model": "m", "base_url": ["http://x", 7]}},
        "backend.base_url",
        "must be an address",
    ),
    "no replica": (
        {"backend": {"kind": "openai-compatible", "model": "m", "base_url": []}},
        "backend.base_url",
        "1 to 64 addresses",
    ),
    "a replica twice": (
        {"backend": {"kind": "openai-compatible", "model": "m", "base_url": ["http://x/", "http://x"]}},
        "backend.base_url",
        "names an address twice",
    ),
    "a weight too few": (
        {"backend": {"kind": "openai-compatible", "model": "m", "base_url": ["http://x", "http://y"], "weights": [1]}},
        "backend.weights",
        "1 for 2 addresses",
    ),
    "a weight of nothing": (
        {"backend": {"kind": "openai-compatible", "model": "m", "base_url": "http://x", "weights": [0]}},
        "backend.weights.0",
        "greater than 0",
    ),
    "a health path with a query": (
        {"backend": {"kind": "openai-compatible", "model": "m", "base_url": "http://x", "health_path": "/a?b"}},
        "backend.health_path",
        "pattern",
    ),
    "a secret": ({"backend": {"api_key": "hunter2"}}, "backend.api_key", "Extra inputs"),
    "a secret for a name": ({"backend": {"api_key_env": "sk-hunter2"}}, "backend.api_key_env", "never a secret"),
    "other id": ({"id": "loans"}, "id", "says 'loans'"),
    "lifecycle": ({"lifecycle": "deleted"}, "lifecycle", "'draft', 'active' or 'archived'"),
    "fallback missing": ({"fallback": "loans"}, "fallback", "no domain 'loans'"),
    "fallback to itself": ({"fallback": "cards"}, "fallback", "circle: cards -> cards"),
    "example without text": ({"examples": [{"label": "x"}]}, "examples.0.text", "Field required"),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_document__bad_field__names_file_domain_and_field(case: str) -> None:
    fields, path, words = BAD_FIELDS[case]

    with pytest.raises(InvalidInput) as caught:
        parse_document(json.dumps({"domains": {"cards": fields}}).encode(), source="estate.json")

    error = caught.value
    assert error.where == f"estate.json: domains.cards.{path}"
    assert "'cards'" in error.message
    assert words in error.message
    assert "hunter2" not in json.dumps(error.fields())


@pytest.mark.parametrize("domain_id", ["", "Cards", "1st", "a b", "a\n", "a" * 65, "auto", "list", "../x", "ä"])
def test_document__bad_id__is_refused(domain_id: str) -> None:
    with pytest.raises(InvalidInput, match="id:"):
        parse_document(json.dumps({"domains": {domain_id: {}}}).encode(), source="estate.json")


BAD_REFERENCES: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "long circle": (
        {"domains": {"a": {"fallback": "b"}, "b": {"fallback": "c"}, "c": {"fallback": "b"}}},
        InvalidInput,
        "domain 'b': fallback: goes in a circle: b -> c -> b",
    ),
    "fallback is a draft": (
        {"domains": {"a": {"fallback": "b"}, "b": {"lifecycle": "draft"}}},
        Conflict,
        "falls back to 'b', which is draft",
    ),
    "default missing": ({"domains": {"a": {}}, "default_domain": "b"}, InvalidInput, "default domain 'b' does not"),
    "default archived": (
        {"domains": {"a": {"lifecycle": "archived"}}, "default_domain": "a"},
        Conflict,
        "must be active, not archived",
    ),
    "mapping of unknown": (
        {"domains": {"a": {}}, "layer_mapping": {"l": {"t": ["a", "b"]}}},
        InvalidInput,
        "lists 'b', which is not in domains",
    ),
    "mapped twice": (
        {"domains": {"a": {}}, "layer_mapping": {"l": {"t": ["a"], "u": ["a"]}}},
        InvalidInput,
        "lists domain 'a' twice",
    ),
    "not mapped": (
        {"domains": {"a": {}, "b": {}}, "layer_mapping": {"l": {"t": ["a"]}}},
        InvalidInput,
        "domain 'b': layer: layer_mapping does not list",
    ),
    "mapped elsewhere": (
        {"domains": {"a": {"team": "x"}}, "layer_mapping": {"l": {"t": ["a"]}}},
        InvalidInput,
        "domain 'a': team: says 'x', but layer_mapping puts it in team 't'",
    ),
}


@pytest.mark.parametrize("case", BAD_REFERENCES)
def test_document__bad_reference__names_the_domain(case: str) -> None:
    value, kind, words = BAD_REFERENCES[case]

    with pytest.raises(kind) as caught:
        parse_document(json.dumps(value).encode(), source="estate.json")

    assert words in str(caught.value)
    assert "estate.json" in str(caught.value)


def test_document__larger_than_allowed__is_refused_unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 100)

    with pytest.raises(InvalidInput, match="101 bytes"):
        parse_document(b" " * 101, source="estate.json")


def test_document__only_a_mapping__fills_layer_and_team() -> None:
    parsed = parse_document(
        b'{"domains": {"a": {"keywords": ["A", "a ", "b"]}}, "layer_mapping": {"gold": {"x": ["a"]}}}', source="f"
    )

    domain = parsed.domains["a"]
    assert (domain.layer, domain.team, domain.name, domain.agent_id) == ("gold", "x", "A", "agent-a")
    assert domain.keywords == ("A", "b"), "repeats that differ in case say nothing new"
    assert parsed.lifecycle_of("a") is Lifecycle.ACTIVE


def test_document__byte_order_mark__is_accepted() -> None:
    assert parse_document(b"\xef\xbb\xbf" + serialise(DomainSet()), source="f") == DomainSet()


def test_document__fallback_known_elsewhere__is_accepted() -> None:
    data = b'{"domains": {"a": {"fallback": "old"}}, "default_domain": "old"}'

    assert parse_document(data, source="f", known_domains=["old"]).domains["a"].fallback == "old"


def test_domain__several_faults__are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_domain("cards", {"tags": 1, "name": 2}, source="request")

    assert "tags: " in caught.value.message
    assert "name: " in caught.value.message
