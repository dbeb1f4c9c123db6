"""The page says what was measured."""

from __future__ import annotations

from benchmarks.routing import figures, fleet, truth


def test_page__holds_the_committed_figures() -> None:
    page = figures.PAGE.read_text("utf-8")
    for part in figures.PARTS:
        assert f"<!-- figures: {part} -->" in page
    assert figures.written(page, figures.records()) == page


def test_fleet__one_seed__learning_loses_less_than_detection_alone() -> None:
    scenario = fleet.SCENARIOS[0]
    ours = fleet.regret_of(scenario, fleet.CHOOSERS["upper bounds, as delivered"](0), 0)
    assert ours < 0.5 * fleet.regret_of(scenario, fleet.CHOOSERS["detection alone"](0), 0)


def test_truth__few_repetitions__intervals_hold_it() -> None:
    found = {row["name"]: row["value"] for row in truth.records(repetitions=12)}
    assert found["near to the logs: coverage, doubly robust"] >= 75  # 12 of 95 %: 8 or fewer once in 50,000 times
    assert found["near to the logs: verdicts that are wrong"] == 0
