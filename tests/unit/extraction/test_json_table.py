from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bailiwick.extraction.files import Unreadable, Unrecognised, decode
from bailiwick.extraction.json_table import read_json
from bailiwick.extraction.model import ColumnFact, Outcome, TableFact


def table(document: Any, path: str = "db/customers.json") -> TableFact:
    (found,) = read_json(document if isinstance(document, str) else json.dumps(document), path).tables
    return found


def column(found: TableFact, name: str) -> ColumnFact:
    return next(column for column in found.columns if column.name == name)


@pytest.mark.corpora
def test_json_tables__every_file_of_the_corpus__has_its_columns_types_and_null_ratios(corpora: Path) -> None:
    paths = sorted((corpora / "json-tables").glob("*/*.json"))
    assert len(paths) == 128
    for path in paths:
        document = json.loads(path.read_text())
        found = table(path.read_text(), path.name)
        assert found.name == document["table_name"].lower()
        declared = dict(zip((name.lower() for name in document["column_names"]), document["column_types"], strict=True))
        for ordinal, (name, kind) in enumerate(declared.items()):
            fact = found.columns[ordinal]
            assert (fact.name, fact.type) == (name, kind.lower() if kind else fact.type)
            rows = document["sample_rows"]
            if rows:
                original = document["column_names"][ordinal]
                nulls = sum(row.get(original) is None or row[original] != row[original] for row in rows)
                assert fact.statistics["null_ratio"] == pytest.approx(nulls / len(rows), abs=1e-6)


@pytest.mark.corpora
def test_schema_file__tpcds__gives_24_tables_and_425_columns(corpora: Path) -> None:
    found = read_json((corpora / "tpcds-inserts" / "schema.json").read_text(), "schema.json").tables
    assert (len(found), sum(len(table.columns) for table in found)) == (24, 425)
    assert column(next(t for t in found if t.name == "item"), "i_item_sk").type == "bigint"


def test_records__types_gaps_and_spread__are_inferred() -> None:
    found = table(
        [
            {"Id": 1, "opened": "2026-01-01", "balance": 10.5, "email": "a@b.org", "note": None},
            {"Id": 2, "opened": "2026-01-02T10:00:00Z", "balance": 7, "email": "c@d.org"},
        ]
    )
    assert [(c.name, c.type) for c in found.columns] == [
        ("id", "int"),
        ("opened", "timestamp"),
        ("balance", "double"),
        ("email", "string"),
        ("note", "string"),
    ]
    assert column(found, "id").statistics["distinct"] == 2
    assert (column(found, "balance").statistics["min"], column(found, "balance").statistics["max"]) == (7, 10.5)
    assert column(found, "email").statistics["semantic_type"] == "email"
    assert column(found, "note").statistics["null_ratio"] == 1.0
    assert column(found, "note").statistics["missing_ratio"] == 0.5
    assert column(found, "note").nullable is True


def test_records__strings__leave_no_values_behind() -> None:
    found = table([{"name": "Ada Lovelace"}, {"name": "Grace Hopper"}])
    assert "Ada" not in json.dumps(dict(column(found, "name").statistics))


def test_records__nested__become_paths() -> None:
    found = table([{"address": {"city": "Ulm"}, "items": [{"sku": "a"}, {"sku": "b"}], "tags": ["x"]}])
    assert {c.name: c.type for c in found.columns} == {
        "address": "struct",
        "address.city": "string",
        "items": "array<struct>",
        "items[].sku": "string",
        "tags": "array<string>",
    }


def test_table_columns_rows__rows_as_lists_or_records__are_read() -> None:
    columns = [{"name": "id", "type": "BIGINT", "nullable": False, "description": "key"}, {"name": "city"}]
    for rows in ([[1, "Ulm"], [2, None]], [{"id": 1, "city": "Ulm"}, {"id": 2, "city": None}]):
        found = table({"table": "crm.customer", "columns": columns, "rows": rows})
        assert found.name == "crm.customer"
        assert (column(found, "id").type, column(found, "id").nullable, column(found, "id").comment) == (
            "bigint",
            False,
            "key",
        )
        assert column(found, "city").statistics["null_ratio"] == 0.5


