"""Private releases: nothing is computed before its whole cost is booked, and what was released is never drawn again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from bailiwick import __version__
from bailiwick.clock import Clock
from bailiwick.errors import BailiwickError, Conflict, InvalidInput
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.privacy.accounts import Account, AccountKey, Balance
from bailiwick.privacy.amounts import ATTO, NANO, Amount, decimal_text
from bailiwick.privacy.canonical import digest
from bailiwick.privacy.costs import Cost, Currency
from bailiwick.privacy.documents import parse_settings, settings_document
from bailiwick.privacy.ledger import Ledger
from bailiwick.privacy.releases import Charge, ChargeState, Release, ReleasePlan, ReportCard, plan_hash
from bailiwick.privacy.store import release_rows
from bailiwick.privacy.store.tables import privacy_terms
from bailiwick.privacy.terms import Adjacency, Lifetime, PrivacySettings, PrivacyUnit, ReleaseTerms
from bailiwick.storage.database import Database

LEFT_BEHIND_AFTER = timedelta(hours=1)
"""A charge that has been running for so long is taken for one whose process crashed."""


class PrivacyService:
    """Budgets, their settings, and releases that are charged to them."""

    def __init__(self, database: Database, audit: AuditTrail, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self.ledger = Ledger(database, audit, clock)

    def create_budget(
        self,
        key: AccountKey,
        *,
        actor: Actor,
        column: str | None = None,
        epsilon: Amount | None = None,
        delta: Amount = 0,
        rho: Amount | None = None,
        adjacency: Adjacency | None = None,
        reset_days: int | None = None,
        settings: PrivacySettings | None = None,
    ) -> Account:
        """Create an account from plain values. It counts rho if one is given, else epsilon, with delta if one is given.

        Args:
            key: of the account. A domain's account takes what is not given from its global one.
            actor: who asks.
            column: names the unit; needed for a global account.
            epsilon: most epsilon ever.
            delta: most delta ever.
            rho: most rho ever, instead of epsilon.
            adjacency: which change of the data is hidden; `Adjacency.ADD_REMOVE` unless said otherwise.
            reset_days: the account starts afresh after so many days; None: never.
            settings: what its releases use unless they say otherwise.

        Raises:
            InvalidInput: no column, no cap, or a value that cannot be accepted.
            Conflict: the account exists.
            NotFound: a domain's account without its global one.
        """
        cap = Cost.cap(epsilon=epsilon, delta=0 if delta in ("0", "0.0") else delta, rho=rho)
        currency = Currency.ZCDP if rho is not None else Currency.APPROX if cap.delta_atto else Currency.PURE
        lifetime = Lifetime(reset_days)
        if key.domain:
            whole = self.ledger.account(key.whole)
            column = column or whole.unit.column
            adjacency = adjacency or whole.adjacency
            lifetime = lifetime if reset_days is not None else whole.lifetime
            currency = whole.currency if rho is None else currency
        if column is None:
            raise InvalidInput(
                "a budget needs the column that names whom it protects",
                what="column",
                remedy="name it; data without such a column is not about persons, and no epsilon applies to it",
            )
        unit, now = PrivacyUnit(column, key.namespace), self._clock.now()
        account = self.ledger.open(
            Account(key, unit, adjacency or Adjacency.ADD_REMOVE, currency, cap, lifetime, now), actor
        )
        if settings is not None and settings != PrivacySettings():
            self.set_settings(key, settings, actor)
        return account

    def settings(self, key: AccountKey) -> PrivacySettings:
        """What an account's releases use unless they say otherwise: the domain's own settings over the global ones."""
        with self._database.read() as connection:
            whole, own = release_rows.terms(connection, key.whole), release_rows.terms(connection, key)
        return parse_settings(_merged(whole or {}, own or {}))

    def own_settings(self, key: AccountKey) -> PrivacySettings:
        """What was set for the account itself."""
        with self._database.read() as connection:
            return parse_settings(release_rows.terms(connection, key) or {})

    def set_settings(self, key: AccountKey, settings: PrivacySettings, actor: Actor) -> PrivacySettings:
        """Replace an account's own settings.

        Raises:
            NotFound: the account does not exist.
            InvalidInput: a value that cannot be accepted.
        """
        self.ledger.account(key)
        after = settings_document(settings)
        parse_settings(after)
        with self._database.write() as connection:
            before = release_rows.terms(connection, key)
            row = release_rows.terms_row(key, after, self._clock.now())
            self._database.upsert(connection, privacy_terms, [row])
            subject = f"privacy_account:{key}"[:300]
            self._audit.record(connection, actor, "privacy_settings.set", subject, before=before, after=after)
        return settings

    def terms(self, key: AccountKey) -> ReleaseTerms:
        """The terms that a release from this account has unless it says otherwise.

        Raises:
            NotFound: the account does not exist.
        """
        account, settings = self.ledger.account(key), self.settings(key)
        return ReleaseTerms(
            account.unit,
            account.adjacency,
            settings.contribution_cap,
            settings.bounds,
            settings.categories,
            account.lifetime,
        )

    def release(
        self,
        terms: ReleaseTerms,
        keys: AccountKey | Sequence[AccountKey],
        plan: ReleasePlan,
        compute: Callable[[], Any],
        *,
        actor: Actor,
        idempotency_key: str | None = None,
        numeric: Sequence[str] = (),
        categorical: Sequence[str] = (),
    ) -> Release:
        """Charge for a plan, run it, and keep its output: hold, start, compute, spend.

        Args:
            terms: must be those of the accounts in unit, adjacency and lifetime.
            keys: the accounts to debit; the global one of each is debited too.
            plan: everything that is going to be computed, with its cost.
            compute: reads the data and adds the noise; gives plain JSON values. Called once, or not at all.
            actor: who asks.
            idempotency_key: asked again with the same key and plan, the stored release comes back, with no new noise
                and at no cost. None: this call is a release of its own.
            numeric: columns for which the terms must state bounds.
            categorical: columns for which the terms must state categories.

        Returns:
            The release; its output is what is stored, so a replay is identical.

        Raises:
            InvalidInput: the terms lack something, disagree with an account, or the output is not JSON.
            BudgetExhausted: an account does not hold the cost; nothing was touched.
            NotFound: an account does not exist.
            Conflict: the same release is running elsewhere, or was lost in a crash after it had touched data.
        """
        terms.check(numeric=numeric, categorical=categorical)
        wanted = [keys] if isinstance(keys, AccountKey) else list(keys)
        for key in wanted:
            _check_agreement(terms, self.ledger.account(key))
        # What crashed processes still hold is given back just when somebody wants it.
        self.ledger.recover(started_for=LEFT_BEHIND_AFTER)
        charge = self.ledger.hold(
            wanted,
            plan.cost,
            idempotency_key=idempotency_key or uuid.uuid4().hex,
            plan_hash=plan_hash(terms, plan),
            plan={"terms": terms, "plan": plan},
            actor=actor,
        )
        if charge.state is ChargeState.SPENT:
            return self._replay(charge)
        started = self.ledger.start(charge, actor)
        try:
            output = compute()
            card = self._card(terms, plan, started, wanted, output)
            return self.ledger.spend(started, card, output, actor)
        except BaseException:
            # Data may have been touched, so the budget is gone. If even this fails, recovery does the same later.
            with suppress(BailiwickError, SQLAlchemyError):
                self.ledger.forfeit(started, actor)
            raise

    def statistics(self, *, domain: str | None = None) -> list[dict[str, Any]]:
        """Used, held, remaining and entries of every account, or of one domain's; amounts as exact decimals."""
        return [
            account_document(account, balance)
            for account, balance in self.ledger.accounts()
            if domain is None or account.key.domain == domain
        ]

    def describe(self, key: AccountKey) -> dict[str, Any]:
        """One account as JSON values, with the settings that its releases use.

        Raises:
            NotFound: it does not exist.
        """
        document = account_document(self.ledger.account(key), self.ledger.balance(key))
        return {**document, "settings": settings_document(self.settings(key))}

    def _replay(self, charge: Charge) -> Release:
        stored = self.ledger.released(charge)
        if stored is None:
            raise Conflict(
                f"the release {charge.idempotency_key!r} was lost after it had touched data; its budget is spent",
                what="idempotency_key",
                where=charge.id,
                requested=charge.idempotency_key,
                remedy="use a new key to pay for it again",
            )
        return stored

    def _card(
        self, terms: ReleaseTerms, plan: ReleasePlan, charge: Charge, keys: Sequence[AccountKey], output: Any
    ) -> ReportCard:
        assert terms.unit and terms.adjacency and terms.contribution_cap and terms.lifetime  # checked before
        cost = plan.cost
        return ReportCard(
            unit=terms.unit,
            adjacency=terms.adjacency,
            contribution_cap=terms.contribution_cap,
            bounds=terms.bounds,
            categories=terms.categories,
            purpose=plan.purpose,
            mechanisms=plan.mechanisms,
            accounting=plan.accounting,
            epsilon=decimal_text(cost.epsilon_nano, NANO) if cost.epsilon_nano else None,
            delta=decimal_text(cost.delta_atto, ATTO),
            rho=decimal_text(cost.rho_nano, NANO) if cost.rho_nano else None,
            not_protected=plan.not_protected,
            reset_policy=terms.lifetime.words,
            libraries={"bailiwick": __version__, **plan.libraries},
            accounts=tuple(str(key) for key in charge.keys),
            lineages=tuple(sorted({key.lineage for key in keys})),
            domains=tuple(sorted({key.domain for key in keys if key.domain})),
            charge=charge.id,
            plan_hash=charge.plan_hash,
            output_hash=digest(output),
            released_at=self._clock.now(),
        )


