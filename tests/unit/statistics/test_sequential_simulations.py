"""A quick version of `benchmarks/simulations/sequential.py`: the promises within four standard deviations of chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.simulations import sequential, uneven

REPETITIONS = 100


@pytest.fixture(scope="module")
def found() -> list[dict[str, object]]:
    return sequential.records(REPETITIONS, seed=11)


def test_sequential__every_promise__within_chance(found: list[dict[str, float]]) -> None:
    assert len(found) > 35
    for row in found:
        if row["goal"] is None:
            continue
        chance = 4 * math.sqrt(row["goal"] * max(100 - row["goal"], 1) / max(row["runs"], 1))
        if row["better"] == "lower":
            assert row["value"] <= row["goal"] + chance, row
        else:
            assert row["value"] >= row["goal"] - chance, row


def test_uneven__every_promise__within_chance() -> None:
    for row in uneven.records(30, seed=12):
        assert row["value"] <= row["goal"] + 4 * math.sqrt(row["goal"] * (100 - row["goal"]) / row["runs"]), row


def test_naive_z__watched_at_every_event__shows_that_the_simulation_can_fail() -> None:
    generator = np.random.default_rng(1)
    population = sequential.normal()
    arms = sequential.arrivals(population, generator, (200, sequential.UNITS))
    process = sequential.watched(*arms, sequential.support_of(population), sequential.UNITS)
    z = process.difference * np.sqrt(process.information)
    assert (np.abs(z) > 1.96).any(axis=1).mean() > 0.25
