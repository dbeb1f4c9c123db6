from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from learning_examples import ADA, Learning, examples, write_csv
from private_rows import UNIT, import_units, open_budget

from bailiwick.clock import VirtualClock
from bailiwick.datasets.from_graph import GraphSelection
from bailiwick.datasets.model import Row
from bailiwick.datasets.private_questions import Settings, Statistic, questions, words
from bailiwick.datasets.private_statistics import Asked, PrivateStatistics
from bailiwick.datasets.readers import Columns
from bailiwick.errors import BudgetExhausted, InvalidInput, NotFound
from bailiwick.graph.model import Node, NodeKind, Provenance, Tag, node_id
from bailiwick.graph.sql import SqlGraphStore
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.costs import Cost, Currency, Level
from bailiwick.privacy.service import PrivacyService
from bailiwick.privacy.terms import Adjacency, Categories, Lifetime, PrivacySettings, PrivacyUnit, ReleaseTerms

CENTRAL = tuple(statistic for statistic in Statistic if statistic not in (Statistic.LOCAL_LABELS, Statistic.DOMAINS))


@pytest.fixture
def privacy(learning: Learning, clock: VirtualClock) -> PrivacyService:
    return PrivacyService(learning.database, learning.audit, clock)


@pytest.fixture
def statistics(learning: Learning, privacy: PrivacyService) -> PrivateStatistics:
    import_units(learning.datasets, write_csv(learning.folder / "bank.csv", examples(150)))
    return PrivateStatistics(learning.datasets, privacy)


def asked(*names: Statistic, epsilon: str | None = "10", delta: str | float = 0, domain: str | None = "bank") -> Asked:
    cost = Cost.of(epsilon, delta) if epsilon else None
    return Asked("bank", names, UNIT.namespace, domain, cost, Settings(words_per_unit=5, top=2))


def spent(privacy: PrivacyService, *domain: str) -> int:
    return privacy.ledger.balance(AccountKey(UNIT.namespace, "bank", *domain)).spent


def test_release__every_central_statistic__answered_charged_and_carded(
    statistics: PrivateStatistics, privacy: PrivacyService
) -> None:
    open_budget(privacy, "bank", "bank")
    found = statistics.release(asked(*CENTRAL, epsilon="80", delta="1e-6"), actor=ADA)
    assert found.output.keys() == {statistic.value for statistic in CENTRAL}
    # every statistic has epsilon 10: a count of rows misses by more than 5 with a probability of e**-50
    assert abs(found.output["rows"]["count"] - 150) <= 5
    assert {tuple(cell["key"]): cell["count"] for cell in found.output["labels"]["cells"]} == {
        ("block_card",): pytest.approx(50, abs=5),
        ("exchange_rate",): pytest.approx(50, abs=5),
        ("open_account",): pytest.approx(50, abs=5),
    }
    assert 15 < found.output["text-length"]["mean"] < 40
    assert "card" in {value["key"] for value in found.output["vocabulary"]["values"]}
    assert (found.card["epsilon"], found.card["delta"]) == ("80", "0.000001")
    assert len(found.card["not_protected"]) >= 3
    assert spent(privacy) == spent(privacy, "bank") == 80 * 10**9


def test_plan__charges_nothing(statistics: PrivateStatistics, privacy: PrivacyService) -> None:
    open_budget(privacy, "bank", "bank")
    planned = statistics.plan(asked(Statistic.LABELS, Statistic.UNITS, epsilon="1"))
    assert planned.priced.plan.cost == Cost.of(1)
    assert [error.scale for error in planned.priced.errors] == [2.0, 2.0]
    assert spent(privacy) == 0


def test_release__same_key__same_answer_paid_once(statistics: PrivateStatistics, privacy: PrivacyService) -> None:
    open_budget(privacy, "bank", "bank")
    request = asked(Statistic.LABELS, epsilon="0.1")
    first = statistics.release(request, actor=ADA, idempotency_key="weekly")
    again = statistics.release(request, actor=ADA, idempotency_key="weekly")
    assert again.replayed
    assert again.output == first.output
    assert spent(privacy) == 10**8


def test_release__all_rows__every_domains_budget_pays(statistics: PrivateStatistics, privacy: PrivacyService) -> None:
    open_budget(privacy, "bank", "bank", "cards")
    statistics.release(asked(Statistic.ROWS, epsilon="1", domain=None), actor=ADA)
    assert spent(privacy) == spent(privacy, "bank") == spent(privacy, "cards") == 10**9


