"""The ledger's promises, on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from privacy_examples import ADA, CARDS, LOANS, TERMS, WHOLE, account, ledger, plan, service
from sqlalchemy import text

from bailiwick.clock import VirtualClock
from bailiwick.errors import BudgetExhausted, Conflict, InvalidInput, NotFound
from bailiwick.governance.audit import AuditTrail
from bailiwick.privacy.accounts import AccountKey, EntryKind
from bailiwick.privacy.costs import Cost, Currency, Level
from bailiwick.privacy.ledger import Ledger
from bailiwick.privacy.releases import Charge, ChargeState
from bailiwick.privacy.service import PrivacyService
from bailiwick.privacy.terms import Adjacency, Categories, ColumnBounds, Lifetime, PrivacySettings, ReleaseTerms
from bailiwick.storage.database import Database

TENTH = Cost.of(0.1)


@pytest.fixture
def private(database: Database, clock: VirtualClock) -> PrivacyService:
    """The whole budget is 1.0 with 1e-6; cards may use 0.6 of it, loans 0.6 too."""
    made = service(database, clock)
    made.ledger.open(account(WHOLE, Cost.cap(epsilon=1.0, delta=1e-6)), ADA)
    for key in (CARDS, LOANS):
        made.ledger.open(account(key, Cost.cap(epsilon=0.6, delta=1e-6)), ADA)
    return made


def hold(books: Ledger, key: AccountKey = WHOLE, cost: Cost = TENTH, name: str = "k", **more: Any) -> Charge:
    return books.hold([key], cost, idempotency_key=name, plan_hash="0" * 64, actor=ADA, **more)


def amounts(books: Ledger, key: AccountKey) -> tuple[int, int, int]:
    balance = books.recompute(key)
    assert balance == books.balance(key)
    return balance.spent, balance.held, balance.remaining


def test_release__ten_times_a_tenth__fits_a_cap_of_one_exactly(private: PrivacyService) -> None:
    for _ in range(10):
        private.release(TERMS, WHOLE, plan(0.1), lambda: 1, actor=ADA)
    assert amounts(private.ledger, WHOLE) == (10**9, 0, 0)
    with pytest.raises(BudgetExhausted):
        private.release(TERMS, WHOLE, plan("1e-9"), lambda: 1, actor=ADA)


def test_hold__domain__debits_the_global_account_too_and_domains_add_up(private: PrivacyService) -> None:
    books = private.ledger
    hold(books, CARDS, Cost.of(0.5), "a")
    with pytest.raises(BudgetExhausted) as refused:
        hold(books, LOANS, Cost.of(0.6), "b")

    assert refused.value.where == "customers/queries"
    assert {name: refused.value.fields()[name] for name in ("requested", "spent", "held", "remaining")} == {
        "requested": "epsilon 0.6, delta 0",
        "spent": "epsilon 0, delta 0",
        "held": "epsilon 0.5, delta 0",
        "remaining": "epsilon 0.5, delta 0.000001",
    }
    assert (amounts(books, CARDS)[1], amounts(books, LOANS)[1], amounts(books, WHOLE)[1]) == (5 * 10**8, 0, 5 * 10**8)
    both = books.hold([LOANS, CARDS], TENTH, idempotency_key="c", plan_hash="0" * 64, actor=ADA)
    assert both.keys == (WHOLE, CARDS, LOANS)
    assert amounts(books, WHOLE)[1] == 6 * 10**8


def test_hold__delta_exhausted__is_refused_though_epsilon_is_left(private: PrivacyService) -> None:
    hold(private.ledger, cost=Cost.of(0.1, 6e-7), name="a")
    with pytest.raises(BudgetExhausted, match=r"remaining epsilon 0\.9, delta 0\.0000004"):
        hold(private.ledger, cost=Cost.of(0.1, 6e-7), name="b")


def test_hold__refused__changes_nothing_and_burns_nothing(private: PrivacyService, database: Database) -> None:
    before = private.statistics()
    audited = len(AuditTrail(database, VirtualClock(private.ledger.account(WHOLE).created_at)).entries())
    for _ in range(3):
        with pytest.raises(BudgetExhausted):
            hold(private.ledger, cost=Cost.of(1.1))
    assert private.statistics() == before
    assert len(AuditTrail(database, VirtualClock(private.ledger.account(WHOLE).created_at)).entries()) == audited
    assert hold(private.ledger, cost=Cost.of(1.0)).state is ChargeState.HELD


def test_hold__same_key__same_charge_and_no_second_debit(private: PrivacyService) -> None:
    first = hold(private.ledger)
    assert hold(private.ledger) == first
    assert amounts(private.ledger, WHOLE)[1] == 10**8
    with pytest.raises(Conflict, match="stands for another release"):
        hold(private.ledger, cost=Cost.of(0.2))
    with pytest.raises(Conflict, match="stands for another release"):
        hold(private.ledger, CARDS)


def test_release__same_key__stored_output_without_computing_again(private: PrivacyService) -> None:
    drawn: list[int] = []

    def compute() -> Any:
        drawn.append(1)
        return {"count": 41.25, "share": 0.1 + 0.2, "labels": ["é", None, True]}

    first = private.release(TERMS, CARDS, plan(), compute, actor=ADA, idempotency_key="monday")
    again = private.release(TERMS, CARDS, plan(), compute, actor=ADA, idempotency_key="monday")
    assert (len(drawn), first.replayed, again.replayed) == (1, False, True)
    assert json.dumps(first.output) == json.dumps(again.output)
    assert first.card == again.card
    assert amounts(private.ledger, CARDS)[0] == amounts(private.ledger, WHOLE)[0] == 10**8
    with pytest.raises(Conflict):
        private.release(TERMS, CARDS, plan(purpose="sum"), compute, actor=ADA, idempotency_key="monday")


def test_release__card__says_everything_a_reader_needs(private: PrivacyService) -> None:
    done = private.release(TERMS, CARDS, plan(0.1, 1e-7), lambda: 1, actor=ADA, numeric=["amount"])
    card = done.card
    assert card["unit"] == {"column": "customer", "namespace": "customers"}
    assert (card["adjacency"], card["contribution_cap"], card["reset_policy"]) == ("add-remove", 2, "never reset")
    assert (card["epsilon"], card["delta"], card["rho"]) == ("0.1", "0.0000001", None)
    assert card["bounds"] == {"amount": {"lower": 0, "upper": 100}}
    assert card["mechanisms"][0]["name"] == "discrete laplace"
    assert card["not_protected"] == ["that the domain exists"]
    assert set(card["libraries"]) == {"bailiwick", "opendp"}
    assert card["accounts"] == ["customers/queries", "customers/queries/cards"]
    assert card["lifetime_budgets"] == {
        "customers/queries": "epsilon 1, delta 0.000001",
        "customers/queries/cards": "epsilon 0.6, delta 0.000001",
    }
    entry = private.ledger.entries(WHOLE)[-1]
    assert json.loads(entry.document) == {"output_hash": card["output_hash"], "plan_hash": card["plan_hash"]}
    assert private.ledger.releases()[0].card == card


@pytest.mark.parametrize(
    ("terms", "missing"),
    [
        (ReleaseTerms(None, Adjacency.ADD_REMOVE, 1, {}, {}, Lifetime()), "unit"),
        (ReleaseTerms(TERMS.unit, None, 1, {}, {}, Lifetime()), "adjacency"),
        (ReleaseTerms(TERMS.unit, Adjacency.ADD_REMOVE, None, {}, {}, Lifetime()), "contribution_cap"),
        (ReleaseTerms(TERMS.unit, Adjacency.ADD_REMOVE, 1, {}, {}, None), "lifetime"),
        (ReleaseTerms(TERMS.unit, Adjacency.ADD_REMOVE, 1, {}, {}, Lifetime()), "bounds.amount"),
        (ReleaseTerms(TERMS.unit, Adjacency.REPLACE, 1, TERMS.bounds, {}, Lifetime()), "adjacency"),
        (ReleaseTerms(TERMS.unit, Adjacency.ADD_REMOVE, 1, TERMS.bounds, {}, Lifetime(30)), "lifetime"),
        (ReleaseTerms(TERMS.unit, Adjacency.ADD_REMOVE, 0, TERMS.bounds, {}, Lifetime()), "contribution_cap"),
    ],
)
def test_release__terms_incomplete_or_other_than_the_budget__is_refused_untouched(
    private: PrivacyService, terms: ReleaseTerms, missing: str
) -> None:
    before = private.statistics()
    with pytest.raises(InvalidInput) as refused:
        private.release(terms, WHOLE, plan(), _must_not_run, actor=ADA, numeric=["amount"])
    assert refused.value.what == missing
    assert private.statistics() == before


def test_release__no_budget__is_refused_before_data_is_touched(private: PrivacyService) -> None:
    with pytest.raises(BudgetExhausted):
        private.release(TERMS, WHOLE, plan(1.5), _must_not_run, actor=ADA)
    with pytest.raises(NotFound, match="customers/queries/none"):
        private.release(TERMS, AccountKey("customers", "queries", "none"), plan(), _must_not_run, actor=ADA)


def test_release__computation_fails__is_spent_and_never_refunded(private: PrivacyService) -> None:
    def fail() -> Any:
        raise RuntimeError("half way")

    unfit: list[tuple[str, Callable[[], Any], type[Exception]]] = [
        ("fails", fail, RuntimeError),
        ("not finite", lambda: float("nan"), InvalidInput),
        ("no JSON", lambda: {1}, InvalidInput),
    ]
    for name, compute, error in unfit:
        with pytest.raises(error):
            private.release(TERMS, WHOLE, plan(), compute, actor=ADA, idempotency_key=name)
    assert amounts(private.ledger, WHOLE)[:2] == (3 * 10**8, 0)
    with pytest.raises(Conflict, match="was lost"):
        private.release(TERMS, WHOLE, plan(), _must_not_run, actor=ADA, idempotency_key="fails")


def _must_not_run() -> Any:
    raise AssertionError("the data was touched")


def test_refund__only_from_held__and_frees_the_key(private: PrivacyService) -> None:
    books = private.ledger
    refunded = books.refund(hold(books), ADA)
    assert amounts(books, WHOLE)[:2] == (0, 0)
    for step in (books.start, books.refund, books.forfeit):
        with pytest.raises(Conflict, match="is refunded"):
            step(refunded, ADA)
    started = books.start(hold(books), ADA)
    assert started.id != refunded.id
    for step in (books.refund, books.start):
        with pytest.raises(Conflict, match="is started"):
            step(started, ADA)
    spent = books.forfeit(started, ADA)
    for step in (books.refund, books.start, books.forfeit):
        with pytest.raises(Conflict, match="is spent"):
            step(spent, ADA)
    assert amounts(books, WHOLE)[:2] == (10**8, 0)


def test_recover__started_and_expired__spent_and_refunded(private: PrivacyService, clock: VirtualClock) -> None:
    books = private.ledger
    fresh, started = hold(books, name="fresh", hold_for=timedelta(days=1)), books.start(hold(books, name="s"), ADA)
    hold(books, name="expired")
    clock.advance(timedelta(hours=1))
    moved = books.recover()
    assert {(each.idempotency_key, each.state) for each in moved} == {
        ("s", ChargeState.SPENT),
        ("expired", ChargeState.REFUNDED),
    }
    assert books.charge(fresh.id).state is ChargeState.HELD
    assert amounts(books, WHOLE)[:2] == (10**8, 10**8)
    assert books.recover() == []
    assert books.charge(started.id).state is ChargeState.SPENT


def test_spend__after_recovery_was_quicker__keeps_the_output_at_no_cost(private: PrivacyService) -> None:
    def slow() -> Any:
        private.ledger.recover()
        return 7

    done = private.release(TERMS, CARDS, plan(), slow, actor=ADA, idempotency_key="slow")
    assert private.release(TERMS, CARDS, plan(), _must_not_run, actor=ADA, idempotency_key="slow").output == done.output
    assert amounts(private.ledger, CARDS)[:2] == amounts(private.ledger, WHOLE)[:2] == (10**8, 0)
    assert private.ledger.entries(CARDS)[-1].kind is EntryKind.STORE


def test_open__again_or_against_the_global_account__is_refused(private: PrivacyService) -> None:
    books = private.ledger
    with pytest.raises(Conflict, match="exists"):
        books.open(account(WHOLE, Cost.cap(epsilon=9)), ADA)
    with pytest.raises(NotFound):
        books.open(account(AccountKey("customers", "other", "cards"), Cost.cap(epsilon=1)), ADA)
    third = AccountKey("customers", "queries", "third")
    with pytest.raises(InvalidInput, match="lifetime"):
        books.open(account(third, Cost.cap(epsilon=1), lifetime=Lifetime(30)), ADA)
    with pytest.raises(InvalidInput, match="currency"):
        books.open(account(third, Cost.cap(rho=1), Currency.ZCDP), ADA)
    with pytest.raises(InvalidInput, match="cannot have the cap"):
        books.open(account(third, Cost.cap(rho=1)), ADA)
    assert len(books.accounts()) == 3


def test_create_budget__settings_cannot_be__leaves_no_account_behind(private: PrivacyService) -> None:
    key = AccountKey("customers", "clicks")
    with pytest.raises(InvalidInput, match="contribution cap 0"):
        private.create_budget(key, actor=ADA, column="customer", epsilon=1, settings=PrivacySettings(0))
    with pytest.raises(NotFound):
        private.ledger.account(key)


def test_currency__zcdp__pure_charges_count_half_their_square(database: Database, clock: VirtualClock) -> None:
    books, key = ledger(database, clock), AccountKey("customers", "clicks")
    books.open(account(key, Cost.cap(rho=0.5, delta=1e-6), Currency.ZCDP), ADA)
    for number in range(99):
        hold(books, key, TENTH, str(number))
    hold(books, key, Cost.of_rho(0.005), "last")
    assert amounts(books, key) == (0, 5 * 10**8, 0)
    with pytest.raises(BudgetExhausted, match=r"requested rho 0\.000000001"):
        hold(books, key, Cost.of("1e-9"), "more")


def test_currency__pure__refuses_a_delta_and_a_rho(database: Database, clock: VirtualClock) -> None:
    books, key = ledger(database, clock), AccountKey("customers", "clicks")
    books.open(account(key, Cost.cap(epsilon=1), Currency.PURE), ADA)
    for cost in (Cost.of(0.1, 1e-9), Cost.of_rho(0.1)):
        with pytest.raises(InvalidInput):
            hold(books, key, cost)
    with pytest.raises(InvalidInput):
        books.open(account(AccountKey("a", "b"), Cost.cap(epsilon=1, delta=1e-6), Currency.PURE), ADA)


def test_reset__only_where_the_account_was_created_with_one(database: Database, clock: VirtualClock) -> None:
    books, forever, monthly = ledger(database, clock), AccountKey("a", "forever"), AccountKey("a", "monthly")
    books.open(account(forever, Cost.cap(epsilon="0.1")), ADA)
    books.open(account(monthly, Cost.cap(epsilon="0.2"), lifetime=Lifetime(30)), ADA)
    for key in (forever, monthly):
        books.forfeit(books.start(hold(books, key, name=str(key)), ADA), ADA)
    running = books.start(hold(books, monthly, name="running", hold_for=timedelta(days=90)), ADA)
    clock.advance(timedelta(days=65))
    with pytest.raises(BudgetExhausted):
        hold(books, forever, name="2")
    hold(books, monthly, name="2")
    assert amounts(books, monthly) == (0, 2 * 10**8, 0)
    books.forfeit(running, ADA)
    with pytest.raises(BudgetExhausted):
        hold(books, monthly, name="3")
    clock.advance(timedelta(days=24))
    with pytest.raises(BudgetExhausted):  # periods count from the opening: day 89 is still the third
        hold(books, monthly, name="3")
    clock.advance(timedelta(days=1))
    hold(books, monthly, name="3")
    assert amounts(books, monthly) == (0, 2 * 10**8, 0)


TAMPERING: dict[str, str] = {
    "an amount": "UPDATE privacy_entry SET held = 1 WHERE number = 2",
    "an actor": "UPDATE privacy_entry SET actor = 'eve' WHERE number = 2",
    "an entry less": "DELETE FROM privacy_entry WHERE number = 2",
    "the last entry less": "DELETE FROM privacy_entry WHERE number = 3",
    "the balance": "UPDATE privacy_account SET held = 0",
    "the cap": "UPDATE privacy_account SET cap = cap * 10",
    "the reset": "UPDATE privacy_account SET reset_days = 1",
    "the adjacency": "UPDATE privacy_account SET adjacency = 'replace'",
}


@pytest.mark.parametrize("what", TAMPERING)
def test_recompute__tampered_with__is_found(private: PrivacyService, database: Database, what: str) -> None:
    hold(private.ledger, CARDS, name="a")
    private.ledger.start(hold(private.ledger, CARDS, name="a"), ADA)
    assert amounts(private.ledger, CARDS)[1] == 10**8
    with database.write() as connection:
        connection.execute(text(TAMPERING[what]))
    with pytest.raises(Conflict, match=r"tampered|does not follow"):
        private.ledger.recompute(CARDS)


def test_account__database_itself__refuses_more_than_the_cap(private: PrivacyService, database: Database) -> None:
    with pytest.raises(Exception, match="within_cap"), database.write() as connection:
        connection.execute(text("UPDATE privacy_account SET held = cap + 1"))


@pytest.mark.parametrize("ask", [{"name": ""}, {"name": "x" * 201}, {"name": "a\n"}, {"hold_for": timedelta(0)}])
def test_hold__malformed__is_refused(private: PrivacyService, ask: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        hold(private.ledger, **ask)


def test_settings__domain_over_global__column_by_column(private: PrivacyService) -> None:
    from bailiwick.privacy.documents import parse_settings

    whole = parse_settings({"contribution_cap": 5, "bounds": {"amount": [0, 10], "age": [0, 120]}, "level": "low"})
    private.set_settings(WHOLE, whole, ADA)
    private.set_settings(CARDS, parse_settings({"bounds": {"amount": [0, 99]}, "level": "high"}), ADA)
    terms, settings = private.terms(CARDS), private.settings(CARDS)
    assert (terms.contribution_cap, terms.bounds["amount"].upper, terms.bounds["age"].upper) == (5, 99, 120)
    assert settings.level is not None and settings.level.value == "high"
    assert private.terms(WHOLE).bounds["amount"].upper == 10
    with pytest.raises(NotFound):
        private.set_settings(AccountKey("no", "such"), PrivacySettings(), ADA)


def test_every_change__is_audited(private: PrivacyService, database: Database, clock: VirtualClock) -> None:
    private.release(TERMS, CARDS, plan(), lambda: 1, actor=ADA)
    private.ledger.refund(hold(private.ledger), ADA)
    actions = [entry.action for entry in AuditTrail(database, clock).entries()][::-1]
    verbs = ["hold", "start", "spend", "hold", "refund"]
    assert actions == ["privacy_account.create"] * 3 + [f"privacy_charge.{verb}" for verb in verbs]


AMOUNT = PrivacySettings(2, {"amount": ColumnBounds(0, 100)})
CHANGES = {
    "contribution cap": PrivacySettings(3, AMOUNT.bounds),
    "bounds": PrivacySettings(2, {"amount": ColumnBounds(0, 101)}),
    "bounds of one more column": PrivacySettings(2, {**AMOUNT.bounds, "age": ColumnBounds(0, 120)}),
    "categories": PrivacySettings(2, AMOUNT.bounds, {"label": Categories(("a",))}),
    "nothing stated": PrivacySettings(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_settings__after_the_first_charge__are_refused(private: PrivacyService, what: str) -> None:
    private.set_settings(WHOLE, PrivacySettings(9), ADA)
    private.set_settings(WHOLE, AMOUNT, ADA)
    private.release(TERMS, CARDS, plan(), lambda: 1, actor=ADA)  # it debits the global account too
    with pytest.raises(Conflict, match="fixed for good") as refused:
        private.set_settings(WHOLE, CHANGES[what], ADA)
    assert refused.value.remedy
    assert private.own_settings(WHOLE) == AMOUNT
    with pytest.raises(Conflict, match="fixed for good"):
        private.set_settings(CARDS, CHANGES["bounds"], ADA)


def test_settings__level_or_an_account_that_was_not_charged__can_be_set(private: PrivacyService) -> None:
    private.set_settings(WHOLE, AMOUNT, ADA)
    private.ledger.refund(hold(private.ledger, LOANS), ADA)  # touched nothing
    private.release(TERMS, CARDS, plan(), lambda: 1, actor=ADA)
    priced = PrivacySettings(AMOUNT.contribution_cap, AMOUNT.bounds, level=Level.HIGH)
    assert private.set_settings(WHOLE, priced, ADA) == private.own_settings(WHOLE)
    private.set_settings(LOANS, CHANGES["bounds"], ADA)
    assert private.terms(LOANS).bounds["amount"].upper == 101


def test_settings__default_epsilon__a_price_that_can_change_and_that_a_domain_has_of_its_own(
    private: PrivacyService, database: Database, clock: VirtualClock
) -> None:
    third = Cost.of("0.3", "1e-7")
    private.set_settings(WHOLE, replace(AMOUNT, price=third), ADA)
    private.release(TERMS, CARDS, plan(), lambda: 1, actor=ADA)
    again = service(database, clock)
    assert again.own_settings(WHOLE) == replace(AMOUNT, price=third)
    assert again.default_cost(CARDS) == third
    private.set_settings(CARDS, PrivacySettings(level=Level.HIGH), ADA)
    assert (again.default_cost(CARDS), again.default_cost(LOANS)) == (Level.HIGH.cost, third)
    private.set_settings(WHOLE, replace(AMOUNT, level=Level.LOW), ADA)
    private.set_settings(CARDS, PrivacySettings(price=TENTH), ADA)
    assert (again.default_cost(CARDS), again.default_cost(LOANS)) == (TENTH, Level.LOW.cost)
    with pytest.raises(InvalidInput, match="not both"):
        private.set_settings(CARDS, PrivacySettings(level=Level.LOW, price=TENTH), ADA)
    private.set_settings(WHOLE, AMOUNT, ADA)
    with pytest.raises(InvalidInput, match="no epsilon is stated"):
        again.default_cost(LOANS)


def test_funds__what_the_next_charge_finds__also_where_a_reset_is_due(database: Database, clock: VirtualClock) -> None:
    private = service(database, clock)
    monthly = Lifetime(30)
    private.ledger.open(account(WHOLE, Cost.cap(epsilon=1), Currency.PURE, monthly), ADA)
    private.ledger.open(account(CARDS, Cost.cap(epsilon=1), Currency.PURE, monthly), ADA)
    private.release(replace(TERMS, lifetime=monthly), CARDS, plan(0.4), lambda: 1, actor=ADA)
    held = hold(private.ledger, CARDS)
    assert [(each.key, each.remaining) for each in private.funds([CARDS])] == [(WHOLE, 5 * 10**8), (CARDS, 5 * 10**8)]
    clock.advance(timedelta(days=30))
    assert [each.remaining for each in private.funds([CARDS])] == [9 * 10**8] * 2
    hold(private.ledger, CARDS, Cost.of("0.9"), "b")
    assert [each.remaining for each in private.funds([CARDS])] == [0, 0]
    assert held.state is ChargeState.HELD


def test_settings__while_a_charge_is_held__are_refused(private: PrivacyService) -> None:
    hold(private.ledger)
    with pytest.raises(Conflict, match="fixed for good"):
        private.set_settings(WHOLE, AMOUNT, ADA)


def test_release__on_other_terms_than_were_set__is_refused_before_a_charge(private: PrivacyService) -> None:
    private.set_settings(WHOLE, CHANGES["bounds"], ADA)
    with pytest.raises(InvalidInput, match=r"bounds\.amount"):
        private.release(TERMS, CARDS, plan(), _must_not_run, actor=ADA)
    assert private.ledger.entries(WHOLE)[-1].kind is EntryKind.OPEN


def test_release__settings_change_while_it_is_charged__is_refunded(database: Database, clock: VirtualClock) -> None:
    changed: list[str] = []

    def between_check_and_charge(lineage: str) -> list[str]:
        if not changed:
            changed.append(lineage)
            private.set_settings(WHOLE, CHANGES["contribution cap"], ADA)
        return []

    private = PrivacyService(database, AuditTrail(database, clock), clock, between_check_and_charge)
    private.ledger.open(account(WHOLE, Cost.cap(epsilon=1)), ADA)
    with pytest.raises(InvalidInput, match="contribution_cap"):
        private.release(TERMS, WHOLE, plan(), _must_not_run, actor=ADA)
    assert changed
    assert amounts(private.ledger, WHOLE)[:2] == (0, 0)


def test_charge__forged__the_stored_amounts_and_accounts_are_used(private: PrivacyService) -> None:
    books = private.ledger
    hold(books, LOANS, Cost.of(0.5), "other")
    held = hold(books, CARDS, name="mine")
    forged = replace(held, cost=Cost.of(0.5), keys=(WHOLE, LOANS), plan_hash="f" * 64)
    assert books.refund(forged, ADA) == replace(held, state=ChargeState.REFUNDED)
    assert [amounts(books, key)[:2] for key in (WHOLE, CARDS, LOANS)] == [(0, 5 * 10**8), (0, 0), (0, 5 * 10**8)]

    held = hold(books, CARDS, name="mine")
    forged = replace(held, cost=Cost.of("0.000000001"), keys=(WHOLE, LOANS))
    assert books.start(forged, ADA) == replace(held, state=ChargeState.STARTED)
    assert books.forfeit(forged, ADA) == replace(held, state=ChargeState.SPENT)
    assert [amounts(books, key)[0] for key in (WHOLE, CARDS, LOANS)] == [10**8, 10**8, 0]

    released = private.release(TERMS, CARDS, plan(), lambda: 1, actor=ADA)
    with pytest.raises(Conflict, match="is spent"):
        books.refund(replace(released.charge, state=ChargeState.HELD, cost=Cost.of(0.5)), ADA)
    found = books.released(replace(released.charge, cost=Cost.of("0.000000001")))
    assert found is not None and found.charge == released.charge


def test_charge__invented__is_not_found(private: PrivacyService) -> None:
    invented = replace(hold(private.ledger), id="charge-invented")
    for step in (private.ledger.start, private.ledger.refund, private.ledger.forfeit):
        with pytest.raises(NotFound, match="charge-invented"):
            step(invented, ADA)
    assert amounts(private.ledger, WHOLE)[:2] == (0, 10**8)


def test_release__domain_opened_since__the_same_key_is_replayed(private: PrivacyService, clock: VirtualClock) -> None:
    def ask(*keys: AccountKey, compute: Callable[[], Any] = _must_not_run) -> Any:
        return private.release(TERMS, keys, plan(), compute, actor=ADA, idempotency_key="weekly").output

    assert ask(WHOLE, CARDS, compute=lambda: 7) == 7
    with pytest.raises(Conflict, match="stands for another release"):
        ask(WHOLE, CARDS, LOANS)  # was there already: another request
    clock.advance(timedelta(days=1))
    later = AccountKey("customers", "queries", "later")
    private.ledger.open(account(later, Cost.cap(epsilon=0.5)), ADA)
    assert ask(WHOLE, CARDS, later) == 7
    assert amounts(private.ledger, later)[:2] == (0, 0)
    with pytest.raises(Conflict, match="stands for another release"):
        ask(WHOLE, later)


def test_hold__domain_opened_since_but_nothing_released__is_another_request(
    private: PrivacyService, clock: VirtualClock
) -> None:
    hold(private.ledger)
    clock.advance(timedelta(minutes=1))
    later = AccountKey("customers", "queries", "later")
    private.ledger.open(account(later, Cost.cap(epsilon=0.5)), ADA)
    with pytest.raises(Conflict, match="stands for another release"):
        private.ledger.hold([WHOLE, later], TENTH, idempotency_key="k", plan_hash="0" * 64, actor=ADA)


def test_release__begun__knows_the_charge_before_anything_is_computed(private: PrivacyService) -> None:
    seen: list[Charge] = []
    done = private.release(TERMS, CARDS, plan(), lambda: seen[0].id, actor=ADA, begun=seen.append)
    assert done.output == done.charge.id
    assert seen[0].state is ChargeState.STARTED


def test_recover__owner_woke_up_too_late__its_start_is_refused(private: PrivacyService, clock: VirtualClock) -> None:
    asleep = hold(private.ledger)
    running = private.ledger.start(hold(private.ledger, CARDS, name="running"), ADA)
    clock.advance(timedelta(minutes=59))
    assert [each.state for each in private.recover()] == [ChargeState.REFUNDED]  # the other may still be running
    with pytest.raises(Conflict, match="is refunded"):
        private.ledger.start(asleep, ADA)
    clock.advance(timedelta(minutes=1))
    assert private.recover() == [replace(running, state=ChargeState.SPENT)]
