"""One budget for the same people and the same data, under whatever name, on both databases."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from privacy_examples import ADA, CARDS, TERMS, WHOLE, account, ledger, plan, service
from sqlalchemy import text

from bailiwick.clock import VirtualClock
from bailiwick.errors import Conflict
from bailiwick.governance.audit import AuditTrail
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.service import PrivacyService
from bailiwick.storage.database import Database
from bailiwick.storage.migrate import downgrade, upgrade

CAP = Cost.cap(epsilon=1)
ELSEWHERE = AccountKey("shoppers", "queries")
COPY = AccountKey("customers", "copy")


def never() -> int:
    raise AssertionError("the data was touched")


def over(database: Database, clock: VirtualClock, contents: dict[str, list[str]]) -> PrivacyService:
    """A service that knows data sets by what their versions hold."""
    audit = AuditTrail(database, clock)
    return PrivacyService(database, audit, clock, contents_of=lambda name: contents.get(name, []))


def create(private: PrivacyService, key: AccountKey) -> None:
    private.create_budget(key, actor=ADA, column=None if key.domain else "customer", epsilon=1)


def test_open__lineage_of_another_namespace__is_refused_naming_the_budget(database: Database) -> None:
    books = ledger(database)
    books.open(account(WHOLE, CAP), ADA)
    with pytest.raises(Conflict, match="'customers/queries'") as refused:
        books.open(account(ELSEWHERE, CAP), ADA)
    assert refused.value.where == "customers/queries"
    books.open(account(CARDS, CAP), ADA)
    assert [found.key for found, _ in books.accounts()] == [WHOLE, CARDS]


def test_open__content_of_another_lineage__is_refused_naming_the_budget(database: Database) -> None:
    books = ledger(database)
    books.open(account(WHOLE, CAP), ADA, contents=["a", "b"])
    with pytest.raises(Conflict, match="the same texts as 'queries'") as refused:
        books.open(account(COPY, CAP), ADA, contents=["c", "b"])
    assert refused.value.where == "customers/queries"
    books.open(account(COPY, CAP), ADA, contents=["c"])  # the refusal bound nothing


def test_release__new_version__is_paid_from_the_same_budget(database: Database, clock: VirtualClock) -> None:
    contents = {"queries": ["first"]}
    private = over(database, clock, contents)
    create(private, WHOLE)
    contents["queries"].append("second")
    private.release(TERMS, WHOLE, plan(), lambda: 1, actor=ADA)
    contents["copy"] = ["second"]
    with pytest.raises(Conflict, match="customers/queries"):
        create(private, COPY)
    assert private.ledger.balance(WHOLE).spent == 10**8


def test_release__content_that_another_budget_has__is_refused_before_it_is_read(
    database: Database, clock: VirtualClock
) -> None:
    contents: dict[str, list[str]] = {}
    private = over(database, clock, contents)
    create(private, WHOLE)
    clock.advance(timedelta(seconds=1))
    create(private, COPY)  # nothing was imported yet, so nothing is known of either
    contents.update({"queries": ["same"], "copy": ["same"]})
    before = private.statistics()
    with pytest.raises(Conflict, match="customers/queries"):  # the older budget has it, whichever is asked first
        private.release(TERMS, COPY, plan(), never, actor=ADA)
    assert private.statistics() == before
    private.release(TERMS, WHOLE, plan(), lambda: 1, actor=ADA)
    audited = [entry for entry in AuditTrail(database, clock).entries() if entry.action == "privacy_content.bind"]
    assert [(entry.subject, entry.after) for entry in audited] == [
        ("privacy_account:customers/queries", {"contents": ["same"]})
    ]


def test_create__data_imported_after_the_first_budget__belongs_to_it(database: Database, clock: VirtualClock) -> None:
    contents: dict[str, list[str]] = {}
    private = over(database, clock, contents)
    create(private, WHOLE)
    contents.update({"queries": ["same"], "copy": ["same"]})
    with pytest.raises(Conflict, match="customers/queries"):
        create(private, COPY)
    private.release(TERMS, WHOLE, plan(), lambda: 1, actor=ADA)


def test_open__two_namespaces_at_once__one_gets_the_lineage(database: Database) -> None:
    keys = [AccountKey(f"people-{number}", "queries") for number in range(4)]
    opened: list[AccountKey] = []
    refused: list[str | None] = []
    begin = threading.Barrier(len(keys))

    def open_one(key: AccountKey) -> None:
        begin.wait()
        try:
            ledger(database).open(account(key, CAP), ADA)
            opened.append(key)
        except Conflict as error:
            refused.append(error.where)

    threads = [threading.Thread(target=open_one, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1
    assert refused == [str(opened[0])] * 3


def test_migration__lineage_with_two_budgets__the_older_keeps_it_the_other_takes_no_charge(
    database: Database, clock: VirtualClock
) -> None:
    private = service(database, clock)
    books = private.ledger
    books.open(account(WHOLE, CAP), ADA)
    private.release(TERMS, WHOLE, plan(), lambda: 1, actor=ADA)
    clock.advance(timedelta(days=1))
    with database.write() as connection:  # as it could be before the binding was kept
        connection.execute(text("DELETE FROM privacy_lineage"))
    books.open(account(ELSEWHERE, CAP), ADA)
    downgrade(database, "0002")
    upgrade(database)

    private.release(TERMS, WHOLE, plan(), lambda: 1, actor=ADA)
    with pytest.raises(Conflict, match="customers/queries"):
        books.hold([ELSEWHERE], Cost.of(0.1), idempotency_key="k", plan_hash="0" * 64, actor=ADA)
    assert (books.recompute(WHOLE).spent, books.recompute(ELSEWHERE).spent) == (2 * 10**8, 0)
