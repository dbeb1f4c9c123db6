"""Private releases: nothing is computed before its whole cost is booked, and what was released is never drawn again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from bailiwick.clock import Clock
from bailiwick.errors import BailiwickError, Conflict, InvalidInput
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.privacy.accounts import Account, AccountKey, Balance
from bailiwick.privacy.agreement import check_account, check_settings
from bailiwick.privacy.amounts import Amount
from bailiwick.privacy.cards import report_card
from bailiwick.privacy.costs import Cost, Currency
from bailiwick.privacy.documents import account_document, merged, parse_settings, settings_document, terms_of
from bailiwick.privacy.ledger import Ledger
from bailiwick.privacy.posting import locked
from bailiwick.privacy.recovery import LEFT_BEHIND_AFTER
from bailiwick.privacy.refusals import settings_fixed
from bailiwick.privacy.releases import Charge, ChargeState, Release, ReleasePlan, plan_hash
from bailiwick.privacy.store import account_rows, release_rows
from bailiwick.privacy.store.tables import privacy_terms
from bailiwick.privacy.terms import Adjacency, Lifetime, PrivacySettings, PrivacyUnit, ReleaseTerms
from bailiwick.storage.database import Database


class PrivacyService:
    """Budgets, their settings, and releases that are charged to them.

    Args:
        database: holds all of it.
        audit: gets an entry per change.
        clock: dates them.
        contents_of: from the name of a data set to hashes of what its versions hold, so that a content has one budget
            under whatever name. None: no data sets are known, and budgets are told apart by name alone.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        contents_of: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        self._contents_of = contents_of or (lambda _lineage: ())
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
            settings: what its releases use.

        Raises:
            InvalidInput: no column, no cap, or a value that cannot be accepted.
            Conflict: the account exists, or another one has the data set or its content.
            NotFound: a domain's account without its global one.
        """
        if settings is not None:
            parse_settings(settings_document(settings))  # before there is an account that would be left without them
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
        self._claim_for_the_oldest(actor)
        account = self.ledger.open(
            Account(key, unit, adjacency or Adjacency.ADD_REMOVE, currency, cap, lifetime, now),
            actor,
            contents=self._contents_of(key.lineage),
        )
        if settings is not None and settings != PrivacySettings():
            self.set_settings(key, settings, actor)
        return account

    def settings(self, key: AccountKey) -> PrivacySettings:
        """What an account's releases use: the domain's own settings over the global ones."""
        with self._database.read() as connection:
            whole, own = release_rows.terms(connection, key.whole), release_rows.terms(connection, key)
        return parse_settings(merged(whole or {}, own or {}))

    def own_settings(self, key: AccountKey) -> PrivacySettings:
        """What was set for the account itself."""
        with self._database.read() as connection:
            return parse_settings(release_rows.terms(connection, key) or {})

    def set_settings(self, key: AccountKey, settings: PrivacySettings, actor: Actor) -> PrivacySettings:
        """Replace an account's own settings. Once it was charged, only what a release costs can be changed.

        Raises:
            NotFound: the account does not exist.
            Conflict: the account was charged, and contribution cap, bounds or categories would be others.
            InvalidInput: a value that cannot be accepted, or both a level and a price.
        """
        after = settings_document(settings)
        parse_settings(after)
        with self._database.write() as connection:
            locked(connection, [key])  # no charge can begin before the unit ends
            before = release_rows.terms(connection, key)
            if terms_of(after) != terms_of(before or {}) and account_rows.was_charged(connection, key):
                raise settings_fixed(key)
            row = release_rows.terms_row(key, after, self._clock.now())
            self._database.upsert(connection, privacy_terms, [row])
            subject = f"privacy_account:{key}"[:300]
            self._audit.record(connection, actor, "privacy_settings.set", subject, before=before, after=after)
        return settings

    def default_cost(self, key: AccountKey) -> Cost:
        """What a release from this account costs that names neither an epsilon nor a level.

        Raises:
            InvalidInput: nothing is set for the account.
        """
        found = self.settings(key).default_cost
        if found is None:
            raise InvalidInput(
                "no epsilon is stated for the release",
                what="epsilon",
                where=str(key),
                remedy="state an epsilon or a level, or set a default for the budget",
            )
        return found

    def funds(self, keys: Sequence[AccountKey]) -> list[Balance]:
        """The balances of all accounts that a release from these would debit, as it would find them now.

        Raises:
            NotFound: an account does not exist.
        """
        debited = sorted({each for key in keys for each in (key, key.whole)})
        return self.ledger.funds(debited, self._clock.now())

    def terms(self, key: AccountKey) -> ReleaseTerms:
        """The terms that a release from this account has.

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
        begun: Callable[[Charge], object] | None = None,
    ) -> Release:
        """Charge for a plan, run it, and keep its output: hold, start, compute, spend.

        Args:
            terms: must be those of the accounts in unit, adjacency and lifetime, and of the first one's settings in
                everything that those state.
            keys: the accounts to debit; the global one of each is debited too.
            plan: everything that is going to be computed, with its cost.
            compute: reads the data and adds the noise; gives plain JSON values. Called once, or not at all.
            actor: who asks.
            idempotency_key: asked again with the same key and plan, the stored release comes back, with no new noise
                and at no cost. None: this call is a release of its own.
            numeric: columns for which the terms must state bounds.
            categorical: columns for which the terms must state categories.
            begun: told of the charge just before ``compute``, so that what is computed can name it.

        Returns:
            The release; its output is what is stored, so a replay is identical.

        Raises:
            InvalidInput: the terms lack something, disagree with an account, or the output is not JSON.
            BudgetExhausted: an account does not hold the cost; nothing was touched.
            NotFound: an account does not exist.
            Conflict: the same release is running elsewhere, or was lost in a crash after it had touched data; or
                another account has the data set or its content.
        """
        terms.check(numeric=numeric, categorical=categorical)
        wanted = [keys] if isinstance(keys, AccountKey) else list(keys)
        accounts = self.ledger.accounts_of(sorted({each for key in wanted for each in (key, key.whole)}))
        for key in wanted:
            check_account(terms, accounts[key])
        check_settings(terms, self.settings(wanted[0]))
        # What crashed processes still hold is given back just when somebody wants it.
        self.recover()
        contents = {key.whole: self._contents_of(key.lineage) for key in wanted}
        if self.ledger.unclaimed({each for found in contents.values() for each in found}):
            self._claim_for_the_oldest(actor)
        charge = self.ledger.hold(
            wanted,
            plan.cost,
            idempotency_key=idempotency_key or uuid.uuid4().hex,
            plan_hash=plan_hash(terms, plan),
            plan={"terms": terms, "plan": plan},
            actor=actor,
            contents=contents,
        )
        if charge.state is ChargeState.SPENT:
            return self._replay(charge)
        try:
            check_settings(terms, self.settings(wanted[0]))  # from the hold on they cannot change any more
        except InvalidInput:
            self.ledger.refund(charge, actor)
            raise
        started = self.ledger.start(charge, actor)
        try:
            if begun is not None:
                begun(started)
            output = compute()
            card = report_card(terms, plan, started, wanted, list(accounts.values()), output, self._clock.now())
            return self.ledger.spend(started, card, output, actor)
        except BaseException:
            # Data may have been touched, so the budget is gone. If even this fails, recovery does the same later.
            with suppress(BailiwickError, SQLAlchemyError):
                self.ledger.forfeit(started, actor)
            raise

    def recover(self) -> list[Charge]:
        """Finish what crashed processes left behind, see `Ledger.recover`; running ones are left alone."""
        return self.ledger.recover(started_for=LEFT_BEHIND_AFTER)

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

    def _claim_for_the_oldest(self, actor: Actor) -> None:
        """Give every account the contents that came after it was opened, before a new one may ask for them."""
        whole = [account for account, _ in self.ledger.accounts() if not account.key.domain]
        for account in sorted(whole, key=lambda each: (each.created_at, each.key)):
            contents = self._contents_of(account.key.lineage)
            if contents:
                self.ledger.claim_free(account.key, contents, actor)

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
