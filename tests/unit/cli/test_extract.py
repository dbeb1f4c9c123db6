from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bailiwick.cli.main import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "ddl.sql").write_text("CREATE TABLE customer (id INT, name STRING);\n")
    (tmp_path / "crm" / "load.sql").write_text("INSERT INTO TABLE vip\nSELECT id, name FROM customer;\n")
    (tmp_path / "crm" / "orders.json").write_text('[{"id": 1, "customer_id": 7}]')
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), terminal_width=200)


def test_extract__folder__prints_what_was_found_and_what_to_do_next(folder: Path) -> None:
    result = run("extract", "crm")
    assert result.exit_code == 0, result.output
    for word in ("assets", "relations", "table", "Inferred foreign keys", "crm.orders.customer_id", "added", "Next:"):
        assert word in result.output


def test_extract__explain__lists_every_statement_with_its_place(folder: Path) -> None:
    result = run("extract", "crm", "--explain")
    assert result.exit_code == 0, result.output
    for text in ("crm/ddl.sql:1", "crm/load.sql:1", "crm/orders.json:1", "reads customer", "writes vip", "parsed"):
        assert text in result.output


def test_extract__json__is_one_document(folder: Path) -> None:
    result = run("extract", "crm", "--json", "--explain")
    document = json.loads(result.stdout)
    assert document["assets"]["file"] == 3
    assert document["complete"] is True
    assert len(document["statements"]) == 3


def test_extract__twice__says_that_nothing_changed(folder: Path) -> None:
    run("extract", "crm")
    assert "0 added, 0 changed" in run("extract", "crm").output


def test_extract__unreadable_file__stores_the_rest_and_exits_1(folder: Path) -> None:
    (folder / "crm" / "cut.json").write_text('[{"a": ')
    result = run("extract", "crm")
    assert result.exit_code == 1
    assert "Could not be read" in result.output
    assert "truncated" in result.output
    assert "added" in result.output


def test_extract__statement_that_nothing_reads__stores_the_rest_and_exits_1(folder: Path) -> None:
    (folder / "crm" / "odd.sql").write_text("CREATE TABLE fine (id INT);\nSELECT 'never closed")
    result = run("extract", "crm")
    assert result.exit_code == 1
    assert "crm/odd.sql:2  error" in result.output
    assert "crm.fine" in run("graph", "find", "fine").output


def test_extract__control_characters_in_names__are_shown_not_sent(folder: Path) -> None:
    (folder / "crm" / "a\x1b[31m.json").write_text("[{")
    result = run("extract", "crm")
    assert result.exit_code == 1
    assert "\x1b" not in result.output
    assert "a\\x1b" in result.output


def test_extract__unknown_path__exits_2(folder: Path) -> None:
    result = run("extract", "absent")
    assert result.exit_code == 2
    assert "absent" in result.stderr


def test_extract__unknown_dialect__exits_2_with_the_allowed(folder: Path) -> None:
    result = run("extract", "crm", "--dialect", "klingon")
    assert result.exit_code == 2
    assert "hive" in result.stderr


def test_extract__dry_run__leaves_the_graph_empty(folder: Path) -> None:
    assert "nothing was written" in run("extract", "crm", "--dry-run").output
    assert "0 added" not in run("extract", "crm").output


def test_extract__open_lineage__writes_events(folder: Path) -> None:
    result = run("extract", "crm", "--dry-run", "--open-lineage", "events.jsonl")
    assert result.exit_code == 0, result.output
    lines = (folder / "events.jsonl").read_text().splitlines()
    assert {json.loads(line)["schemaURL"].rpartition("/")[2] for line in lines} >= {"DatasetEvent", "RunEvent"}
