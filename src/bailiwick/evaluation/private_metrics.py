"""Metrics of a version on private test rows, in a form that may be published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from bailiwick.datasets.model import Dataset, Row
from bailiwick.datasets.units import check_units
from bailiwick.errors import InvalidInput
from bailiwick.governance.audit import Actor
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.applicability import of_rows
from bailiwick.privacy.contributions import BoundedRows, NumericColumn, bound
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.mechanisms.histograms import Histogram
from bailiwick.privacy.mechanisms.means import Mean, share_of
from bailiwick.privacy.mechanisms.model import Calibrated
from bailiwick.privacy.planning import Priced, price
from bailiwick.privacy.releases import Release
from bailiwick.privacy.service import PrivacyService
from bailiwick.privacy.terms import Categories, ColumnBounds, ReleaseTerms

NOT_PROTECTED = (
    "the model, and through it whatever it learned from: unless it was trained with differential privacy, its training "
    "rows are not protected by this release",
    "rows whose true label is not on the public list: they are left out",
)


class PrivateMetric(StrEnum):
    """What may be published of an evaluation."""

    ACCURACY = "accuracy"
    CONFUSION = "confusion"


@dataclass(frozen=True, slots=True)
class Judged:
    """Test rows with what a version says of them, in the same order."""

    snapshot: Dataset
    domain: str
    rows: Sequence[Row]
    predicted: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Question:
    metric: PrivateMetric
    mechanism: Calibrated
    gather: Callable[[Judged], BoundedRows]


class PrivateMetrics:
    """Publishes the accuracy and the confusion of a version under differential privacy of the test rows.

    Args:
        judge: from a version and a data set (None: that of its training) to its judged test rows. Called before the
            charge. Its answers stay inside until they are paid; that no row has a unit is said before.
        privacy: terms, budgets and releases.
    """

    def __init__(self, judge: Callable[[str, str | None], Judged], privacy: PrivacyService) -> None:
        self._judge = judge
        self._privacy = privacy

    def release(
        self,
        version: str,
        metrics: Sequence[PrivateMetric],
        namespace: str,
        *,
        actor: Actor,
        cost: Cost | None = None,
        dataset: str | None = None,
        idempotency_key: str | None = None,
    ) -> Release:
        """Charge for the metrics, compute them on the test rows, and keep them with their report card.

        Args:
            version: to judge.
            metrics: asked together; epsilon is shared equally.
            namespace: of the privacy unit's account.
            actor: who asks.
            cost: of the whole release; None: the level of the account's settings.
            dataset: id or name; None: what the version was trained on.
            idempotency_key: asked again with the same key, the stored release comes back at no cost.

        Raises:
            NotFound: no such version, data set or account.
            InvalidInput: differential privacy does not apply, the rows of units depend on each other, or a term is
                missing; nothing was charged.
            BudgetExhausted: an account does not hold the cost; nothing was charged.
        """
        judged = self._judge(version, dataset)
        applies = of_rows(judged.snapshot.source, sum(row.unit is not None for row in judged.rows))
        if not applies.applies:
            raise InvalidInput(applies.words, what="unit", where=judged.snapshot.id)
        key = AccountKey(namespace, judged.snapshot.name, judged.domain)
        account = self._privacy.ledger.account(key)
        check_units(judged.snapshot, account.unit)
        terms = self._privacy.terms(key)
        asked = questions(metrics, terms, cost or self._level(key))
        purpose = f"{', '.join(metrics)} of version {version} on the test rows of data set {judged.snapshot.id}"
        priced: Priced = price(
            purpose,
            [question.mechanism for question in asked],
            currency=account.currency,
            not_protected=NOT_PROTECTED,
        )

        def compute() -> dict[str, Any]:
            return {each.metric.value: each.mechanism.release(each.gather(judged)) for each in asked}

        return self._privacy.release(
            terms, key, priced.plan, compute, actor=actor, idempotency_key=idempotency_key, categorical=["label"]
        )

    def _level(self, key: AccountKey) -> Cost:
        level = self._privacy.settings(key).level
        if level is None:
            raise InvalidInput("no epsilon is stated for the release", what="epsilon", remedy="state one, or a level")
        return level.cost


def questions(metrics: Sequence[PrivateMetric], terms: ReleaseTerms, cost: Cost) -> tuple[_Question, ...]:
    """The metrics as calibrated mechanisms.

    Raises:
        InvalidInput: none or one twice; no categories for ``label``.
    """
    if not metrics or len(set(metrics)) != len(metrics):
        raise InvalidInput("name each metric once", what="metrics", requested=list(metrics))
    terms.check(categorical=["label"])
    each = share_of(cost.epsilon, len(metrics))
    builders = {PrivateMetric.ACCURACY: _accuracy, PrivateMetric.CONFUSION: _confusion}
    return tuple(builders[metric](terms, each) for metric in metrics)


def _accuracy(terms: ReleaseTerms, epsilon: float) -> _Question:
    ranged = replace(terms, bounds={"correct": ColumnBounds(0, 1)}, categories={"truth": terms.categories["label"]})
    # Decimals let the middle of the bounds lie between 0 and 1, which halves the noise.
    column = NumericColumn.of(ranged, "correct", decimals=4)

    def gather(judged: Judged) -> BoundedRows:
        right = [row.label == predicted for row, predicted in zip(judged.rows, judged.predicted, strict=True)]
        return bound(ranged, _units(judged), categorical={"truth": _truth(judged)}, numeric={column: right})

    return _Question(PrivateMetric.ACCURACY, Mean(ranged, column, epsilon), gather)


def _confusion(terms: ReleaseTerms, epsilon: float) -> _Question:
    labels = terms.categories["label"]
    # What the model may say beside the listed labels is one category, so that no test row is lost for it.
    said = Categories((*labels.values, "(another label)"))
    paired = replace(terms, bounds={}, categories={"truth": labels, "predicted": said})

    def gather(judged: Judged) -> BoundedRows:
        known = set(labels.values)
        predicted = [label if label in known else "(another label)" for label in judged.predicted]
        return bound(paired, _units(judged), categorical={"truth": _truth(judged), "predicted": predicted})

    return _Question(PrivateMetric.CONFUSION, Histogram(paired, ("truth", "predicted"), epsilon), gather)


def _units(judged: Judged) -> list[str | None]:
    return [row.unit for row in judged.rows]


def _truth(judged: Judged) -> list[str]:
    return [row.label for row in judged.rows]
