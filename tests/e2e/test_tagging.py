"""Tagging over what may be elsewhere: the graph behind a Bolt server, the domains of another running Bailiwick."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import servers
from click.testing import Result
from serving import serving
from typer.testing import CliRunner

from bailiwick.cli.main import app

SQL = {
    "ddl.sql": "CREATE TABLE card (pan STRING);\nCREATE TABLE mortgage (id INT);\nCREATE TABLE weather (sky STRING);\n",
    "load.sql": "INSERT INTO TABLE daily SELECT pan AS p FROM card;\n",
}
DOMAINS = {"domains": {"cards": {"keywords": ["card"]}, "loans": {"keywords": ["mortgage"]}}}


def bailiwick(home: Path, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["--home", str(home), *words])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


def tagged(home: Path, domain: str) -> dict[str, str]:
    """Kind by name of the assets of a domain."""
    found = json.loads(bailiwick(home, "graph", "find", "--domain", domain, "--limit", "100", "--json").stdout)
    return {each["qualified_name"]: each["kind"] for each in found}


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("bank").mkdir()
    for name, text in SQL.items():
        Path("bank", name).write_text(text, "utf-8")
    Path("domains.json").write_text(json.dumps(DOMAINS), "utf-8")
    return tmp_path / "home"


def _tagged_like_a_person_would(home: Path) -> None:
    cards, loans = tagged(home, "cards"), tagged(home, "loans")
    assert {"bank.card", "bank.card.pan", "bank.daily"} <= set(cards)
    assert "bank.mortgage" in loans
    assert not any("weather" in name for name in {**cards, **loans})


@pytest.mark.bolt
def test_detect__graph_behind_bolt__manual_tags_win_and_a_cause_that_goes_takes_its_tags(
    bank: Path, bolt_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAILIWICK_GRAPH_URL", bolt_url)
    monkeypatch.setenv("BAILIWICK_GRAPH_USER", servers.BOLT_USER)
    monkeypatch.setenv("BAILIWICK_GRAPH_PASSWORD", servers.BOLT_PASSWORD)
    bailiwick(bank, "domain", "import", "domains.json")
    bailiwick(bank, "extract", "bank")
    bailiwick(bank, "detect")
    _tagged_like_a_person_would(bank)
    bailiwick(bank, "graph", "tag", "bank.card", "loans")
    bailiwick(bank, "detect")
    assert "bank.card" not in tagged(bank, "cards")
    assert {"bank.card", "bank.daily"} <= set(tagged(bank, "loans"))
    bailiwick(bank, "graph", "untag", "bank.card", "loans")
    bailiwick(bank, "domain", "update", "loans", "--remove-keyword", "mortgage")
    bailiwick(bank, "detect")
    assert tagged(bank, "loans") == {}
    assert "bank.card" in tagged(bank, "cards")


def test_detect__domains_of_another_bailiwick__by_its_address_while_it_runs(bank: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    bailiwick(other, "domain", "import", "domains.json")
    bailiwick(bank, "extract", "bank")
    bailiwick(bank, "detect", code=2)  # it has no domains of its own
    with serving(other) as server:
        report = json.loads(bailiwick(bank, "detect", "--domains-url", server.url, "--json").stdout)
        assert report["domains_source"] == server.url
        _tagged_like_a_person_would(bank)
    bailiwick(bank, "detect", "--domains-url", server.url, code=8)
    _tagged_like_a_person_would(bank)  # what does not answer takes no tags away
