"""Metrics of a version on private rows, in a form that may be published."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from bailiwick.datasets.model import Split
from bailiwick.datasets.units import check_units
from bailiwick.errors import InvalidInput, PolicyDenied
from bailiwick.evaluation.judging import Judged, Subject
from bailiwick.governance.audit import Actor
from bailiwick.privacy.accounts import Account, AccountKey
from bailiwick.privacy.applicability import of_import
from bailiwick.privacy.contributions import BoundedRows, NumericColumn, bound
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.mechanisms.histograms import Histogram
from bailiwick.privacy.mechanisms.means import Mean, share_of
from bailiwick.privacy.mechanisms.model import Calibrated
from bailiwick.privacy.planning import Priced, price
from bailiwick.privacy.quotes import Quote, quote_release
from bailiwick.privacy.releases import Release
from bailiwick.privacy.service import PrivacyService
from bailiwick.privacy.terms import Categories, ColumnBounds, ReleaseTerms

NOT_PROTECTED = (
    "what a model that was not trained here learned from",
    "rows whose true label is not on the public list: they are left out",
)


class PrivateMetric(StrEnum):
    """What may be published of an evaluation."""

    ACCURACY = "accuracy"
    CONFUSION = "confusion"
    TEST_LOSS = "test-loss"
    VALIDATION_LOSS = "validation-loss"
    TRAINING_LOSS = "training-loss"

    @property
    def rows_of(self) -> Split:
        """Whose rows it is measured on. All rows of a unit are in one split, so no unit is in two of them."""
        return _SPLITS.get(self, Split.TEST)


_SPLITS = {PrivateMetric.VALIDATION_LOSS: Split.VALIDATION, PrivateMetric.TRAINING_LOSS: Split.TRAIN}


class Judge(Protocol):
    """Who knows versions and rows: `evaluation.judging.Judging`."""

    def subject(self, version_id: str, dataset: str | None = None) -> Subject:
        """What would be judged. Called before the charge: it must not read a row."""

    def judge(self, subject: Subject, split: Split) -> Judged:
        """All rows of a split with what the version says of them. Called once they are paid for."""

    def record(self, subject: Subject, metrics: Mapping[str, float], actor: Actor) -> None:
        """Add released metrics to those of the version."""


@dataclass(frozen=True, slots=True)
class _Question:
    metric: PrivateMetric
    mechanism: Calibrated
    gather: Callable[[Judged], BoundedRows]


@dataclass(frozen=True, slots=True)
class PlannedMetrics:
    """What would be published: nothing has been read or charged.

    Args:
        subject: the version, and whose rows it is judged on.
        key: the account that pays, with its global one.
        terms: of the account.
        priced: the plan with its price and what noise will do to the answers.
        questions: the metrics as calibrated mechanisms.
    """

    subject: Subject
    key: AccountKey
    terms: ReleaseTerms
    priced: Priced
    questions: tuple[_Question, ...]


class PrivateMetrics:
    """Publishes metrics of a version under differential privacy of everybody whose rows they follow from.

    Those are the units of the judged data set, which are charged for here, and the units that the version was trained
    on. A private training has paid for those already: whatever is done with its model costs nothing more. Any other
    model follows from its training rows without a bound, so that no noise on its metrics would protect them and no
    charge would make it so: where such rows are about persons, the release is refused.

    Args:
        judge: knows the versions and the rows.
        privacy: terms, budgets and releases.
    """

    def __init__(self, judge: Judge, privacy: PrivacyService) -> None:
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
        """Charge for the metrics, compute them on the rows, and keep them with their report card.

        Where there are no rows, the answers are noise. Metrics of a private version are also added to its record, where
        gates find them.

        Args:
            version: to judge.
            metrics: asked together; epsilon is shared equally.
            namespace: of the privacy unit's account: the domain's own if there is one, and the global one always.
            actor: who asks.
            cost: of the whole release; None: the default of the account's settings.
            dataset: id or name; None: what the version was trained on.
            idempotency_key: asked again with the same key, the stored release comes back at no cost.

        Raises:
            NotFound: no such version, data set or account.
            PolicyDenied: the version was trained on rows about persons without differential privacy.
            InvalidInput: differential privacy does not apply, the rows of units depend on each other, or a term is
                missing; nothing was read or charged.
            BudgetExhausted: an account does not hold the cost; nothing was read or charged.
        """
        planned = self.plan(version, metrics, namespace, cost=cost, dataset=dataset)
        subject = planned.subject

        def compute() -> dict[str, Any]:
            splits = sorted({each.metric.rows_of for each in planned.questions})
            judged = {split: self._judge.judge(subject, split) for split in splits}
            return {
                each.metric.value: each.mechanism.release(each.gather(judged[each.metric.rows_of]))
                for each in planned.questions
            }

        found = self._privacy.release(
            planned.terms,
            planned.key,
            planned.priced.plan,
            compute,
            actor=actor,
            idempotency_key=idempotency_key,
            categorical=["label"],
        )
        if subject.private:  # on a replay too: a crash may have come between
            self._judge.record(subject, _recorded(found.output), actor)
        return found

    def plan(
        self,
        version: str,
        metrics: Sequence[PrivateMetric],
        namespace: str,
        *,
        cost: Cost | None = None,
        dataset: str | None = None,
    ) -> PlannedMetrics:
        """What the metrics would cost and how exact they would be. Reads no row and charges nothing.

        Args:
            version: see `release`, like the other arguments.
            metrics: see `release`.
            namespace: see `release`.
            cost: see `release`.
            dataset: see `release`.

        Raises:
            NotFound, PolicyDenied, InvalidInput: see `release`.
        """
        subject = self._judge.subject(version, dataset)
        snapshot, domain = subject.snapshot, subject.version.domain
        applies = of_import(snapshot.source, snapshot.findings.unit_column)
        if not applies.applies:
            raise InvalidInput(applies.words, what="unit", where=snapshot.id, remedy=applies.remedy or None)
        self._check_learned(subject)
        _check_own(subject, metrics)
        account = self._account(AccountKey(namespace, snapshot.name, domain))
        key = account.key
        check_units(snapshot, account.unit)
        terms = self._privacy.terms(key)
        labels = len(subject.version.card.get("labels", ()))
        asked = questions(metrics, terms, cost or self._privacy.default_cost(key), most_loss=most_loss(labels))
        splits = sorted({each.metric.rows_of for each in asked})
        priced = price(
            # Not the data set's id: it carries the hash of the rows.
            f"{', '.join(metrics)} of version {version} on the {' and '.join(splits)} rows of data set {snapshot.name}",
            [question.mechanism for question in asked],
            currency=account.currency,
            not_protected=NOT_PROTECTED,
        )
        return PlannedMetrics(subject, key, terms, priced, asked)

    def quote(
        self,
        version: str,
        metrics: Sequence[PrivateMetric],
        namespace: str,
        *,
        cost: Cost | None = None,
        dataset: str | None = None,
    ) -> Quote:
        """What the metrics would cost, who would pay, and what would be left; see `plan`."""
        planned = self.plan(version, metrics, namespace, cost=cost, dataset=dataset)
        keys = [planned.key]
        return quote_release(planned.subject.snapshot.id, keys, planned.priced, self._privacy.funds(keys))

    def _check_learned(self, subject: Subject) -> None:
        """Refuse a version that follows, unbounded, from rows that somebody's budget or unit column protects."""
        budgeted = {account.key.lineage for account, _ in self._privacy.ledger.accounts()}
        exposed = sorted(
            {each.name for each in subject.learned if each.findings.unit_column is not None or each.name in budgeted}
        )
        if exposed:
            raise PolicyDenied(
                f"version {subject.version.id!r} learned from {', '.join(exposed)} without differential privacy: its "
                "metrics would give those rows away whatever noise they get",
                what="version",
                where=subject.version.id,
                requested=exposed,
                remedy="train a version with --private, or keep its metrics inside",
            )

    def _account(self, own: AccountKey) -> Account:
        """The domain's account of the data set, or else its global one, as for training."""
        found = {account.key: account for account, _ in self._privacy.ledger.accounts()}
        return found.get(own) or found.get(own.whole) or self._privacy.ledger.account(own.whole)