def test_release__budget_too_small__refused_and_nothing_spent(
    statistics: PrivateStatistics, privacy: PrivacyService
) -> None:
    open_budget(privacy, "bank", "bank", epsilon="0.5")
    with pytest.raises(BudgetExhausted):
        statistics.release(asked(Statistic.ROWS, epsilon="0.6"), actor=ADA)
    assert spent(privacy) == 0
    statistics.release(asked(Statistic.ROWS, epsilon="0.5"), actor=ADA)


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (asked(Statistic.DOMAINS), "categories.domain"),
        (asked(Statistic.VOCABULARY), "delta"),
        (asked(Statistic.ROWS, epsilon=None), "epsilon"),
        (asked(), "statistics"),
        (asked(Statistic.ROWS, Statistic.ROWS), "statistics"),
        (asked(Statistic.LOCAL_LABELS), "adjacency"),
        (asked(Statistic.ROWS, Statistic.LOCAL_LABELS), "statistics"),
        (asked(Statistic.TOP_LABELS, epsilon="101"), "epsilon"),
    ],
)
def test_release__something_missing__named_and_nothing_charged(
    statistics: PrivateStatistics, privacy: PrivacyService, request_: Asked, named: str
) -> None:
    open_budget(privacy, "bank", "bank")
    with pytest.raises(InvalidInput) as refused:
        statistics.release(request_, actor=ADA)
    assert refused.value.what == named
    assert privacy.ledger.balance(AccountKey(UNIT.namespace, "bank")).entries <= 1


def test_release__no_cap_in_the_settings__named(statistics: PrivateStatistics, privacy: PrivacyService) -> None:
    key = open_budget(privacy, "bank")
    privacy.set_settings(key, PrivacySettings(), ADA)
    with pytest.raises(InvalidInput) as refused:
        statistics.release(asked(Statistic.ROWS, domain=None), actor=ADA)
    assert refused.value.what == "contribution_cap"


def test_release__level_of_the_settings__is_the_cost(statistics: PrivateStatistics, privacy: PrivacyService) -> None:
    key = open_budget(privacy, "bank")
    privacy.set_settings(key, PrivacySettings(1, level=Level.HIGH), ADA)
    found = statistics.release(asked(Statistic.ROWS, epsilon=None, domain=None), actor=ADA)
    assert found.card["epsilon"] == "0.5"


def test_release__no_account__not_found(statistics: PrivateStatistics) -> None:
    with pytest.raises(NotFound):
        statistics.release(asked(Statistic.ROWS), actor=ADA)


def test_release__local_mode__labelled_and_paid_per_unit(
    statistics: PrivateStatistics, privacy: PrivacyService
) -> None:
    open_budget(privacy, "bank", adjacency=Adjacency.REPLACE, lifetime=Lifetime())
    found = statistics.release(asked(Statistic.LOCAL_LABELS, epsilon="2", domain=None), actor=ADA)
    assert found.output["local-labels"]["mode"] == "local"
    assert len(found.output["local-labels"]["records"]) == 150
    assert "how many records there are" in found.card["not_protected"]


def test_release__account_of_zcdp__pays_rho(statistics: PrivateStatistics, privacy: PrivacyService) -> None:
    open_budget(privacy, "bank", currency=Currency.ZCDP, cap=Cost.cap(rho="1"))
    found = statistics.release(asked(Statistic.LABELS, Statistic.ROWS, epsilon="0.2", domain=None), actor=ADA)
    assert found.card["rho"] == "0.01"


@pytest.mark.parametrize("columns", [Columns(unit="unit"), Columns()], ids=["dependent", "unit not stated"])
def test_release__units_not_imported_on_their_own__refused_and_nothing_charged(
    learning: Learning, privacy: PrivacyService, columns: Columns
) -> None:
    path = write_csv(learning.folder / "bank.csv", examples(60))
    learning.datasets.import_file(path, actor=ADA, columns=columns, independent_units=columns.unit is None)
    open_budget(privacy, "bank")
    statistics = PrivateStatistics(learning.datasets, privacy)
    with pytest.raises(InvalidInput) as refused:
        statistics.release(asked(Statistic.ROWS, domain=None), actor=ADA)
    assert "--independent-units" in str(refused.value.remedy)
    assert spent(privacy) == 0


def test_release__rows_without_units__does_not_apply(
    learning: Learning, privacy: PrivacyService, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "plain.csv", examples(60))
    path.write_text("\n".join(",".join(line.split(",")[:2]) for line in path.read_text().splitlines()))
    learning.datasets.import_file(path, actor=ADA, name="bank", domain="bank")
    open_budget(privacy, "bank")
    statistics = PrivateStatistics(learning.datasets, privacy)
    assert not statistics.applicability("bank").applies
    with pytest.raises(InvalidInput, match="does not apply"):
        statistics.release(asked(Statistic.ROWS, domain=None), actor=ADA)
    assert spent(privacy) == 0


