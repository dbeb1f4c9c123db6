"""Domain documents: what is written is read back, and a difference leads from one domain to the other."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from domain_values import ADA, domain_fields, domain_sets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bailiwick.clock import VirtualClock
from bailiwick.domains.difference import applied, difference
from bailiwick.domains.document import domain_json, parse_document, parse_domain, serialise
from bailiwick.domains.model import DomainSet, Lifecycle
from bailiwick.domains.service import DomainService
from bailiwick.errors import BailiwickError
from bailiwick.governance.audit import AuditTrail
from bailiwick.storage.database import Database
from bailiwick.storage.migrate import upgrade

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _structures(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    names = st.sampled_from(
        ["domains", "default_domain", "layer_mapping", "cards", "keywords", "backend", "kind", "id"]
    )
    return st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=3), inner, max_size=3)


@few
@given(domain_sets())
def test_document__serialised__parses_back_to_the_same(domains: DomainSet) -> None:
    assert parse_document(serialise(domains), source="test") == domains


@few
@given(domain_fields(), domain_fields())
def test_difference__applied_to_the_first__gives_the_second(one: dict[str, object], other: dict[str, object]) -> None:
    before = parse_domain("cards", one, source="test")
    after = parse_domain("cards", other, source="test")

    changed = applied(domain_json(before), difference(before, after))

    assert parse_domain("cards", changed, source="test") == after
    assert (difference(before, after) == ()) == (before == after)


@few
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), _structures))
def test_document__anything_at_all__is_parsed_or_refused_with_a_typed_error(value: object) -> None:
    try:
        parsed = parse_document(json.dumps(value).encode(), source="hostile.json")
    except BailiwickError as error:
        assert "hostile.json" in str(error.where)
    else:
        assert parse_document(serialise(parsed), source="again") == DomainSet(
            parsed.domains, parsed.default_domain, dict.fromkeys(parsed.domains, Lifecycle.ACTIVE) | parsed.lifecycles
        )


@pytest.fixture(scope="module")
def empty() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(domains=domain_sets())
def test_import__exported_document__gives_the_same_domains(empty: Path, domains: DomainSet) -> None:
    database = Database(f"sqlite:///{tempfile.mkdtemp(dir=empty)}/test.db")
    upgrade(database)
    clock = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))
    service = DomainService(database, AuditTrail(database, clock), clock)

    service.import_document(domains, ADA)

    assert service.export_document() == domains
    assert service.import_document(service.export_document(), ADA).updated == ()
    database.close()
