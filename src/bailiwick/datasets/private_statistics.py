"""Statistics of training data that may be published: priced before, charged to the ledger, released with a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bailiwick.datasets.model import Dataset, Row
from bailiwick.datasets.private_questions import Question, Settings, Statistic, not_protected, questions
from bailiwick.datasets.service import DatasetService
from bailiwick.datasets.units import check_units
from bailiwick.errors import InvalidInput
from bailiwick.governance.audit import Actor
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.applicability import Applicability, of_import
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.planning import Priced, price
from bailiwick.privacy.quotes import Quote, quote_release
from bailiwick.privacy.releases import Release
from bailiwick.privacy.service import PrivacyService
from bailiwick.privacy.terms import ReleaseTerms

USUAL = Settings()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for statistics.

    Args:
        dataset: id or name; the budget is that of its name, whatever the version.
        statistics: asked together, in one release.
        namespace: of the privacy unit's account.
        domain: only rows of this domain, charged to its account too; None: all rows, charged to every domain's account
            that there is.
        cost: epsilon and delta of the whole release; None: the default of the account's settings.
        settings: public choices beside the terms.
    """

    dataset: str
    statistics: tuple[Statistic, ...]
    namespace: str
    domain: str | None = None
    cost: Cost | None = None
    settings: Settings = USUAL


@dataclass(frozen=True, slots=True)
class Planned:
    """What would be released: nothing has been read or charged."""

    dataset: str
    terms: ReleaseTerms
    keys: tuple[AccountKey, ...]
    questions: tuple[Question, ...]
    priced: Priced


class PrivateStatistics:
    """Answers questions about data sets under differential privacy.

    Args:
        datasets: where rows come from.
        privacy: terms, budgets and releases.
    """

    def __init__(self, datasets: DatasetService, privacy: PrivacyService) -> None:
        self._datasets = datasets
        self._privacy = privacy

    def applicability(self, dataset: str) -> Applicability:
        """Whether the data set has a person-level unit, by what was stated at its import: no row is read.

        Raises:
            NotFound: no such data set.
        """
        snapshot = self._datasets.get(dataset)
        return of_import(snapshot.source, snapshot.findings.unit_column)

    def plan(self, asked: Asked) -> Planned:
        """What the statistics would cost and how exact they would be. Reads no row and charges nothing.

        Raises:
            NotFound: no such data set, or no budget for it.
            InvalidInput: differential privacy does not apply, the rows of units depend on each other, or the terms lack
                something.
        """
        snapshot = self._datasets.get(asked.dataset)
        self._check_applies(snapshot)
        own = AccountKey(asked.namespace, snapshot.name, asked.domain or "")
        account = self._privacy.ledger.account(own)
        check_units(snapshot, account.unit)
        terms = self._privacy.terms(own)
        found = questions(asked.statistics, terms, asked.cost or self._privacy.default_cost(own), asked.settings)
        priced = price(
            _purpose(asked, snapshot),
            [question.mechanism for question in found],
            currency=account.currency,
            not_protected=not_protected(asked.statistics, terms),
        )
        return Planned(snapshot.id, terms, self._keys(own), found, priced)

    def quote(self, asked: Asked) -> Quote:
        """What the statistics would cost, who would pay, and what would be left; see `plan`."""
        planned = self.plan(asked)
        return quote_release(planned.dataset, planned.keys, planned.priced, self._privacy.funds(planned.keys))

    def release(self, asked: Asked, *, actor: Actor, idempotency_key: str | None = None) -> Release:
        """Charge for the statistics, compute them, and keep them with their report card.

        Nothing depends on the rows before they are paid for: where none match, the answer is noise around zero.

        Args:
            asked: what for.
            actor: who asks.
            idempotency_key: asked again with the same key, the stored release comes back at no cost.

        Raises:
            NotFound: as `plan`.
            InvalidInput: as `plan`; nothing was charged.
            BudgetExhausted: an account does not hold the cost; nothing was read or charged.
            Conflict: the same release is running elsewhere, or was lost in a crash.
        """
        planned = self.plan(asked)

        def compute() -> dict[str, Any]:
            rows: Sequence[Row] = self._datasets.rows(planned.dataset, domain=asked.domain)
            return {each.statistic.value: each.mechanism.release(each.gather(rows)) for each in planned.questions}

        return self._privacy.release(
            planned.terms,
            planned.keys,
            planned.priced.plan,
            compute,
            actor=actor,
            idempotency_key=idempotency_key,
            numeric=sorted({column for each in planned.questions for column in each.numeric}),
            categorical=sorted({column for each in planned.questions for column in each.categorical}),
        )

    def _check_applies(self, snapshot: Dataset) -> None:
        found = self.applicability(snapshot.id)
        if not found.applies:
            raise InvalidInput(
                found.words,
                what="unit",
                where=snapshot.id,
                requested="a private release",
                remedy=found.remedy or None,
            )

    def _keys(self, own: AccountKey) -> tuple[AccountKey, ...]:
        if own.domain:
            return (own,)
        # Rows of every domain are read, so every domain's own budget pays as well.
        parts = [account.key for account, _ in self._privacy.ledger.accounts() if account.key.whole == own]
        return tuple(sorted({own, *parts}))


def _purpose(asked: Asked, snapshot: Dataset) -> str:
    rows = f"the rows of domain {asked.domain}" if asked.domain else "all rows"
    rows += " that name a unit"
    names = ", ".join(statistic.value for statistic in asked.statistics)
    # Not its id: that carries the hash of the rows, which whoever knows all rows but one could check a guess against.
    return f"{names} over {rows} of data set {snapshot.name}"
