"""`bailiwick audit`, as a user types it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bailiwick.cli.main import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("BAILIWICK_HOME", "BAILIWICK_DATABASE_URL", "BAILIWICK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    run("estate")
    run("domain", "import", "estate/domains.json")
    return tmp_path


def run(*words: str, exits: int = 0) -> Result:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == exits, result.output
    return result


def test_verify__export_and_proof__hold_away_from_the_database(home: Path, tmp_path: Path) -> None:
    key = run("audit", "key").output.strip()
    run("audit", "prove", "2", "--to", "proof.json")
    run("audit", "export", "trail.jsonl")
    (home / ".bailiwick" / "bailiwick.db").unlink()
    assert "proved" in run("audit", "verify", "--proof", "proof.json", "--key", key).output
    assert "intact" in run("audit", "verify", "--file", "trail.jsonl", "--key", key).output
    proof = json.loads((tmp_path / "proof.json").read_text())
    (tmp_path / "proof.json").write_text(json.dumps({**proof, "body": proof["body"].replace("accounts", "cards")}))
    assert "not proved" in run("audit", "verify", "--proof", "proof.json", "--key", key, exits=1).output
    run("audit", "verify", "--proof", "proof.json", exits=2)


def test_verify__database_edited__exits_1_and_names_the_entry(home: Path) -> None:
    run("audit", "head")
    assert json.loads(run("audit", "verify", "--json").output)["intact"] is True
    with sqlite3.connect(home / ".bailiwick" / "bailiwick.db") as connection:
        connection.execute("UPDATE audit_entry SET reason = 'as agreed' WHERE sequence = 2")
    found = json.loads(run("audit", "verify", "--json", exits=1).output)
    assert found["findings"] == ["the column 'reason' of entry 2 is not what was recorded"]


def test_anchors__configured_place__takes_the_heads(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAILIWICK_AUDIT_ANCHORS", json.dumps([(home / "away" / "heads").as_uri()]))
    run("audit", "head")
    assert (home / "away" / "heads").read_text().startswith("bailiwick\n")
    monkeypatch.setenv("BAILIWICK_AUDIT_ANCHORS", '["ftp://host/heads"]')
    assert "no place for audit heads" in run("audit", "head", exits=2).output
