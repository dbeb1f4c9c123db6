from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bailiwick.cli.main import app


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_config__flag_and_environment__says_where_each_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAILIWICK_PORT", "1234")
    result = CliRunner().invoke(app, ["--home", "elsewhere", "config", "--json"])
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in json.loads(result.output)}
    assert (rows["home"]["value"], rows["home"]["origin"]) == ("elsewhere", "flag")
    assert (rows["port"]["value"], rows["port"]["origin"]) == (1234, "environment")
    assert rows["seed"]["origin"] == "default"


def test_config__secrets__are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAILIWICK_REDIS_URL", "redis://:hunter2@127.0.0.1/0")
    monkeypatch.setenv("BAILIWICK_DATABASE_URL", "postgresql://ada:hunter2@127.0.0.1/fleet")
    result = CliRunner().invoke(app, ["config", "--json"])
    assert result.exit_code == 0, result.output
    assert "hunter2" not in result.output


def test_config__bad_value__exits_2_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAILIWICK_PORT", "many")
    result = CliRunner().invoke(app, ["config"])
    assert result.exit_code == 2
    assert "port" in result.stderr


def test_help__lists_every_command_without_importing_them() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for name in ("demo", "extract", "train", "rollback"):
        assert name in result.output