def account_document(account: Account, balance: Balance) -> dict[str, Any]:
    """An account with its balance as JSON values; amounts are exact decimals in text."""
    return {
        "account": str(account.key),
        "namespace": account.key.namespace,
        "lineage": account.key.lineage,
        "domain": account.key.domain or None,
        "unit": account.unit.column,
        "adjacency": account.adjacency.value,
        "currency": account.currency.value,
        "reset_policy": account.lifetime.words,
        "created_at": account.created_at.isoformat(),
        "cap": _pair(balance.cap, balance.cap_delta),
        "used": _pair(balance.spent, balance.spent_delta),
        "held": _pair(balance.held, balance.held_delta),
        "remaining": _pair(balance.remaining, balance.remaining_delta),
        "entries": balance.entries,
    }


def _pair(main: int, delta: int) -> dict[str, str]:
    return {"amount": decimal_text(main, NANO), "delta": decimal_text(delta, ATTO)}


def _merged(whole: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The domain's settings over the global ones; bounds and categories column by column."""
    merged = dict(whole)
    for name, value in own.items():
        if name in ("bounds", "categories"):
            merged[name] = {**(whole.get(name) or {}), **value}
        elif value is not None:
            merged[name] = value
    return merged


def _check_agreement(terms: ReleaseTerms, account: Account) -> None:
    pairs = {
        "unit": (terms.unit, account.unit),
        "adjacency": (terms.adjacency, account.adjacency),
        "lifetime": (terms.lifetime, account.lifetime),
    }
    for name, (stated, fixed) in pairs.items():
        if stated != fixed:
            raise InvalidInput(
                f"the release states the {name} {stated!r}, the privacy budget {str(account.key)!r} has {fixed!r}",
                what=name,
                requested=repr(stated),
                allowed=repr(fixed),
                remedy="an account counts one unit, one adjacency and one lifetime only",
            )
