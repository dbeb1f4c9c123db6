"""Whatever is sent to the control plane, it answers with a document and never fails unexpectedly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from deliveries import register
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bailiwick.api.app import create_api
from bailiwick.platform import Platform
from bailiwick.settings import Settings
from bailiwick.storage.database import Database

HOSTILE = ["", "cards", "a\0b", "\ud800", "' OR 1=1 --", "../../etc/passwd", "x" * 5_000, "ü\u202e\n\t", "%s{0}", "-1"]
NUMBERS = [0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, 1e308, float("inf"), float("nan")]
TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=30)
JUNK = st.recursive(
    st.none() | st.booleans() | st.sampled_from(NUMBERS) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


class ControlPlane:
    """The application over one database, with what its OpenAPI document says of each route."""

    def __init__(self, database: Database, home: Path) -> None:
        self.platform = Platform(Settings(home=home, database_url=database.url))
        api = create_api(self.platform)
        self.client = TestClient(api, raise_server_exceptions=False)
        self.document = api.openapi()
        version, _ = register(self.platform, "cards", 2)
        self.names = ["cards", version, "cards~1", "loans"]
        self.routes = [
            (path, method, operation)
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
        ]

    def value(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        """Mostly what the schema asks for, at times anything."""
        return st.one_of([self._fitting(schema)] * 12 + [JUNK])

    def _fitting(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "$ref" in schema:
            return self._fitting(self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
        if "anyOf" in schema:
            return st.one_of([self._fitting(each) for each in schema["anyOf"]])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if "const" in schema:
            return st.just(schema["const"])
        kind = schema.get("type")
        if kind == "object" and "properties" in schema:
            fields = {name: self.value(each) for name, each in schema["properties"].items()}
            needed = {name: fields.pop(name) for name in schema.get("required", [])}
            return st.fixed_dictionaries(needed, optional=fields)
        if kind == "object":
            further = schema.get("additionalProperties")
            return st.dictionaries(TEXTS, self.value(further) if isinstance(further, dict) else JUNK, max_size=3)
        if kind == "array":
            return st.lists(self.value(schema.get("items", {})), max_size=3)
        if kind in ("integer", "number"):
            return st.sampled_from(NUMBERS) | st.integers(-5, 200)
        if kind == "boolean":
            return st.booleans()
        return st.sampled_from(self.names) | TEXTS if kind == "string" else st.none() if kind == "null" else JUNK


@pytest.fixture
def plane(database: Database, tmp_path: Path) -> ControlPlane:
    made = ControlPlane(database, tmp_path)
    loans = {"id": "loans", "keywords": ["loan"], "examples": ["I want a loan"]}
    assert made.client.post("/v1/domains/create?activate=true", json=loans).status_code == 201
    rows = "".join(f"{text} {n},{label},cards\n" for n in range(20) for text, label in (("lost", "l"), ("fee", "f")))
    assert made.client.post("/v1/datasets/cards", content="text,label,domain\n" + rows).status_code == 201
    return made


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_any_request__is_answered_and_never_fails_unexpectedly(plane: ControlPlane, data: st.DataObject) -> None:
    path, method, operation = data.draw(st.sampled_from(plane.routes))
    address, query, headers = path, [], {}
    for parameter in operation.get("parameters", []):
        name, place = parameter["name"], parameter["in"]
        if not parameter["required"] and data.draw(st.booleans()):
            continue
        value = data.draw(plane.value(parameter["schema"]))
        text = value if isinstance(value, str) else json.dumps(value)
        if place == "path":
            address = address.replace(f"{{{name}}}", quote(text.encode(errors="replace"), safe="") or "-")
        elif place == "query":
            query.append((name, text.encode(errors="replace")))
        else:
            headers[name] = text.encode(errors="replace").replace(b"\n", b" ").replace(b"\0", b"")
    for name in ("x-actor", "x-reason", "x-request-id"):
        if data.draw(st.booleans()):
            headers[name] = data.draw(TEXTS).encode(errors="replace").replace(b"\n", b" ").replace(b"\0", b"\x01")
    content: bytes | None = None
    if "requestBody" in operation:
        (kind, media), *_ = operation["requestBody"]["content"].items()
        headers["content-type"] = kind.encode()
        content = json.dumps(data.draw(plane.value(media.get("schema", {})))).encode()
    elif method in ("post", "put"):
        content = data.draw(st.sampled_from([b"", b"{", b"[]", b"\xff\xfe", b'{"domains": {"a": {}}}']))
    answer = plane.client.request(method, address, params=query, headers=headers, content=content)
    assert answer.status_code < 500, (method, address, query, headers, content, answer.text[:500])
    if answer.status_code >= 400:
        assert answer.json()