def most_loss(labels: int) -> float:
    """The most that the loss of one row counts, in nats: twice that of a guess among the labels. Public.

    >>> round(most_loss(4), 4)
    2.7726
    """
    return round(2 * math.log(max(labels, 2)), 4)


def _check_own(subject: Subject, metrics: Sequence[PrivateMetric]) -> None:
    of_training = [metric for metric in metrics if metric.rows_of is not Split.TEST]
    if of_training and not subject.own:
        raise InvalidInput(
            f"{of_training[0]} belongs to the data set that the version was trained on",
            what="dataset",
            requested=subject.snapshot.name,
            remedy="leave out the data set",
        )


def _recorded(output: Mapping[str, Any]) -> dict[str, float]:
    """Released answers under the names of `evaluation.model.METRICS`."""
    found = {
        metric.value.replace("-", "_"): float(output[metric.value]["mean"])
        for metric in PrivateMetric
        if metric is not PrivateMetric.CONFUSION and metric.value in output
    }
    if PrivateMetric.ACCURACY.value in output:
        found["test_examples"] = float(output[PrivateMetric.ACCURACY.value]["count"])
    return found


def questions(
    metrics: Sequence[PrivateMetric], terms: ReleaseTerms, cost: Cost, *, most_loss: float
) -> tuple[_Question, ...]:
    """The metrics as calibrated mechanisms.

    Args:
        metrics: each once.
        terms: of the account.
        cost: of all of them together.
        most_loss: what the loss of a row is clamped to, in nats.

    Raises:
        InvalidInput: none or one twice; no categories for ``label``.
    """
    if not metrics or len(set(metrics)) != len(metrics):
        raise InvalidInput("name each metric once", what="metrics", requested=list(metrics))
    terms.check(categorical=["label"])
    each = share_of(cost.epsilon, len(metrics))
    builders = {PrivateMetric.ACCURACY: _accuracy, PrivateMetric.CONFUSION: _confusion}
    return tuple(
        builders[metric](terms, each) if metric in builders else _loss(metric, terms, each, most_loss)
        for metric in metrics
    )


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


def _loss(metric: PrivateMetric, terms: ReleaseTerms, epsilon: float, most: float) -> _Question:
    ranged = replace(terms, bounds={"loss": ColumnBounds(0, most)}, categories={"truth": terms.categories["label"]})
    column = NumericColumn.of(ranged, "loss", decimals=4)

    def gather(judged: Judged) -> BoundedRows:
        return bound(ranged, _units(judged), categorical={"truth": _truth(judged)}, numeric={column: judged.losses})

    return _Question(metric, Mean(ranged, column, epsilon), gather)


def _units(judged: Judged) -> list[str | None]:
    return [row.unit for row in judged.rows]


def _truth(judged: Judged) -> list[str]:
    return [row.label for row in judged.rows]
