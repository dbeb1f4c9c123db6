"""Keys, their limits and what they used, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from sqlalchemy import select

from bailiwick.clock import VirtualClock
from bailiwick.errors import BailiwickError, Conflict, InvalidInput, NotFound
from bailiwick.governance.access.model import DayUsage, IssuedKey, KeyStatus, Limits
from bailiwick.governance.access.secret import digest_of, is_well_formed
from bailiwick.governance.access.service import AccessService
from bailiwick.governance.access.table import AccessTable, compile_access
from bailiwick.governance.access.usage import client_key_usage, day_of
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.database import Database
from bailiwick.storage.schema import metadata

ADA = Actor("cli:ada", reason="because")


class House:
    """The service over one database."""

    def __init__(self, database: Database, clock: VirtualClock) -> None:
        self.database, self.clock = database, clock
        self.audit = AuditTrail(database, clock)
        self.service = AccessService(database, self.audit, clock)

    def table(self) -> AccessTable:
        return compile_access(self.service.state())

    def let_in(self, issued: IssuedKey) -> bool:
        """Whether the secret opens anything now."""
        opening = self.table().openings.get(digest_of(issued.secret))
        return opening is not None and opening.ends_at > self.clock.now().timestamp()

    def rows(self) -> str:
        """Every row of every table as text."""
        with self.database.read() as connection:
            return "\n".join(
                repr(dict(row))
                for table in metadata.tables.values()
                for row in connection.execute(select(table)).mappings()
            )


@pytest.fixture
def house(database: Database, clock: VirtualClock) -> Iterator[House]:
    yield House(database, clock)


def test_create__key__is_shown_with_everything_but_its_secret(house: House) -> None:
    end = house.clock.now() + timedelta(days=90)
    limits = Limits(600, 20_000, 4, 1_000_000)
    issued = house.service.create(
        "app", actor=ADA, owner="ada", team="cards", domains=["loans", "card*"], limits=limits, expires_at=end
    )
    assert is_well_formed(issued.secret)
    assert issued.secret not in repr(issued)
    found = house.service.get("app")
    assert found == house.service.get(issued.key.id) == issued.key
    assert (found.domains, found.limits, found.expires_at) == (("card*", "loans"), limits, end)
    assert house.service.list_keys() == [found]


def test_create__secret__is_in_no_table_and_no_audit_entry(house: House) -> None:
    issued = house.service.create("app", actor=ADA)
    rotated = house.service.rotate("app", actor=ADA)
    house.service.revoke("app", actor=ADA)
    rows = house.rows()
    assert digest_of(issued.secret) in rows  # so the dump does hold what is kept
    for secret in (issued.secret, rotated.secret):
        assert secret not in rows
        assert secret[12:] not in rows
    audited = json.dumps([[each.before, each.after] for each in house.audit.entries()])
    assert digest_of(issued.secret) not in audited


def test_changes__each__is_audited_and_moves_the_revision(house: House) -> None:
    assert house.service.revision() == 0
    house.service.create("app", actor=ADA)
    house.service.rotate("app", actor=ADA)
    house.service.change("app", actor=ADA, limits={"in_flight": 2})
    house.service.limit_domain("cards", {"requests_per_minute": 100}, actor=ADA)
    house.service.revoke("app", actor=ADA)
    assert house.service.revision() == house.service.state().revision == 5
    entries = house.audit.entries()
    assert [each.action for each in reversed(entries)] == [
        "key.create",
        "key.rotate",
        "key.set",
        "domain.limit",
        "key.revoke",
    ]
    assert (entries[2].before["limits"], entries[2].after["limits"]) == ({}, {"in_flight": 2})
    assert entries[0].reason == "because"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("App", {}),
        ("key-1", {}),
        ("usage", {}),
        ("", {}),
        ("app", {"limits": Limits(requests_per_minute=0)}),
        ("app", {"limits": Limits(tokens_per_day=10**13)}),
        ("app", {"domains": ["Cards"]}),
        ("app", {"domains": [f"d{n}" for n in range(201)]}),
        ("app", {"owner": "two\nlines"}),
        ("app", {"owner": "nul\x00"}),
    ],
)
def test_create__what_does_not_fit__is_refused_and_changes_nothing(
    house: House, name: str, fields: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput):
        house.service.create(name, actor=ADA, **fields)  # type: ignore[arg-type]
    assert (house.service.revision(), house.service.list_keys(), house.audit.entries()) == (0, [], [])


def test_create__end_in_the_past__is_refused(house: House) -> None:
    with pytest.raises(InvalidInput, match="expire"):
        house.service.create("app", actor=ADA, expires_at=house.clock.now())


def test_name__of_a_revoked_key__is_not_given_again(house: House) -> None:
    issued = house.service.create("app", actor=ADA)
    house.service.revoke("app", actor=ADA)
    assert not house.let_in(issued)
    assert house.service.get("app").status(house.clock.now()) is KeyStatus.REVOKED
    with pytest.raises(Conflict, match="'app'"):
        house.service.create("app", actor=ADA)
    for change in (
        lambda: house.service.rotate("app", actor=ADA),
        lambda: house.service.change("app", actor=ADA, owner="eve"),
        lambda: house.service.revoke("app", actor=ADA),
    ):
        with pytest.raises(Conflict, match="revoked"):
            change()
    assert house.service.revision() == 2


def test_unknown__key__is_not_found_and_a_secret_is_not_repeated(house: House) -> None:
    secret = house.service.create("app", actor=ADA).secret
    for named in ("nobody", secret):
        with pytest.raises(NotFound) as raised:
            house.service.get(named)
        assert secret not in str(raised.value.fields())


def test_rotate__old_secret__opens_until_the_grace_time_is_over(house: House) -> None:
    first = house.service.create("app", actor=ADA)
    second = house.service.rotate("app", actor=ADA, grace=timedelta(hours=1))
    assert house.let_in(first) and house.let_in(second)
    house.clock.advance(timedelta(minutes=59))
    third = house.service.rotate("app", actor=ADA, grace=timedelta(hours=5))
    assert house.let_in(first) and house.let_in(second)
    house.clock.advance(timedelta(minutes=1))
    assert not house.let_in(first)  # a later rotation prolongs nothing
    assert house.let_in(second) and house.let_in(third)
    fourth = house.service.rotate("app", actor=ADA, grace=timedelta(0))
    assert [house.let_in(each) for each in (first, second, third, fourth)] == [False, False, False, True]
    assert len(house.table().openings) == 1


@pytest.mark.parametrize("grace", [timedelta(seconds=-1), timedelta(days=31)])
def test_rotate__odd_grace__is_refused(house: House, grace: timedelta) -> None:
    house.service.create("app", actor=ADA)
    with pytest.raises(InvalidInput, match="grace"):
        house.service.rotate("app", actor=ADA, grace=grace)


def test_expiry__key_and_old_secret__whichever_is_first(house: House) -> None:
    issued = house.service.create("app", actor=ADA, expires_at=house.clock.now() + timedelta(minutes=5))
    renewed = house.service.rotate("app", actor=ADA, grace=timedelta(hours=1))
    house.clock.advance(timedelta(minutes=5))
    assert not house.let_in(issued) and not house.let_in(renewed)
    assert house.service.get("app").status(house.clock.now()) is KeyStatus.EXPIRED
    house.service.change("app", actor=ADA, never_expires=True)
    assert house.let_in(issued) and house.let_in(renewed)


def test_change__some_of_it__leaves_the_rest(house: House) -> None:
    house.service.create("app", actor=ADA, owner="ada", domains=["cards"], limits=Limits(60, in_flight=3))
    changed = house.service.change("app", actor=ADA, limits={"in_flight": None, "tokens_per_day": 9})
    assert (changed.owner, changed.domains, changed.limits) == ("ada", ("cards",), Limits(60, tokens_per_day=9))
    assert house.service.change("app", actor=ADA, domains=()).domains == ()
    entries = len(house.audit.entries())
    house.service.change("app", actor=ADA, owner="ada")  # as it is
    assert len(house.audit.entries()) == entries
    with pytest.raises(InvalidInput, match="'pace'"):
        house.service.change("app", actor=ADA, limits={"pace": 1})


def test_domain_limits__set_and_taken_away(house: House) -> None:
    house.service.limit_domain("cards", {"requests_per_minute": 100, "tokens_per_minute": 9}, actor=ADA)
    house.service.limit_domain("cards", {"tokens_per_minute": None}, actor=ADA)
    assert house.service.domain_limits() == {"cards": Limits(100)}
    assert [each.name for each in house.table().domains["cards"]] == ["domain:cards:requests"]
    house.service.limit_domain("cards", {"requests_per_minute": None}, actor=ADA)
    assert house.service.domain_limits() == {}
    with pytest.raises(InvalidInput, match="in_flight"):
        house.service.limit_domain("cards", {"in_flight": 1}, actor=ADA)


def test_create__eight_at_once__one_gets_the_name(house: House) -> None:
    together, made = Barrier(8), []

    def create() -> None:
        together.wait()
        try:
            made.append(house.service.create("app", actor=ADA))
        except BailiwickError as error:
            made.append(error)

    threads = [Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(each).__name__ for each in made) == ["Conflict"] * 7 + ["IssuedKey"]
    assert house.service.revision() == 1


# Usage


def test_usage__totals_written_twice__count_once(house: House) -> None:
    day = day_of(house.clock.now())
    totals = [DayUsage("k1", day, 3, 1, 30, 12, house.clock.now()), DayUsage("k2", day, 1, 0, 5, 0, house.clock.now())]
    house.service.usage.write("g1", totals)
    house.service.usage.write("g1", totals)
    house.service.usage.write("g2", [DayUsage("k1", day, 1, 0, 8, 2, house.clock.now())])
    assert house.service.usage.per_day(key="k1") == [DayUsage("k1", day, 4, 1, 38, 14, house.clock.now())]
    assert [each.key for each in house.service.usage.per_day()] == ["k1", "k2"]
    assert house.service.usage.tokens_elsewhere(day, "g1") == {"k1": 10}
    assert house.service.usage.tokens_elsewhere(day, "g3") == {"k1": 52, "k2": 5}


def test_usage__of_a_key__says_when_it_was_last_used(house: House) -> None:
    key = house.service.create("app", actor=ADA).key
    assert key.last_used_at is None
    at = house.clock.now()
    house.service.usage.write("g1", [DayUsage(key.id, day_of(at), 1, 0, 1, 1, at)])
    assert house.service.get("app").last_used_at == at
    assert house.service.list_keys()[0].last_used_at == at


def test_merge__past_days__one_row_each_and_the_same_sums(house: House) -> None:
    start = house.clock.now()
    for _ in range(4):
        now = house.clock.now()
        for gateway in ("g1", "g2", "g3"):
            house.service.usage.write(gateway, [DayUsage("k1", day_of(now), 2, 1, 20, 10, now)])
        house.clock.advance(timedelta(days=1))
    before = house.service.usage.per_day()
    assert house.service.usage.merge() == 4  # two days are past, two rows of each went into another
    assert house.service.usage.merge() == 0
    assert house.service.usage.per_day() == before
    assert before[-1] == DayUsage("k1", day_of(start), 6, 3, 60, 30, start)
    with house.database.read() as connection:
        gateways = [row.gateway for row in connection.execute(select(client_key_usage)) if row.day == day_of(start)]
    assert gateways == [""]
