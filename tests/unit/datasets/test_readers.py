from __future__ import annotations

import json
from pathlib import Path

import pytest

from bailiwick.datasets.model import Row, Split
from bailiwick.datasets.readers import Columns, Source, open_file, read_rows
from bailiwick.errors import InvalidInput


def rows(
    content: str | bytes, columns: Columns | None = None, name: str = "x.csv", domain: str | None = "d"
) -> list[Row]:
    source = Source(name, content.encode() if isinstance(content, str) else content)
    return [read.row for read in read_rows(source, columns or Columns(), domain=domain)]


def test_read__usual_columns__found() -> None:
    assert rows("query,intent\nhello there,greet\n") == [Row("hello there", "greet", "d")]


def test_read__named_columns__taken() -> None:
    columns = Columns(text="t", label="l", domain="area", unit="who", split="part")
    content = "t,l,area,who,part\nhi,greet,chat,ada,dev\n"
    assert rows(content, columns, domain=None) == [Row("hi", "greet", "chat", "ada", Split.VALIDATION)]


def test_read__quotes_newlines_and_byte_order_mark__kept() -> None:
    assert rows('\ufefftext,label\n"one, ""two""\nthree",a\n')[0].text == 'one, "two"\nthree'


def test_read__tabs__read() -> None:
    assert rows("text\tlabel\na, b\tx\n", name="x.tsv") == [Row("a, b", "x", "d")]


def test_read__json_lines__read_with_numbers_as_text() -> None:
    lines = "\n".join(json.dumps(record) for record in ({"text": "a", "label": 1}, {"text": "b", "label": True}))
    assert [row.label for row in rows(lines + "\n\n", name="x.jsonl")] == ["1", "True"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", "text,category\nhi\n", "line 2"),
        ("x.csv", "text,label\nhi,a\nhi,a,b\n", "line 3"),
        ("x.csv", 'text,label\n"hi,a\n', "CSV"),
        ("x.csv", "text,text\nhi,a\n", "twice"),
        ("x.csv", "words,label\nhi,a\n", "text"),
        ("x.csv", "text,words\nhi,a\n", "label"),
        ("x.csv", "", "no rows"),
        ("x.csv", "text,label\n", "no rows"),
        ("x.csv", b"text,label\nok,a\nna\xefve,a\n", "line 3"),
        ("x.csv", "text,label\n" + "a" * 100_001 + ",x\n", "characters"),
        ("x.csv", "text,label,split\na,b,sometimes\n", "sometimes"),
        ("x.csv", "text,label\nnul\0byte,x\n", "CSV|character"),
        ("x.jsonl", "{}\n[1]\n", "line 2|text"),
        ("x.jsonl", "not json\n", "line 1"),
        ("x.jsonl", "[" * 100_000 + "\n", "line 1"),
        ("x.jsonl", '{"text": ["a"], "label": "b"}\n', "list"),
        ("x.jsonl", '{"text": "\\ud800", "label": "b"}\n', "character"),
        ("x.xlsx", "PK", "format"),
    ],
)
def test_read__bad_content__error_names_the_place(name: str, content: str | bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        rows(content, name=name)
    assert caught.value.where is not None
    assert caught.value.where.startswith(name)


def test_read__no_domain_known__says_how_to_name_one() -> None:
    with pytest.raises(InvalidInput, match="--domain"):
        rows("text,label\na,b\n", domain=None)


def test_read__named_column_missing__lists_what_is_there() -> None:
    with pytest.raises(InvalidInput) as caught:
        rows("text,label\na,b\n", Columns(unit="customer"))
    assert caught.value.allowed == ["text", "label"]


def test_open__no_file_or_a_folder__refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InvalidInput):
            open_file(path)
