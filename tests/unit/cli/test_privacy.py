"""`bailiwick privacy`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from privacy_examples import ADA, CARDS, TERMS, plan
from typer.testing import CliRunner, Result

from bailiwick.cli.main import app
from bailiwick.platform import Platform
from bailiwick.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("BAILIWICK_HOME", "BAILIWICK_DATABASE_URL", "BAILIWICK_CONFIG", "BAILIWICK_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["privacy", *arguments])


def done(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def create() -> None:
    limits = ["--contribution-cap", "2", "--bounds", "amount=0:100", "--categories", "branch=north,south"]
    created = run("budget", "create", "customers/queries", "--column", "customer", "--epsilon", "1", *limits)
    assert created.exit_code == 0, created.output
    assert "never reset, counted in pure" in " ".join(created.stdout.split())
    assert run("budget", "create", "customers/queries/cards", "--epsilon", "0.6").exit_code == 0


def test_budget__created_and_spent_from__shows_what_is_left(home: Path) -> None:
    create()
    platform = Platform(Settings())
    charge = platform.privacy.release(TERMS, CARDS, plan(0.1), lambda: [1], actor=ADA).charge.id
    platform.close()

    shown = done("budget", "show", "customers/queries")
    assert (shown["used"]["amount"], shown["remaining"]["amount"], shown["verified"]) == ("0.1", "0.9", True)
    assert [entry["kind"] for entry in shown["history"]] == ["open", "hold", "start", "spend"]
    assert [each["account"] for each in done("budget", "list", "--domain", "cards")] == ["customers/queries/cards"]
    assert "0.5" in run("budget", "list").stdout
    assert "hashes hold" in run("budget", "show", "customers/queries/cards").stdout
    assert done("cards", charge)["output"] == [1]
    assert [card["charge"] for card in done("cards")] == [charge]
    assert charge in run("cards").stdout.replace("\n", "") or "Releases" in run("cards").stdout
    assert done("budget", "recover") == []


def test_settings__set_for_a_domain__over_the_global_ones(home: Path) -> None:
    create()
    found = done("budget", "set", "customers/queries/cards", "--bounds", "amount=0:50", "--level", "high")
    assert found["settings"] == {
        "contribution_cap": 2,
        "bounds": {"amount": [0, 50]},
        "categories": {"branch": ["north", "south"]},
        "level": "high",
        "default_epsilon": None,
        "default_delta": None,
    }
    again = done("budget", "set", "customers/queries/cards", "--bounds", "age=0:120")
    assert again["settings"]["bounds"] == {"amount": [0, 50], "age": [0, 120]}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["create", "customers/queries", "--column", "customer", "--epsilon", "9"], 4),
        (["create", "x/y", "--epsilon", "1"], 2),
        (["create", "x/y", "--column", "c"], 2),
        (["create", "x/y", "--column", "c", "--epsilon", "1", "--rho", "1"], 2),
        (["create", "x/y", "--column", "c", "--epsilon", "nan"], 2),
        (["create", "x/y", "--column", "c", "--epsilon", "1", "--delta", "2"], 2),
        (["create", "x/y", "--column", "c", "--epsilon", "1", "--reset-days", "0"], 2),
        (["create", "x/y", "--column", "c", "--epsilon", "1", "--bounds", "a=1"], 2),
        (["create", "x/y", "--column", "c", "--epsilon", "1", "--bounds", "a=2:1"], 2),
        (["create", "x/y", "--column", "c", "--epsilon", "1", "--level", "extreme"], 2),
        (["create", "x/y/z", "--epsilon", "1"], 3),
        (["create", "x", "--column", "c", "--epsilon", "1"], 2),
        (["show", "x/y"], 3),
        (["set", "x/y", "--level", "low"], 3),
    ],
)
def test_budget__cannot_be__is_refused_and_nothing_is_made(home: Path, arguments: list[str], code: int) -> None:
    create()
    before = done("budget", "list")
    assert run("budget", *arguments).exit_code == code
    assert done("budget", "list") == before
