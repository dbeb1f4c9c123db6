"""The section `cache` of a domain, as people change it, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from domain_values import ADA, a_domain
from sqlalchemy import select

from bailiwick.caching.service import CachingService
from bailiwick.clock import VirtualClock
from bailiwick.domains.cache import AnswerCaching
from bailiwick.domains.difference import applied, difference
from bailiwick.domains.document import domain_json, parse_domain
from bailiwick.domains.model import Backend
from bailiwick.domains.service import DomainService
from bailiwick.errors import Conflict, GateFailed, InvalidInput, NotFound
from bailiwick.governance.audit import AuditTrail, audit_entry
from bailiwick.metrics.service import MetricsService
from bailiwick.models.model import LabelledText
from bailiwick.storage.database import Database

UPSTREAM = Backend("openai-compatible", base_url="http://h/v1", model="m")


class House:
    def __init__(self, database: Database, clock: VirtualClock) -> None:
        self.database = database
        self.domains = DomainService(database, AuditTrail(database, clock), clock)
        self.metrics = MetricsService(database, clock)
        self.rows: Sequence[LabelledText] = ()
        self.caching = CachingService(
            self.domains,
            lambda domain, since, until: self.metrics.summary(domain, since, until),
            clock,
            lambda dataset, domain, version: self.rows,
            version=self._nothing,
            model=self._nothing,
        )
        self.domains.create(a_domain(), ADA, activate=True)
        self.domains.create(replace(a_domain(), id="helper", backend=UPSTREAM), ADA, activate=True)

    def _nothing(self, name: str) -> Any:
        raise NotFound(f"no version {name!r}")

    def section(self, domain: str = "cards") -> AnswerCaching | None:
        return self.domains.get(domain).domain.cache


@pytest.fixture
def house(database: Database, clock: VirtualClock) -> House:
    return House(database, clock)


def test_change__on_other_settings_off__each_is_a_revision_and_audited(house: House) -> None:
    house.caching.change("cards", {"ttl_s": 60}, ADA)
    house.caching.change("cards", {"scope": "user"}, ADA)
    house.caching.change("cards", {"enabled": False}, ADA)
    assert house.section() == AnswerCaching(enabled=False, ttl_s=60, scope="user")
    assert house.domains.get("cards").revision == 4
    with house.database.read() as connection:
        actions = [row.action for row in connection.execute(select(audit_entry).order_by(audit_entry.c.sequence))]
    assert actions[-3:] == ["domain.update"] * 3


def test_change__to_what_it_is__changes_nothing(house: House) -> None:
    house.caching.change("cards", {"ttl_s": 60}, ADA)
    before = house.domains.get("cards").revision
    house.caching.change("cards", {"ttl_s": 60}, ADA)
    assert house.domains.get("cards").revision == before


@pytest.mark.parametrize(
    "values", [{"ttl_s": 0}, {"ttl_s": float("nan")}, {"max_entries": 0}, {"scope": "all"}, {"generation": 3}, {"x": 1}]
)
def test_change__impossible_settings__are_refused_and_change_nothing(house: House, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        house.caching.change("cards", values, ADA)
    assert house.section() is None


def test_clear__counts_up_the_generation(house: House) -> None:
    with pytest.raises(Conflict, match="keeps no answers"):
        house.caching.clear("cards", ADA)
    house.caching.change("cards", {}, ADA)
    house.caching.clear("cards", ADA)
    assert house.caching.clear("cards", ADA).generation == 2 and house.section() == AnswerCaching(generation=2)
    with pytest.raises(NotFound):
        house.caching.clear("nowhere", ADA)


def test_clear__somebody_changes_the_domain_in_between__both_changes_stay(house: House) -> None:
    house.caching.change("cards", {}, ADA)
    update, interfered = house.domains.update, []

    def racing(domain: Any, *args: Any, **more: Any) -> Any:
        if not interfered:
            interfered.append(True)
            update(replace(domain, description="new words", cache=AnswerCaching()), ADA)
        return update(domain, *args, **more)

    house.domains.update = racing  # type: ignore[method-assign]
    house.caching.clear("cards", ADA)
    found = house.domains.get("cards").domain
    assert (found.description, found.cache) == ("new words", AnswerCaching(generation=1))


def test_show__what_every_gateway_observed(house: House, clock: VirtualClock) -> None:
    house.caching.change("cards", {}, ADA)
    for number in range(10):
        values = {"cache_hit": float(number % 5 != 0), **({"cache_similar": 1.0} if number in (1, 2) else {})}
        house.metrics.served(f"r{number}", "cards", "v1" if number % 2 else "v2", values)
    house.metrics.flush()
    found = house.caching.show("cards")
    assert (found.requests, found.hits, found.similar, found.hit_rate) == (10, 8, 2, 0.8)
    assert [each.domain for each in house.caching.show_all()] == ["cards"]
    assert house.caching.show("helper").settings is None and house.caching.show("helper").hit_rate is None
    assert isinstance(clock.now(), datetime)


def test_similar__refused_without_proof__and_nothing_changes(house: House) -> None:
    house.caching.change("helper", {}, ADA)
    before = house.domains.get("helper").revision
    generator = np.random.default_rng(1)
    house.rows = [LabelledText(f"question {number} about it", str(generator.integers(5))) for number in range(400)]
    with pytest.raises(GateFailed, match="no threshold"):
        house.caching.similar("helper", "queries", ADA, max_wrong=0.05)
    with pytest.raises(InvalidInput, match="budget"):
        house.caching.similar("helper", "queries", ADA, max_wrong=0.0)
    with pytest.raises(NotFound):
        house.caching.similar("helper", "queries", ADA, model="nothing")
    house.caching.change("cards", {}, ADA)
    with pytest.raises(InvalidInput, match="runs in this process"):
        house.caching.similar("cards", "queries", ADA)
    assert house.domains.get("helper").revision == before


def test_similar__proven__is_kept_with_its_figures_and_can_be_taken_back(house: House) -> None:
    generator = np.random.default_rng(3)
    words = ["".join(generator.choice(list("abcdefghijklmnop"), 7)) for _ in range(3_000)]
    house.rows = [
        LabelledText(" ".join([*words[(n // 30) * 8 : (n // 30) * 8 + 8], words[n][:2]]), f"label {n // 30}")
        for n in range(3_000)
    ]
    house.caching.change("helper", {"ttl_s": 60}, ADA)
    found = house.caching.similar("helper", "queries", ADA, max_wrong=0.05)
    section = house.section("helper")
    assert section is not None and section.semantic is not None and section.ttl_s == 60
    assert section.semantic.threshold == found.threshold and section.semantic.hits == found.hits > 300
    house.caching.exact("helper", ADA)
    assert house.section("helper") == AnswerCaching(ttl_s=60)


def test_measure__says_hits_and_wrong_ones_at_each_likeness_and_changes_nothing(house: House) -> None:
    words = ["alpha bravo charlie delta echo foxtrot", "golf hotel india juliett kilo lima"]
    house.rows = [LabelledText(f"{words[n % 2]} {'abcdefgh'[n % 8]}{n}", f"label {n % 2}") for n in range(80)]
    before = house.domains.get("helper").revision
    found = house.caching.measure("helper", "queries")
    assert [each.questions for each in found] == [40] * 6
    hits = [each.hits for each in found]
    assert hits == sorted(hits, reverse=True)
    assert found[0].hits == 0, "numbers in a question must be the same to the letter"
    house.rows = [replace(each, text=each.text.rstrip("0123456789")) for each in house.rows]
    house.rows = [replace(each, text=f"{each.text} {'xyz' * (n // 8)}") for n, each in enumerate(house.rows)]
    found = house.caching.measure("helper", "queries")
    assert found[0].hits == 40
    assert (found[0].wrong, found[0].low) == (0, 0.0)
    house.rows = [replace(each, label=str(n)) for n, each in enumerate(house.rows)]
    assert [each.wrong for each in house.caching.measure("helper", "queries")] == [each.hits for each in found]
    assert house.domains.get("helper").revision == before
    house.rows = house.rows[:10]
    with pytest.raises(InvalidInput, match="10 labelled questions"):
        house.caching.measure("helper", "queries")


def test_document__without_the_section__says_nothing_of_it() -> None:
    plain = domain_json(a_domain())
    assert "cache" not in plain and "batching" not in plain
    kept = replace(a_domain(), cache=AnswerCaching(ttl_s=9))
    assert parse_domain("cards", domain_json(kept), source="test") == kept
    for before, after in ((a_domain(), kept), (kept, a_domain())):
        assert applied(domain_json(before), difference(before, after)) == domain_json(after)