def test_described_table__lists_of_different_length__is_said() -> None:
    text = json.dumps(
        {"table_name": "t", "column_names": ["a", "b"], "column_types": ["INT"], "sample_rows": [{"a": 1}]}
    )
    facts = read_json(text, "t.json")
    assert facts.outcomes[0].outcome is Outcome.FALLBACK
    assert "column_types has 1 entries for 2 columns" in str(facts.outcomes[0].message)
    assert [c.type for c in facts.tables[0].columns] == ["int", "string"]


def test_described_table__undeclared_column_in_the_rows__is_kept_and_noted() -> None:
    found = table(
        {"table_name": "t", "column_names": ["a"], "column_types": ["INT"], "sample_rows": [{"a": 1, "b": 2}]}
    )
    assert found.properties["undeclared_columns"] == ["b"]
    assert [c.name for c in found.columns] == ["a", "b"]


def test_several_tables__object_of_arrays__one_each() -> None:
    facts = read_json(json.dumps({"a": [{"x": 1}], "b": [{"y": 1}]}), "db.json")
    assert [found.name for found in facts.tables] == ["a", "b"]


def test_json_lines__bad_line__is_an_outcome_with_its_place() -> None:
    facts = read_json('{"a": 1}\n{"a": \n\n{"a": 3}\n', "t.jsonl")
    assert [(o.outcome, o.line) for o in facts.outcomes] == [(Outcome.FALLBACK, 1), (Outcome.ERROR, 2)]
    assert facts.tables[0].properties["rows"] == 2


def test_json_lines__in_a_json_file__are_recognised() -> None:
    assert read_json('{"a": 1}\n{"a": 2}\n', "t.json").tables[0].properties["rows"] == 2


def test_names__that_differ_in_case_only__both_stay() -> None:
    assert [c.name for c in table([{"Id": 1, "id": 2, "ID": 3}]).columns] == ["id", "id#2", "ID"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"a": 1}, {"a": ', "truncated"),
        ('{"table": "t", "columns": ["a', "truncated"),
        ("[" * 100_000, "too deep"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "too deep"),
        ("[1, 2,, 3]", "not JSON"),
    ],
    ids=["array", "string", "deep array", "deep object", "comma"],
)
def test_bad_json__is_refused_with_a_line(text: str, says: str) -> None:
    with pytest.raises(Unreadable, match=says) as refused:
        read_json(text, "t.json")
    assert refused.value.line == 1


@pytest.mark.parametrize("text", ['{"domains": {}, "port": 1}', "[1, 2]", "3", "{}", "", '{"a": "hello", "b": {}}'])
def test_other_json__is_left_aside(text: str) -> None:
    with pytest.raises(Unrecognised):
        read_json(text, "t.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_encodings__are_detected(encoding: str) -> None:
    text = json.dumps([{"straße": "Köln"}], ensure_ascii=False)
    decoded, _ = decode(text.encode(encoding))
    assert table(decoded).columns[0].name == "straße"


def test_long_line__a_million_values__stays_small() -> None:
    text = json.dumps([{"a": i, "b": "x" * 20} for i in range(20_000)])
    found = table(text)
    assert column(found, "a").statistics["distinct"] == pytest.approx(20_000, rel=0.5)
    assert len(column(found, "a").statistics["sketch"]) == 64


def test_odd_numbers__nan_and_huge__are_taken() -> None:
    found = table('[{"a": NaN, "b": 123456789012345678901234567890}]')
    assert [c.type for c in found.columns] == ["string", "decimal"]
    assert column(found, "a").statistics["null_ratio"] == 1.0
