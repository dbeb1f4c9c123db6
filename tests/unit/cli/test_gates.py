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
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command as some user of the machine."""
    platform = Platform(Settings(home=tmp_path))
    register(platform, "cards", 2)
    platform.close()

    def invoke(*words: str, user: str = "ada") -> Result:
        monkeypatch.setenv("LOGNAME", user)
        return CliRunner().invoke(app, ["--home", str(tmp_path), *words])

    return invoke


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_gate__set_and_show__values_in_percent_and_back_to_the_default(run: Run) -> None:
    made = answer(run("gate", "set", "cards", "max_error_rate=5%", "approvals=1", "automatic_rollback=off", "--json"))
    assert (made["revision"], made["policy"]["max_error_rate"], made["policy"]["automatic_rollback"]) == (
        1,
        0.05,
        False,
    )
    freezes = "freezes=weekend: fri 16:00 for 64h UTC; year-end: 2026-12-20T00:00Z to 2027-01-02T00:00Z"
    assert len(answer(run("gate", "set", "cards", freezes, "--json"))["policy"]["freezes"]) == 2
    back = answer(run("gate", "set", "cards", "max_error_rate=", "freezes=", "--reason", "done", "--json"))
    assert (back["policy"]["max_error_rate"], back["policy"]["freezes"]) == (None, [])
    shown = run("gate", "show", "cards", "--history")
    assert "revision 3" in shown.stdout
    assert "cli:ada: done" in shown.stdout


@pytest.mark.parametrize(
    "change", ["approvals", "approvals=many", "nonsense=1", "=1", "freezes=sometimes", "min_accuracy=200%"]
)
def test_gate__set_what_does_not_fit__exit_2(run: Run, change: str) -> None:
    assert run("gate", "set", "cards", change).exit_code == 2


def test_gate__check__says_what_would_happen(run: Run) -> None:
    run("gate", "set", "cards", "approvals=2")
    result = run("gate", "check", "cards")
    assert (result.exit_code, "Would wait for 2 approvals" in result.stdout) == (0, True)
    run("gate", "set", "cards", "min_accuracy=99%")
    assert run("gate", "check", "cards").exit_code == 7


def test_deployment__approved_by_another_user__serves_and_says_who(run: Run) -> None:
    run("gate", "set", "cards", "approvals=1")
    asked = run("deploy", "cards")
    assert asked.exit_code == 0
    assert "Waiting for 1 approval" in asked.stdout
    assert "waiting (0 of 1)" in run("deployment", "list", "--waiting").stdout
    assert run("deployment", "approve", "waiting").exit_code == 5
    approved = run("deployment", "approve", "waiting", "--reason", "looked", user="grace")
    assert (approved.exit_code, "Deployed" in approved.stdout) == (0, True)
    assert run("deployment", "approve", "waiting", user="grace").exit_code == 3
    made = answer(run("deployment", "list", "cards", "--json"))[0]
    shown = run("deployment", "show", made["id"])
    assert "by cli:grace: looked" in shown.stdout
    assert "approved by cli:grace" in run("traffic", "at", "cards", "now").stdout


def test_deployment__policy_changed_meanwhile__exit_7(run: Run) -> None:
    run("gate", "set", "cards", "approvals=1")
    run("deploy", "cards")
    run("gate", "set", "cards", "approvals=2")
    result = run("deployment", "approve", "waiting", user="grace")
    assert (result.exit_code, "Void" in result.stdout) == (7, True)


def test_deployment__rejected__is_listed_as_such(run: Run) -> None:
    run("gate", "set", "cards", "approvals=1")
    run("deploy", "cards")
    assert run("deployment", "reject", "waiting", "--reason", "no", user="grace").exit_code == 0
    assert answer(run("deployment", "list", "--json"))[0]["status"] == "rejected"


def test_rollback__events__lists_what_happened(run: Run) -> None:
    versions = [made["id"] for made in answer(run("model", "list", "--json"))]
    for version in reversed(versions):
        assert run("deploy", version).exit_code == 0
    assert run("rollback").exit_code == 2
    assert run("rollback", "cards", "--reason", "wrong answers").exit_code == 0
    (event,) = answer(run("rollback", "--events", "--json"))
    assert (event["removed"], event["automatic"], event["rule"]) == ([versions[0]], False, "by_hand")
    assert "wrong answers" in run("rollback", "--events").stdout
