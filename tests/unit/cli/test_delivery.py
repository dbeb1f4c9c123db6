from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from deliveries import register
from typer.testing import CliRunner

from bailiwick.cli.main import app
from bailiwick.platform import Platform
from bailiwick.settings import Settings

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def invoke(*words: str) -> Result:
        return CliRunner().invoke(app, ["--home", str(tmp_path), *words])

    return invoke


@pytest.fixture
def versions(tmp_path: Path) -> list[str]:
    """Two good versions of the domain `cards`, older first."""
    platform = Platform(Settings(home=tmp_path))
    try:
        return register(platform, "cards", 2)
    finally:
        platform.close()


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_deploy__newest_of_a_domain__gates_and_decision_shown(run: Run, versions: list[str]) -> None:
    result = run("deploy", "cards")
    assert result.exit_code == 0
    assert "validation_loss" in result.stdout
    assert f"Deployed: {versions[1]} serves 100 % of cards." in result.stdout


def test_deploy__gate_fails__exit_7_and_the_reason(run: Run, tmp_path: Path) -> None:
    platform = Platform(Settings(home=tmp_path))
    register(platform, "cards", 1, validation_loss=0.9)
    platform.close()
    result = run("deploy", "cards")
    assert result.exit_code == 7
    assert "Held: validation_loss 0.9 exceeds 0.35." in result.stdout
    assert run("deploy", "cards", "--dry-run").exit_code == 7
    assert run("deploy", "cards", "--force").exit_code == 2
    assert answer(run("deploy", "cards", "--force", "--reason", "hotfix", "--json"))["forced"] is True


def test_deploy__dry_run__changes_nothing(run: Run, versions: list[str]) -> None:
    assert answer(run("deploy", "cards", "--dry-run", "--json"))["passed"] is True
    assert answer(run("traffic", "show", "--json")) == []


def test_traffic__whole_story(run: Run, versions: list[str]) -> None:
    old, new = versions
    run("deploy", old)
    assert answer(run("deploy", new, "--share", "20%", "--json"))["share_percent"] == 20.0
    assert answer(run("traffic", "shift", "cards", "30", "--json"))["weights"] == {old: 70.0, new: 30.0}
    both = (f"{old}=60", f"{new}=40%")
    assert answer(run("traffic", "shift", "cards", *both, "--json"))["weights"] == {old: 60.0, new: 40.0}
    assert answer(run("traffic", "who", "cards", "user-42", "--json"))["version"] in versions
    assert answer(run("traffic", "promote", "cards", "--json"))["weights"] == {new: 100.0}
    rolled = answer(run("rollback", "cards", "--reason", "errors", "--json"))
    assert (rolled["removed"], rolled["plan"]["weights"]) == ([new], {old: 100.0})
    history = answer(run("traffic", "history", "cards", "--json"))
    assert (history[0]["reason"], history[0]["restores"], len(history)) == ("errors", 1, 6)
    assert answer(run("traffic", "at", "cards", "now", "--json"))["revision"] == 6
    assert run("rollback", "cards").exit_code == 4


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["deploy", "typo"], 3),
        (["deploy", "cards", "--share", "lots"], 2),
        (["deploy", "cards", "--share", "20%"], 2),
        (["traffic", "show", "cards"], 3),
        (["traffic", "shift", "cards", "20"], 3),
        (["traffic", "shift", "cards", "a=50", "a=50"], 2),
        (["traffic", "promote", "cards"], 3),
        (["traffic", "at", "cards", "yesterday"], 2),
        (["traffic", "at", "cards", "2020-01-01"], 3),
        (["traffic", "who", "cards", "user-42"], 3),
        (["rollback", "cards"], 3),
    ],
)
def test_command__cannot_be_done__exit_code_says_why(
    run: Run, versions: list[str], words: list[str], code: int
) -> None:
    result = run(*words)
    assert result.exit_code == code, result.output
    assert "Error:" in result.output


def test_holdout__set_and_shown__share_of_all_users(run: Run) -> None:
    assert answer(run("--json", "traffic", "holdout")) == {"share": 0.0}
    assert answer(run("--json", "traffic", "holdout", "2.5%", "--reason", "to compare")) == {"share": 2.5}
    assert "2.5 % of all users" in run("traffic", "holdout").stdout
    refused = run("traffic", "holdout", "100%")
    assert refused.exit_code != 0
    assert answer(run("--json", "traffic", "holdout")) == {"share": 2.5}


def test_metrics_versions__deployed_and_not__a_line_each_and_one_in_full(run: Run, versions: list[str]) -> None:
    assert run("deploy", versions[0]).exit_code == 0
    table = run("metrics", "versions", "cards")
    assert table.exit_code == 0
    assert max(map(len, table.stdout.splitlines())) <= 80
    lines = table.stdout.splitlines()
    older, newer = (next(line for line in lines if line.startswith(f"{name} ")) for name in versions)
    assert older.rstrip().endswith("100 %")
    assert not newer.rstrip().endswith("%")
    shown = run("metrics", "versions", "cards", "--version", versions[0]).stdout
    assert f"{versions[0]}: serves 100 % of cards" in shown
    assert "for 100 % by" in shown
    document = answer(run("metrics", "versions", "cards", "--json"))["versions"]
    assert [(each["version"], each["share_percent"]) for each in document] == [(versions[1], 0.0), (versions[0], 100.0)]
    assert run("metrics", "versions", "cards", "--version", "cards-v9").exit_code == 3
    assert run("metrics", "versions", "nonsense").exit_code == 3
