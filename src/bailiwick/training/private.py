"""Training under differential privacy: the whole plan is charged before a row is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from bailiwick.datasets.model import Dataset, Split
from bailiwick.datasets.service import DatasetService
from bailiwick.datasets.units import check_units
from bailiwick.errors import InvalidInput, NotFound
from bailiwick.governance.audit import Actor
from bailiwick.models.ports import FittedModel, PrivateModelFamily
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.amounts import Amount
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.quotes import Quote, quote_training
from bailiwick.privacy.releases import Charge, MechanismUse, ReleasePlan
from bailiwick.privacy.service import PrivacyService
from bailiwick.privacy.terms import Adjacency, ReleaseTerms
from bailiwick.privacy.training import ACCOUNTING, PrivateTrainingPlan, epsilon
from bailiwick.privacy.training_noise import require_noise
from bailiwick.training.model import TrainingRun
from bailiwick.training.service import TrainingService

NOT_PROTECTED = (
    "the label set, the contribution cap and the privacy unit, which are public terms",
    "the record of the data set, which stays inside: its hash and its row counts",
    "settings that were chosen by looking at the rows, and which version was kept for it",
    "live queries, feedback on answers, and metrics made of them",
    "how long the training took",
)

USUAL = Cost.of("1.0", "1e-5")
"""What a training costs where neither the request nor the account's settings say it."""

Settings = Mapping[str, float | int | str | bool]


@dataclass(frozen=True, slots=True)
class PrivateTrainingTerms:
    """What a private training is going to do and cost, before it does it.

    Args:
        snapshot: what it would learn from, as it was checked: a version that is imported meanwhile is not taken.
        key: the account to debit; the global one of its lineage is debited too.
        terms: of the account.
        labels: that the model will know.
        plan: of the training.
        release: what is charged for.
    """

    snapshot: Dataset
    key: AccountKey
    terms: ReleaseTerms
    labels: tuple[str, ...]
    plan: PrivateTrainingPlan
    release: ReleasePlan