def test_release__neighbours_of_which_one_has_no_row_of_the_domain__noise_in_both(
    learning: Learning, privacy: PrivacyService
) -> None:
    common = write_csv(learning.folder / "without.csv", examples(30), domain="loans")
    lines = [*common.read_text("utf-8").splitlines(), "block my card,block_card,zed,bank"]
    more = learning.folder / "with.csv"
    more.write_text("\n".join(lines) + "\n", "utf-8")
    statistics = PrivateStatistics(learning.datasets, privacy)
    for path in (common, more):
        import_units(learning.datasets, path)
        open_budget(privacy, path.stem, "bank", "cards")
        for domain in ("bank", "cards"):  # one customer at most, and nobody in either
            request = replace(asked(*CENTRAL, epsilon="2", delta="1e-6", domain=domain), dataset=path.stem)
            assert statistics.plan(request).terms.contribution_cap == 1
            found = statistics.release(request, actor=ADA)
            assert found.output.keys() == {statistic.value for statistic in CENTRAL}
            assert abs(found.output["rows"]["count"]) < 200  # e**-44
            assert found.output["vocabulary"]["values"] == [] or path.stem == "with"
        assert privacy.ledger.balance(AccountKey(UNIT.namespace, path.stem)).spent == 4 * 10**9


def test_release__unit_column_whose_cells_are_all_empty__noise_and_not_a_refusal(
    learning: Learning, privacy: PrivacyService
) -> None:
    # That somebody has a unit is what the data says, and only what was stated at import is public.
    path = write_csv(learning.folder / "bank.csv", [replace(each, unit="") for each in examples(30)])
    import_units(learning.datasets, path)
    open_budget(privacy, "bank", "bank")
    statistics = PrivateStatistics(learning.datasets, privacy)
    assert statistics.applicability("bank").applies
    found = statistics.release(asked(Statistic.ROWS, epsilon="1"), actor=ADA)
    assert abs(found.output["rows"]["count"]) < 60  # e**-60


def test_release__local_mode_without_records__empty_and_charged(learning: Learning, privacy: PrivacyService) -> None:
    import_units(learning.datasets, write_csv(learning.folder / "bank.csv", examples(30), domain="loans"))
    open_budget(privacy, "bank", "bank", adjacency=Adjacency.REPLACE, lifetime=Lifetime())
    statistics = PrivateStatistics(learning.datasets, privacy)
    found = statistics.release(asked(Statistic.LOCAL_LABELS, epsilon="2"), actor=ADA)
    assert found.output["local-labels"]["records"] == []
    assert spent(privacy) == 2 * 10**9


def test_release__rows_of_the_graph__refused_because_no_edge_belongs_to_a_person(
    learning: Learning, privacy: PrivacyService, clock: VirtualClock
) -> None:
    """For graph data, the neighbour without one unit's edges does not exist: no node or edge names a person."""
    graph = SqlGraphStore(learning.database, learning.audit, clock)
    place = Provenance("load.sql", 1, "test", "run-1")
    nodes = [
        Node(node_id(NodeKind.TABLE, name), NodeKind.TABLE, name, name, "source", place, {}) for name in ("card", "fee")
    ]
    graph.sync_source("source", nodes, [], complete=True)
    graph.set_tags(Tag(each.id, "cards", "agent", 0.9, "keyword", "run-1") for each in nodes)
    learning.datasets.import_graph(graph, GraphSelection("estate"), name="bank", actor=ADA)
    open_budget(privacy, "bank")
    statistics = PrivateStatistics(learning.datasets, privacy)
    with pytest.raises(InvalidInput, match="elements of the graph"):
        statistics.release(asked(Statistic.ROWS, domain=None), actor=ADA)
    assert spent(privacy) == 0


def test_report_card__names_the_lineage_and_not_the_hash_of_its_rows(
    learning: Learning, statistics: PrivateStatistics, privacy: PrivacyService
) -> None:
    open_budget(privacy, "bank", "bank")
    found = statistics.release(asked(Statistic.ROWS, epsilon="1"), actor=ADA)
    assert "data set bank" in found.card["purpose"]
    assert learning.datasets.get("bank").sha256[:12] not in str(found.card)


def test_words__unicode_and_long_ones() -> None:
    assert words("Straße STRASSE x_y " + "a" * 41) == ["strasse", "x", "y"]
    assert words("") == []


def test_local_labels__label_off_the_list__record_is_randomised_not_dropped() -> None:
    terms = ReleaseTerms(
        unit=PrivacyUnit("unit", "bank"),
        adjacency=Adjacency.REPLACE,
        contribution_cap=1,
        bounds={},
        categories={"label": Categories(("a", "b"))},
        lifetime=Lifetime(),
    )
    (question,) = questions([Statistic.LOCAL_LABELS], terms, Cost.of(1), Settings())
    labels = ["a", "b", "of nobody's list"]
    rows = [Row(f"text {label}", label, "bank", unit=f"u{at}") for at, label in enumerate(labels)]
    assert len(question.gather(rows).units) == len(labels)
