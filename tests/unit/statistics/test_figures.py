"""What `docs/experiments.md` says is what was measured, and what was measured keeps what is promised."""

from __future__ import annotations

import pytest

from benchmarks import experiment_figures


def test_page__tables__are_the_committed_figures() -> None:
    page = experiment_figures.PAGE.read_text("utf-8")
    for name in experiment_figures.TABLES:
        assert f"<!-- figures: {name} -->" in page
    assert experiment_figures.written(page, experiment_figures.records()) == page


@pytest.mark.parametrize("name", ["watched", "fixed", "adaptive", "replay"])
def test_figures__every_rate_with_a_promise__keeps_it(name: str) -> None:
    rows = [row for row in experiment_figures.records() if row["part"] in experiment_figures.TABLES[name]]
    assert rows
    for row in rows:
        if row["goal"] is not None:
            kept = row["value"] <= row["goal"] if row["better"] == "lower" else row["value"] >= row["goal"]
            assert kept, row


@pytest.mark.parametrize(
    "population",
    ["normal", "Bernoulli 0.001", "Bernoulli 0.02", "Bernoulli 0.5", "log-normal latency", "clustered ratio"],
)
def test_figures__every_population__ten_thousand_tests_at_least(population: str) -> None:
    rows = experiment_figures.records()
    for part, words in (
        ("simulations.sequential", "A/A ever significant"),
        ("simulations.fixed_horizon", "A/A rejects"),
    ):
        runs = [
            row["runs"] for row in rows if row["part"] == part and population in row["name"] and words in row["name"]
        ]
        assert runs and min(runs) >= 10_000, (part, population)
