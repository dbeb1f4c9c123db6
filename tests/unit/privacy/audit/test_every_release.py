"""Every kind of release under attack, the whole way: import, charge, compute, store. And broken, to see it noticed.

Each claim is attacked on two data sets of which one has the rows of the customer ``zed`` too. True claims are refuted
in less than one run of a test in a million (`CERTAIN`); what is broken here moves outputs by many times their noise.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from learning_examples import ADA, Learning, examples, write_csv
from private_rows import UNIT, import_units, open_budget, stated

from bailiwick.clock import VirtualClock
from bailiwick.datasets import private_questions
from bailiwick.datasets.private_questions import Settings, Statistic
from bailiwick.datasets.private_statistics import Asked, PrivateStatistics
from bailiwick.evaluation import private_metrics
from bailiwick.evaluation.private_metrics import PrivateMetric, PrivateMetrics
from bailiwick.models.model import LabelledText
from bailiwick.privacy import local
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.audit.mechanism import CERTAIN, Verdict, audit
from bailiwick.privacy.audit.selection import audit_listed
from bailiwick.privacy.contributions import BoundedRows, bound
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.mechanisms import noise, partition_selection
from bailiwick.privacy.mechanisms.partition_selection import PartitionSelection
from bailiwick.privacy.service import PrivacyService
from bailiwick.privacy.terms import Adjacency, ColumnBounds, PrivacySettings, ReleaseTerms

pytest.importorskip("opendp")

RUNS = 102
CAP = 2
OWN_WORDS = tuple(f"zedword{at}" for at in range(40))
LONGEST, LENGTH_OF_ZED = 200, 190
DELTA = 0.3
"""Far too large to use, so that 102 releases can measure it."""

WORDS = 3
"""Different words of a unit that are counted."""

Output = Mapping[str, Any]
Score = Callable[[Output], float]

NUMERIC: Mapping[Statistic, Score] = {
    Statistic.LENGTH_MEAN: lambda found: found["mean"] * found["count"],
    # The two highest: with far too many long texts both are long, and else noise puts them anywhere.
    Statistic.LENGTH_QUANTILES: lambda found: min(each["value"] for each in found["quantiles"][-2:]),
    Statistic.LENGTH_DISTRIBUTION: lambda found: sum(cell["count"] for cell in found["cells"][-2:]),
    Statistic.TOP_LABELS: lambda found: float(found["most_frequent"] == ["block_card"]),
    Statistic.UNITS: lambda found: found["count"],
}
METRICS: Mapping[PrivateMetric, Score] = {
    PrivateMetric.ACCURACY: lambda found: found["count"] * (1 - found["mean"]),
    PrivateMetric.CONFUSION: lambda found: next(
        cell["count"] for cell in found["cells"] if cell["key"] == ["open_account", "block_card"]
    ),
    PrivateMetric.TEST_LOSS: lambda found: found["count"] * found["mean"],
}


@dataclass
class Sides:
    """Asks for releases from either data set, each paid for."""

    privacy: PrivacyService
    ask: Callable[[str, str], Output]
    numbers: itertools.count[int]

    def outputs(self, name: str, runs: int = RUNS) -> list[Output]:
        made = [json.loads(json.dumps(self.ask(name, f"run-{next(self.numbers)}"))) for _ in range(runs)]
        assert self.privacy.ledger.balance(AccountKey(UNIT.namespace, name)).spent >= runs * 10**9
        return made


def zed(count: int, label: str = "block_card") -> list[LabelledText]:
    """Long texts about cards: many times as many as the cap."""
    text = "block my lost card please " * 9
    return [LabelledText(f"{at} {text}"[:LENGTH_OF_ZED], label, "zed") for at in range(count)]


def opened(privacy: PrivacyService, name: str, **changed: Any) -> None:
    key = open_budget(privacy, name, "bank", epsilon="100000", cap=Cost.cap(epsilon="100000", delta="0.9"), **changed)
    own = privacy.own_settings(key)
    settings = PrivacySettings(CAP, {"text_length": ColumnBounds(0, LONGEST)}, own.categories)
    privacy.set_settings(key, settings, ADA)


def imported(learning: Learning, made: Mapping[str, Sequence[LabelledText]], split: str = "") -> None:
    for name, rows in made.items():
        path = write_csv(learning.folder / f"{name}.csv", list(rows))
        if split:
            first, *lines = path.read_text("utf-8").splitlines()
            path.write_text("\n".join([f"{first},split", *(f"{line},{split}" for line in lines)]) + "\n", "utf-8")
        import_units(learning.datasets, path)


@pytest.fixture
def privacy(learning: Learning, clock: VirtualClock) -> PrivacyService:
    return PrivacyService(learning.database, learning.audit, clock)


@pytest.fixture
def statistics(learning: Learning, privacy: PrivacyService) -> Sides:
    common = [each for each in examples(30) if each.label != "block_card"]
    imported(learning, {"without": common, "with": [*common, *zed(300)]})
    for name in ("without", "with"):
        opened(privacy, name)
    service = PrivateStatistics(learning.datasets, privacy)
    asked = Asked("", tuple(NUMERIC), UNIT.namespace, cost=Cost.of(len(NUMERIC)), settings=Settings(top=1))

    def ask(name: str, key: str) -> Output:
        found = service.release(replace(asked, dataset=name), actor=ADA, idempotency_key=key)
        assert not found.replayed
        return dict(found.output)

    return Sides(privacy, ask, itertools.count())


@pytest.fixture
def metrics(learning: Learning, privacy: PrivacyService) -> Sides:
    lines = [f"{each.text},{each.label},bank" for each in examples(60)]
    public = learning.folder / "public.csv"
    public.write_text("\n".join(["text,label,domain", *lines]) + "\n", "utf-8")
    learning.datasets.import_file(public, actor=ADA, name="public")
    version = learning.training.train("bank", "public", actor=ADA, seed=1).version or ""
    common = examples(6, seed=7)
    imported(learning, {"without": common, "with": [*common, *zed(40, "open_account")]}, split="test")
    for name in ("without", "with"):
        opened(privacy, name)
    service = PrivateMetrics(learning.evaluation.judging(), privacy)

    def ask(name: str, key: str) -> Output:
        found = service.release(
            version,
            tuple(METRICS),
            UNIT.namespace,
            actor=ADA,
            cost=Cost.of(len(METRICS)),
            dataset=name,
            idempotency_key=key,
        )
        assert not found.replayed
        return dict(found.output)

    return Sides(privacy, ask, itertools.count())


@pytest.fixture
def local_labels(learning: Learning, privacy: PrivacyService) -> Sides:
    common = examples(4, seed=9)
    texts = [LabelledText(f"text {at}", "?", "zed") for at in range(CAP)]
    for name, label in {"without": "open_account", "with": "block_card"}.items():
        imported(learning, {name: [*common, *(replace(each, label=label) for each in texts)]})
        opened(privacy, name, adjacency=Adjacency.REPLACE)
    service = PrivateStatistics(learning.datasets, privacy)
    asked = Asked("", (Statistic.LOCAL_LABELS,), UNIT.namespace, cost=Cost.of(1))

    def ask(name: str, key: str) -> Output:
        return dict(service.release(replace(asked, dataset=name), actor=ADA, idempotency_key=key).output)

    return Sides(privacy, ask, itertools.count())


def verdicts(sides: Sides, scores: Mapping[Any, Score]) -> dict[str, Verdict]:
    """Of each statistic of one release; each has epsilon 1 of it."""
    without, with_unit = sides.outputs("without"), sides.outputs("with")
    return {
        each.value: audit(
            [score(output[each.value]) for output in without],
            [score(output[each.value]) for output in with_unit],
            1.0,
            confidence=CERTAIN,
        )
        for each, score in scores.items()
    }


def uncapped(terms: ReleaseTerms, units: Sequence[str | None], **columns: Any) -> BoundedRows:
    """What a forgotten contribution cap would do."""
    return replace(bound(replace(terms, contribution_cap=1_000), units, **columns), terms=terms)


def test_statistics__one_units_rows_removed__no_claim_refuted(statistics: Sides) -> None:
    found = verdicts(statistics, NUMERIC)
    assert [name for name, verdict in found.items() if verdict.refuted] == []
    assert all(verdict.outputs == 2 * RUNS for verdict in found.values())


@pytest.mark.slow
def test_statistics__cap_not_applied__every_one_that_counts_rows_refuted(
    statistics: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_questions, "bound", uncapped)
    found = verdicts(statistics, NUMERIC)
    # How many units there are does not depend on the cap on rows: that claim must survive the same attack.
    assert {name for name, verdict in found.items() if not verdict.refuted} == {"units"}


def test_metrics__one_units_rows_removed__no_claim_refuted(metrics: Sides) -> None:
    assert [name for name, verdict in verdicts(metrics, METRICS).items() if verdict.refuted] == []


def test_metrics__cap_not_applied__all_refuted(metrics: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_metrics, "bound", uncapped)
    assert all(verdict.refuted for verdict in verdicts(metrics, METRICS).values())


@pytest.mark.slow
def test_metrics__noise_too_small_by_a_factor__all_refuted(metrics: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = noise._laplace
    monkeypatch.setattr(noise, "_laplace", lambda sensitivity, epsilon: honest(sensitivity, 15 * epsilon))
    assert all(verdict.refuted for verdict in verdicts(metrics, METRICS).values())


def cards(output: Output) -> float:
    return float(output["local-labels"]["records"].count("block_card"))


def test_local_labels__one_units_labels_exchanged__claim_not_refuted(local_labels: Sides) -> None:
    sides = [[cards(output) for output in local_labels.outputs(name)] for name in ("without", "with")]
    assert not audit(*sides, 1.0, confidence=CERTAIN).refuted


def test_local_labels__epsilon_of_a_record_too_large__refuted(
    local_labels: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = local._randomised
    monkeypatch.setattr(local, "_randomised", lambda categories, epsilon: honest(categories, 12 * epsilon))
    sides = [[cards(output) for output in local_labels.outputs(name)] for name in ("without", "with")]
    assert audit(*sides, 1.0, confidence=CERTAIN).refuted


class Words:
    """Releases of the vocabulary, and whether a word that only ``zed`` uses is in them."""

    def __init__(self, learning: Learning, privacy: PrivacyService, clock: VirtualClock) -> None:
        self.privacy = privacy
        self.service = PrivateStatistics(learning.datasets, privacy)
        self.clock = clock

    def listed(self, name: str, runs: int = RUNS) -> int:
        """In how many releases such a word is listed. Deltas add up, so a budget holds three of them only."""
        found = 0
        key = AccountKey("customers", name)
        settings = PrivacySettings(contribution_cap=CAP)
        self.privacy.create_budget(
            key, actor=ADA, column=UNIT.column, epsilon=3, delta="0.9", settings=settings, reset_days=1
        )
        asked = Asked(
            name, (Statistic.VOCABULARY,), key.namespace, cost=Cost.of(1, str(DELTA)), settings=Settings(WORDS)
        )
        for _ in range(runs // 3):
            for _ in range(3):
                output = self.service.release(asked, actor=ADA).output["vocabulary"]
                found += any(value["key"] in OWN_WORDS for value in output["values"])
            assert self.privacy.ledger.balance(key).remaining == 0
            self.clock.advance(timedelta(days=1))
        return found


@pytest.fixture
def vocabulary(learning: Learning, privacy: PrivacyService, clock: VirtualClock) -> Words:
    # Only words of its own: whichever of them the cap keeps, they stand in one of the neighbours alone.
    own = [LabelledText(" ".join(OWN_WORDS), "block_card", "zed")]
    imported(learning, {"without": examples(20), "with": [*examples(20), *own]})
    return Words(learning, privacy, clock)


def test_vocabulary__words_of_one_unit_alone__listed_no_more_often_than_delta(vocabulary: Words) -> None:
    assert vocabulary.listed("without", 6) == 0
    verdict = audit_listed(vocabulary.listed("with"), RUNS, DELTA)
    assert not verdict.refuted
    assert verdict.rate > 0, "a rate of zero would show nothing"


def test_vocabulary__threshold_too_low__refuted(vocabulary: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = partition_selection._select
    monkeypatch.setattr(partition_selection, "_select", lambda values, epsilon, _delta: honest(values, epsilon, 0.95))
    assert audit_listed(vocabulary.listed("with"), RUNS, DELTA).refuted


@pytest.mark.slow
def test_vocabulary__cap_on_words_not_applied__refuted(vocabulary: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_questions, "bound", uncapped)
    assert audit_listed(vocabulary.listed("with"), RUNS, DELTA).refuted


@pytest.mark.parametrize("delta", [0.02, 0.3])
def test_selection__many_releases__rate_is_close_below_delta(delta: float) -> None:
    terms = stated(contribution_cap=WORDS)
    mechanism = PartitionSelection(terms, "word", 1.0, delta)
    rows = bound(
        terms,
        ["zed"] * WORDS,
        categorical={"word": OWN_WORDS[:WORDS]},
        open_columns=["word"],
        distinct=True,
    )
    runs = 4_000
    listed = sum(bool(mechanism.release(rows)["values"]) for _ in range(runs))
    assert not audit_listed(listed, runs, delta).refuted
    assert audit_listed(listed, runs, delta / 4).refuted, "the audit would see a delta four times too large"
