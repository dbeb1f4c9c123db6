"""`bailiwick cache`, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bailiwick.cli.main import app


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("BAILIWICK_HOME", "BAILIWICK_DATABASE_URL", "BAILIWICK_CONFIG", "BAILIWICK_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_on__upstream_that_draws_at_random__says_what_is_not_kept_and_how_to_keep_it() -> None:
    run("domain", "create", "far", "--backend", "openai-compatible", "--base-url", "http://10.0.0.1/v1", "--model", "m")
    told = run("cache", "on", "far")
    assert "temperature 0 or a seed" in told and "--set generation.temperature=0" in told
    run("domain", "update", "far", "--set", "generation.temperature=0")
    assert "at random" not in run("cache", "on", "far")
    run("domain", "update", "far", "--set", "generation.temperature=null")
    assert "at random" in run("cache", "on", "far")
    assert "at random" not in run("cache", "on", "far", "--sampled")


def test_on__local_domain__keeps_everything() -> None:
    run("domain", "create", "cards")
    assert "at random" not in run("cache", "on", "cards")
