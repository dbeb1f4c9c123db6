"""`bailiwick key`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bailiwick.cli.main import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("BAILIWICK_HOME", "BAILIWICK_DATABASE_URL", "BAILIWICK_CONFIG", "BAILIWICK_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def document(*arguments: str) -> Any:
    result = run("--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_create__for_a_domain_that_is_not_there__is_made_and_said(home: Path) -> None:
    assert run("domain", "create", "cards").exit_code == 0
    said = run("key", "create", "app", "--domain", "cards", "--domain", "crads", "--domain", "loan*").stdout
    assert "No domain is called crads yet" in said
    assert "loan" not in said.split("No domain")[1]
    assert "No domain" not in run("key", "set", "app", "--domain", "cards").stdout
    assert "No domain is called ghost yet" in run("key", "set", "--of-domain", "ghost", "--rpm", "5").stdout
    assert document("key", "show", "app")["domains"] == ["cards"]


@pytest.mark.parametrize("when", ["yesterday", "-1d", "nan", "soon"])
def test_create__with_an_end_that_is_none__says_what_would_do(home: Path, when: str) -> None:
    result = run("key", "create", "app", f"--expires={when}")
    assert result.exit_code == 2
    assert "2027-01-31" in result.output
    assert document("key", "list")["keys"] == []
