"""`bailiwick graph`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from typer.testing import CliRunner, Result

from bailiwick.cli.main import app
from bailiwick.domains.model import Domain
from bailiwick.governance.audit import Actor
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, edge_id, node_id
from bailiwick.platform import Platform
from bailiwick.settings import Settings

SEEN = Provenance("ddl/core.sql", 7, "sql", "run-1")


def node(name: str, kind: NodeKind = NodeKind.TABLE, **properties: Any) -> Node:
    return Node(node_id(kind, name), kind, name.rsplit(".", 1)[-1], name, "files", SEEN, properties)


def edge(kind: EdgeKind, start: Node, end: Node) -> Edge:
    return Edge(edge_id(kind, start.id, end.id), kind, start.id, end.id, "files", SEEN)


RAW, CARD, OWNER = node("raw.card"), node("core.card", comment="[bold]all cards[/]"), node("core.owner")
PAN = node("core.card.pan", NodeKind.COLUMN, type="string", nullable=False, ordinal=0)
ACCOUNT = node("core.card.account", NodeKind.COLUMN, type="bigint", ordinal=1)
OWNER_ID = node("core.owner.id", NodeKind.COLUMN)
LOAD = node("loads/card.sql#1", NodeKind.STATEMENT)
EDGES = [
    edge(EdgeKind.READS, LOAD, RAW),
    edge(EdgeKind.WRITES, LOAD, CARD),
    edge(EdgeKind.HAS, CARD, PAN),
    edge(EdgeKind.HAS, CARD, ACCOUNT),
    edge(EdgeKind.REFERENCES, ACCOUNT, OWNER_ID),
]


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("BAILIWICK_HOME", "BAILIWICK_DATABASE_URL", "BAILIWICK_CONFIG", "BAILIWICK_GRAPH_URL"):
        monkeypatch.delenv(name, raising=False)
    platform = Platform(Settings())
    platform.domains.create(Domain(id="cards", name="Cards", agent_id="agent-cards"), Actor("test"), activate=True)
    platform.graph.sync_source("files", [RAW, CARD, OWNER, PAN, ACCOUNT, OWNER_ID, LOAD], EDGES, complete=True)
    platform.close()
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["graph", *arguments])


def done(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_stats__empty_folder__says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert "bailiwick extract" in run("stats").stdout


def test_stats_and_find__what_is_stored(estate: Path) -> None:
    assert done("stats")["nodes"] == {"column": 3, "statement": 1, "table": 3}
    assert [each["qualified_name"] for each in done("find", "CARD", "--kind", "table")] == ["core.card", "raw.card"]
    assert "--offset 1" in run("find", "--limit", "1").stdout
    assert "Nothing like it" in run("find", "zebra").stdout


def test_show__table__prints_columns_in_order_lineage_keys_and_place(estate: Path) -> None:
    printed = run("show", "core.card", "--depth", "2").stdout

    assert "ddl/core.sql:7" in printed
    assert "[bold]all cards[/]" in printed
    assert printed.index("pan") < printed.index("account")
    assert "Flows in" in printed and "raw.card" in printed
    assert "core.owner.id" in printed
    shown = done("show", "core.card", "--depth", "2")
    assert len(shown["upstream"]["nodes"]) == 3
    assert shown["downstream"]["edges"] == []
    assert len(shown["references"]) == 1


def test_neighbours__direction__is_followed(estate: Path) -> None:
    assert len(done("neighbours", "raw.card", "--direction", "out")["nodes"]) == 1
    assert "<- reads" in run("neighbours", "raw.card").stdout


def test_tag__set_then_removed__is_audited(estate: Path) -> None:
    assert done("tag", "core.card", "cards", "--score", "0.7", "--reason", "known")["agent_id"] == "agent-cards"
    assert done("find", "--domain", "cards")[0]["domains"] == ["cards"]
    assert run("untag", "core.card", "cards").exit_code == 0
    assert done("find", "--domain", "cards") == []
    audit = json.loads(CliRunner().invoke(app, ["audit", "list", "--json"]).stdout)
    assert [entry["action"] for entry in audit[:2]] == ["tag.remove", "tag.set"]
    assert audit[1]["reason"] == "known"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("show", "nothing"), 3),
        (("tag", "core.card", "unknown"), 3),
        (("neighbours", "core.card", "--depth", "9"), 2),
        (("export", "--to", "no/such/folder/graph.json"), 2),
    ],
)
def test_commands__bad_input__exit_with_a_code(estate: Path, arguments: tuple[str, ...], code: int) -> None:
    assert run(*arguments).exit_code == code


def test_export__both_formats__hold_everything(estate: Path) -> None:
    everything = json.loads(run("export").stdout)
    assert (len(everything["nodes"]), len(everything["links"])) == (7, 5)
    run("tag", "core.card", "cards")
    run("export", "--format", "graphml", "--domain", "cards", "--to", "cards.graphml")

    assert len(etree.parse("cards.graphml").getroot().findall(".//{*}node")) == 1
