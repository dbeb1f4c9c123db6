"""The whole way of a release under attack: two imports that differ in one unit, budgets, ledger and stored outputs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from learning_examples import ADA, Learning, examples, write_csv
from private_rows import UNIT, import_units, open_budget

from bailiwick.clock import VirtualClock
from bailiwick.datasets import private_questions
from bailiwick.datasets.private_questions import Statistic
from bailiwick.datasets.private_statistics import Asked, PrivateStatistics
from bailiwick.models.model import LabelledText
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.audit.end_to_end import audit_releases
from bailiwick.privacy.contributions import BoundedRows, bound
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.service import PrivacyService
from bailiwick.privacy.terms import ReleaseTerms

pytest.importorskip("opendp")

CLAIM = 1.0
CAP = 3
ROWS_OF_ZED = 60
"""Twenty times the cap: what a forgotten cap lets through cannot be overlooked."""

Release = Callable[[], str]
Answers = Mapping[str, Mapping[str, Any]]
BOTH = (Statistic.ROWS, Statistic.LABELS)


class Neighbours:
    """The data sets ``without`` and ``with``, which has the 60 rows of the unit ``zed`` too; each with its budget."""

    def __init__(self, learning: Learning, privacy: PrivacyService) -> None:
        self.privacy = privacy
        self.statistics = PrivateStatistics(learning.datasets, privacy)
        common = examples(40)
        zed = [LabelledText(f"{each.text} {n}", "block_card", "zed") for n, each in enumerate(examples(ROWS_OF_ZED, 1))]
        for name, made in {"without": common, "with": [*common, *zed]}.items():
            import_units(learning.datasets, write_csv(learning.folder / f"{name}.csv", made))
            key = open_budget(privacy, name)
            privacy.set_settings(key, replace(privacy.own_settings(key), contribution_cap=CAP), ADA)
        self._numbers = itertools.count()

    def releases(self, name: str) -> Release:
        asked = Asked(name, BOTH, UNIT.namespace, cost=Cost.of(CLAIM))

        def release() -> str:
            found = self.statistics.release(asked, actor=ADA, idempotency_key=f"{name}-{next(self._numbers)}")
            assert not found.replayed
            return json.dumps(found.output)

        return release

    def spent(self, name: str) -> int:
        return self.privacy.ledger.balance(AccountKey(UNIT.namespace, name)).spent


@pytest.fixture
def neighbours(learning: Learning, clock: VirtualClock) -> Neighbours:
    return Neighbours(learning, PrivacyService(learning.database, learning.audit, clock))


def telling(output: Answers) -> float:
    """All rows, and those of the label that ``zed`` used: both grow with the unit."""
    cards = next(cell["count"] for cell in output["labels"]["cells"] if cell["key"] == ["block_card"])
    return float(output["rows"]["count"] + cards)


def test_releases__one_units_rows_removed__claim_stands_and_all_is_charged(neighbours: Neighbours) -> None:
    # At the confidence of 1 - 1e-6 a true claim is refuted in less than one run of this test in a million.
    verdict = audit_releases(neighbours.releases("without"), neighbours.releases("with"), telling, CLAIM, runs=250)
    assert not verdict.refuted
    assert verdict.outputs == 500
    assert neighbours.spent("without") == neighbours.spent("with") == 250 * 10**9


def test_releases__control_whose_cap_is_bypassed__refuted(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    def uncapped(terms: ReleaseTerms, units: Sequence[str | None], **columns: Any) -> BoundedRows:
        return replace(bound(replace(terms, contribution_cap=1_000), units, **columns), terms=terms)

    monkeypatch.setattr(private_questions, "bound", uncapped)
    # Sums differ by 120 where each of two noises has a scale of 6. At worst the threshold is the least of 20 outputs
    # that choose it, and the claim is missed only if 60 % of the other 180 lie below: 0.4**20, once in 9e7 runs.
    verdict = audit_releases(neighbours.releases("without"), neighbours.releases("with"), telling, CLAIM, runs=200)
    assert verdict.refuted


def test_releases__same_key_asked_again__nothing_new_to_see(neighbours: Neighbours) -> None:
    asked = Asked("with", BOTH, UNIT.namespace, cost=Cost.of(CLAIM))
    seen = {
        json.dumps(neighbours.statistics.release(asked, actor=ADA, idempotency_key="same").output) for _ in range(30)
    }
    assert len(seen) == 1
    assert neighbours.spent("with") == 10**9