class PrivateTrainingService:
    """Trains private versions.

    Args:
        training: keeps the runs.
        datasets: where examples come from.
        privacy: the budgets.
        family_of: the private family of a name.
    """

    def __init__(
        self,
        training: TrainingService,
        datasets: DatasetService,
        privacy: PrivacyService,
        family_of: Callable[[str], PrivateModelFamily],
    ) -> None:
        self._training = training
        self._datasets = datasets
        self._privacy = privacy
        self._family_of = family_of

    def plan(
        self,
        domain: str,
        dataset: str,
        *,
        epsilon: Amount | None = None,
        delta: Amount | None = None,
        family: str = "private-linear-text",
        settings: Settings | None = None,
        namespace: str | None = None,
    ) -> PrivateTrainingTerms:
        """What a training would do and cost. Reads no row.

        Args:
            domain: whose model it is.
            dataset: id, or name for its newest; its name is the lineage that budgets belong to.
            epsilon: what it may cost; None: the default of the account's settings, or else that of `USUAL`.
            delta: see `PrivateTrainingPlan`; None: the default's, if epsilon is its too and it has one, else `USUAL`'s.
            family: of the model.
            settings: hyper-parameters of the family.
            namespace: of the account; needed only where the lineage has several.

        Raises:
            NotFound: no such domain or data set, or no account for its lineage.
            InvalidInput: the terms lack the cap or the labels, or the data set cannot carry the promise.
            Unavailable: a package that draws noise or accounts for it is not installed.
        """
        snapshot = self._training.snapshot(domain, dataset)
        key = self._account(snapshot, domain, namespace)
        terms = self._privacy.terms(key)
        terms.check(categorical=["label"])
        _check_dataset(snapshot, terms)
        assert terms.contribution_cap is not None
        cost = _cost(epsilon, delta, self._privacy.settings(key).default_cost)
        chosen = self._family_of(family)
        require_noise()
        plan = chosen.plan(cost.epsilon, cost.delta, terms.contribution_cap, settings)
        return PrivateTrainingTerms(
            snapshot, key, terms, terms.categories["label"].values, plan, _release_plan(domain, chosen, plan, cost)
        )

    def quote(
        self,
        domain: str,
        dataset: str,
        *,
        epsilon: Amount | None = None,
        delta: Amount | None = None,
        family: str = "private-linear-text",
        settings: Settings | None = None,
        namespace: str | None = None,
    ) -> Quote:
        """What a training would cost, who would pay, and what would be left; see `plan`."""
        planned = self.plan(
            domain, dataset, epsilon=epsilon, delta=delta, family=family, settings=settings, namespace=namespace
        )
        funds = self._privacy.funds([planned.key])
        return quote_training(planned.snapshot.id, planned.key, planned.release, planned.plan, funds)

    def train(
        self,
        domain: str,
        dataset: str,
        *,
        actor: Actor,
        epsilon: Amount | None = None,
        delta: Amount | None = None,
        family: str = "private-linear-text",
        settings: Settings | None = None,
        namespace: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> TrainingRun:
        """Charge for a training and do it.

        It learns from the training rows of the domain. Validation rows are not used: nothing stops early and nothing is
        calibrated, because that would look at people again. There is no seed: chance that can be replayed protects
        nobody.

        Args:
            domain: see `plan`, like the other arguments.
            dataset: see `plan`.
            actor: who trains.
            epsilon: see `plan`.
            delta: see `plan`.
            family: see `plan`.
            settings: see `plan`.
            namespace: see `plan`.
            progress: called with steps done and steps in all.

        Returns:
            The run, which succeeded.

        Raises:
            BudgetExhausted: an account does not hold the cost; nothing was read or charged.
            NotFound, InvalidInput, Unavailable: see `plan`.
        """
        terms = self.plan(
            domain, dataset, epsilon=epsilon, delta=delta, family=family, settings=settings, namespace=namespace
        )
        snapshot = terms.snapshot
        chosen = self._family_of(family)
        cost = terms.release.cost
        recorded = {**(settings or {}), "epsilon": cost.epsilon, "delta": cost.delta}
        charges: list[Charge] = []
        learned: list[tuple[TrainingRun, FittedModel]] = []
        begun = time.process_time()
        with ExitStack() as on_record:

            def learn() -> dict[str, Any]:
                # Only now is it paid for: a refused training leaves no run behind.
                run = on_record.enter_context(
                    self._training.running(domain, snapshot, family, actor=actor, seed=0, settings=recorded)
                )
                model = chosen.train_privately(
                    self._datasets.examples(snapshot.id, Split.TRAIN, domain),
                    terms.labels,
                    terms.plan,
                    settings=settings,
                    privacy=_privacy_record(terms, chosen, charges[0]),
                    progress=(lambda step: progress(step, terms.plan.steps)) if progress else None,
                )
                learned.append((run, model))
                return {"training_run": run.id, "domain": domain, "family": family}

            self._privacy.release(
                terms.terms,
                terms.key,
                terms.release,
                learn,
                actor=actor,
                categorical=["label"],
                begun=charges.append,
            )
            run, model = learned[0]
            return self._training.finish(run, actor, model, (), time.process_time() - begun)

    def _account(self, snapshot: Dataset, domain: str, namespace: str | None) -> AccountKey:
        """The domain's account of the lineage, or else its global one."""
        found = [
            account.key
            for account, _ in self._privacy.ledger.accounts()
            if account.key.lineage == snapshot.name
            and account.key.domain in ("", domain)
            and namespace in (None, account.key.namespace)
        ]
        namespaces = sorted({key.namespace for key in found})
        if not namespaces:
            raise NotFound(
                f"no privacy budget for the data set {snapshot.name!r}",
                what="privacy_account",
                requested=snapshot.name,
                remedy="open one first, see `bailiwick privacy budget --help`",
            )
        if len(namespaces) > 1:
            raise InvalidInput(
                f"the data set {snapshot.name!r} has privacy budgets in several namespaces",
                what="namespace",
                allowed=namespaces,
                remedy="name one",
            )
        return max(found)


def _cost(epsilon: Amount | None, delta: Amount | None, default: Cost | None) -> Cost:
    """What a training costs: as stated, else as set for the account, else as usual. Its noise always needs a delta."""
    chosen = (default or USUAL) if epsilon is None else Cost.of(epsilon)
    by_default = chosen.delta_atto or USUAL.delta_atto
    return Cost(chosen.epsilon_nano, by_default if delta is None else Cost.of(1, delta).delta_atto)


def _check_dataset(snapshot: Dataset, terms: ReleaseTerms) -> None:
    """Refuse a data set that cannot carry the promise. That it has no rows of the domain is private, and no refusal."""
    assert terms.unit is not None
    if terms.adjacency is not Adjacency.ADD_REMOVE:
        raise InvalidInput(
            "private training protects against adding or removing a unit",
            what="adjacency",
            requested=terms.adjacency.value if terms.adjacency else None,
            allowed=Adjacency.ADD_REMOVE.value,
        )
    check_units(snapshot, terms.unit)


def _release_plan(domain: str, family: PrivateModelFamily, plan: PrivateTrainingPlan, cost: Cost) -> ReleasePlan:
    spent = epsilon(plan)
    if spent > cost.epsilon:  # calibration promises the contrary; a family's own plan is not trusted
        raise InvalidInput(f"the plan costs epsilon {spent:g}, not {cost.epsilon:g}", what="plan", requested=spent)
    parameters = {"sample_rate": plan.sample_rate, "noise_multiplier": plan.noise_multiplier, "clip": plan.clip}
    uses = [
        MechanismUse(
            "Poisson-sampled discrete Gaussian on clipped gradient sums",
            parameters,
            plan.steps,
            "Rényi divergence of order a per step, without sampling: a / (2 noise_multiplier^2)",
        )
    ]
    if plan.batch_divisor is None:
        uses.append(MechanismUse("discrete Gaussian on the count of units", {"scale": plan.count_noise}))
    return ReleasePlan(
        purpose=f"a model of the domain {domain}, family {family.name}",
        mechanisms=tuple(uses),
        accounting=ACCOUNTING,
        cost=cost,
        not_protected=NOT_PROTECTED,
        libraries={name: version(name) for name in ("opendp", "dp-accounting")},
    )


def _privacy_record(terms: PrivateTrainingTerms, family: PrivateModelFamily, charge: Charge) -> dict[str, Any]:
    """What the version's card says. Numbers as text are exact."""
    unit, cost = terms.terms.unit, terms.release.cost
    assert unit is not None and terms.terms.adjacency is not None and terms.terms.lifetime is not None
    return {
        "unit": unit.column,
        "namespace": unit.namespace,
        "adjacency": terms.terms.adjacency.value,
        "contribution_cap": terms.plan.contribution_cap,
        "epsilon": cost.epsilon,
        "delta": cost.delta,
        "method": family.method,
        "accounting": ACCOUNTING,
        "plan": asdict(terms.plan),
        "account": str(terms.key),
        "release": charge.id,
        "reset_policy": terms.terms.lifetime.words,
        "not_protected": list(NOT_PROTECTED),
        "libraries": dict(terms.release.libraries),
    }
