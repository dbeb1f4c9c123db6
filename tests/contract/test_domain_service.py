"""Domains on both databases: lifecycle, history, references, and no lost update."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from domain_values import ADA, a_domain
from sqlalchemy import select

from bailiwick.clock import VirtualClock
from bailiwick.domains.document import parse_document
from bailiwick.domains.model import Backend, Domain, DomainSet, Example, FieldChange, Lifecycle
from bailiwick.domains.service import DomainService
from bailiwick.domains.store import domain_revision
from bailiwick.errors import BailiwickError, Conflict, InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail, audit_entry
from bailiwick.storage.database import Database

ESTATE = Path(__file__).resolve().parents[2] / "src/bailiwick/estate/domains.json"


@pytest.fixture
def service(database: Database, clock: VirtualClock) -> DomainService:
    return DomainService(database, AuditTrail(database, clock), clock)


def _everything(database: Database) -> tuple[object, ...]:
    """All that a refused change must leave alone."""
    with database.read() as connection:
        return (
            connection.execute(select(domain_revision)).all(),
            connection.execute(select(audit_entry)).all(),
        )


def test_domain__whole_life__is_kept_and_audited(service: DomainService, database: Database) -> None:
    cards = a_domain(keywords=("card", "pin"), examples=(Example("lost my card", "loss"), Example("new pin")))
    service.create(cards, ADA)
    service.activate("cards", ADA)
    better = replace(cards, keywords=("card", "pin", "contactless"), attention_weights={"pin": 2.0})
    service.update(better, Actor("api:bob", reason="missed tap payments"))
    service.archive("cards", ADA)
    service.delete("cards", ADA, force=True)

    history = service.history("cards")
    assert [each.revision for each in history] == [5, 4, 3, 2, 1]
    assert [each.lifecycle.value for each in history] == ["deleted", "archived", "active", "active", "draft"]
    assert (history[2].domain, history[2].created_by, history[2].reason) == (better, "api:bob", "missed tap payments")
    assert service.get("cards", 1).domain == cards
    assert service.diff("cards", 2, 3) == (
        FieldChange("attention_weights", {}, {"pin": 2.0}),
        FieldChange("keywords", ["card", "pin"], ["card", "pin", "contactless"]),
    )
    assert service.list_domains() == []
    with pytest.raises(NotFound, match="was deleted"):
        service.get("cards")
    entries = AuditTrail(database, VirtualClock(history[0].created_at)).entries(subject="domain:cards")
    verbs = ["domain.delete", "domain.archive", "domain.update", "domain.activate", "domain.create"]
    assert [entry.action for entry in entries] == verbs
    assert entries[2].after["fields"]["keywords"] == ["card", "pin", "contactless"]
    assert entries[2].before["fields"]["keywords"] == ["card", "pin"]


def test_create__id_of_a_deleted_domain__goes_on_with_its_history(service: DomainService) -> None:
    service.create(a_domain(), ADA)
    service.delete("cards", ADA, force=True)

    again = service.create(a_domain(name="Again"), ADA)

    assert (again.revision, again.lifecycle) == (3, Lifecycle.DRAFT)
    assert len(service.history("cards")) == 3


def test_change__same_as_before__makes_no_revision(service: DomainService, database: Database) -> None:
    service.create(a_domain(), ADA, activate=True)
    before, version = _everything(database), service.version()

    assert service.update(a_domain(), ADA).revision == 1
    assert service.activate("cards", ADA).revision == 1

    assert _everything(database) == before
    assert service.version() == version


REFUSED = {
    "exists": (lambda s: s.create(a_domain("core"), ADA), Conflict, "exists already"),
    "unknown": (lambda s: s.update(a_domain("new"), ADA), NotFound, "no domain 'new'"),
    "hostile id": (lambda s: s.get("a\0' OR 1=1"), NotFound, "no domain"),
    "delete unforced": (lambda s: s.delete("loose", ADA), Conflict, "needs force"),
    "stale": (lambda s: s.update(a_domain("loose", name="x"), ADA, expected_revision=1), Conflict, "at revision 2"),
    "stale archive": (lambda s: s.archive("loose", ADA, expected_revision=9), Conflict, "not 9"),
    "archive the default": (lambda s: s.archive("core", ADA), Conflict, "it is the default domain and"),
    "delete a fallback": (lambda s: s.delete("core", ADA, force=True), Conflict, "fallback of 'cards'"),
    "no such fallback": (
        lambda s: s.update(a_domain("loose", fallback="nope"), ADA),
        InvalidInput,
        "no domain 'nope'",
    ),
    "circle": (lambda s: s.update(a_domain("core", fallback="cards"), ADA), InvalidInput, "circle"),
    "draft fallback": (lambda s: s.update(a_domain("core", fallback="plan"), ADA), Conflict, "which is draft"),
    "draft default": (lambda s: s.set_default("plan", ADA), Conflict, "must be active"),
    "unknown default": (lambda s: s.set_default("nope", ADA), NotFound, "no domain"),
    "invalid in code": (
        lambda s: s.create(a_domain("up", backend=Backend("openai-compatible")), ADA),
        InvalidInput,
        "needs base_url and model",
    ),
    "import of one bad reference": (
        lambda s: s.import_document(DomainSet({"a": a_domain("a"), "b": a_domain("b", fallback="zz")}), ADA),
        InvalidInput,
        "no domain 'zz'",
    ),
    "import back to draft": (
        lambda s: s.import_document(DomainSet({"core": a_domain("core")}, None, {"core": Lifecycle.DRAFT}), ADA),
        Conflict,
        "cannot become a draft",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_change__refused__says_why_and_leaves_everything_alone(
    case: str, service: DomainService, database: Database
) -> None:
    service.create(a_domain("core"), ADA, activate=True)
    service.create(a_domain("cards", fallback="core"), ADA, activate=True)
    service.create(a_domain("plan"), ADA)
    service.create(a_domain("loose"), ADA)
    service.update(a_domain("loose", team="x"), ADA)
    service.set_default("core", ADA)
    before, version = _everything(database), service.version()
    act, kind, words = REFUSED[case]

    with pytest.raises(kind) as caught:
        act(service)

    assert words in str(caught.value)
    assert _everything(database) == before
    assert service.version() == version


def test_import__estate__twice__changes_nothing_the_second_time(service: DomainService) -> None:
    document = parse_document(ESTATE.read_bytes(), source=str(ESTATE))

    first = service.import_document(document, ADA)
    version = service.version()
    second = service.import_document(document, ADA)

    assert set(first.created) == set(document.domains)
    assert (second.created, second.updated) == ((), ())
    assert service.version() == version
    assert service.export_document().domains == document.domains


def test_import__dry_run__reports_and_writes_nothing(service: DomainService, database: Database) -> None:
    service.create(a_domain("a"), ADA, activate=True)
    before = _everything(database)

    outcome = service.import_document(DomainSet({"a": a_domain("a", team="x"), "b": a_domain("b")}), ADA, dry_run=True)

    assert (outcome.created, outcome.updated, outcome.dry_run) == (("b",), ("a",), True)
    assert _everything(database) == before


def _add_keyword(service: DomainService, word: str) -> None:
    while True:
        present = service.get("cards")
        wanted: Domain = replace(present.domain, keywords=(*present.domain.keywords, word))
        try:
            service.update(wanted, ADA, expected_revision=present.revision)
        except Conflict:
            continue
        return


def test_update__four_threads_with_expected_revisions__no_update_is_lost(service: DomainService) -> None:
    service.create(a_domain(), ADA)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: _add_keyword(service, f"word{number}"), range(24)))

    assert set(service.get("cards").domain.keywords) == {f"word{number}" for number in range(24)}
    assert [each.revision for each in service.history("cards")] == list(range(25, 0, -1))


def test_update__threads_race_from_one_revision__exactly_one_wins(service: DomainService) -> None:
    service.create(a_domain(), ADA)
    ready = threading.Barrier(4)

    def race(number: int) -> bool:
        ready.wait(timeout=60)
        try:
            service.update(a_domain(name=f"Name {number}"), ADA, expected_revision=1)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(race, range(4)))

    assert sum(won) == 1
    assert service.get("cards").revision == 2


def test_create__threads_race_for_one_id__exactly_one_wins(service: DomainService) -> None:
    ready = threading.Barrier(4)

    def race(number: int) -> bool:
        ready.wait(timeout=60)
        try:
            service.create(a_domain(name=f"Name {number}"), ADA)
        except BailiwickError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(race, range(4)))

    assert sum(won) == 1
    assert len(service.history("cards")) == 1


_UPDATE_IN_A_PROCESS = """
import sys
from dataclasses import replace
from bailiwick.errors import Conflict
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.settings import Settings

service = Platform(Settings(database_url=sys.argv[1])).domains
for number in range(6):
    while True:
        present = service.get("cards")
        words = (*present.domain.keywords, f"word{sys.argv[2]}x{number}")
        try:
            service.update(replace(present.domain, keywords=words), Actor("test"), expected_revision=present.revision)
        except Conflict:
            continue
        break
"""


def test_update__two_processes__no_update_is_lost(service: DomainService, database: Database) -> None:
    service.create(a_domain(), ADA)
    source = str(Path(__file__).resolve().parents[2] / "src")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _UPDATE_IN_A_PROCESS, database.url, name],
            env={**os.environ, "PYTHONPATH": source},
            stderr=subprocess.PIPE,
        )
        for name in "ab"
    ]

    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()

    expected = {f"word{name}x{number}" for name in "ab" for number in range(6)}
    assert set(service.get("cards").domain.keywords) == expected
