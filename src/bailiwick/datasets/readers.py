"""Labelled files to rows. Every file is hostile until parsed: what is wrong is named with its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bailiwick.datasets.model import Row, Split
from bailiwick.errors import InvalidInput

MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_FIELD_CHARACTERS = 100_000
MAX_LABEL_CHARACTERS = 200
MAX_ROWS = 2_000_000

_TEXT_NAMES = ("text", "query", "utterance", "sentence", "question")
_LABEL_NAMES = ("label", "intent", "category", "class")
_SPLIT_NAMES = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "validation": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "val": Split.VALIDATION,
    "dev": Split.VALIDATION,
    "test": Split.TEST,
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what. A name left out is looked for under its usual names.

    Args:
        text: default: the first of text, query, utterance, sentence, question that is there.
        label: default: the first of label, intent, category, class.
        domain: default: ``domain``, where it is there and no fixed domain is given.
        unit: default: ``unit``, where it is there.
        split: default: ``split``, where it is there; values train, validation (valid, val, dev) and test.
    """

    text: str | None = None
    label: str | None = None
    domain: str | None = None
    unit: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A row as it was found, before any is dropped; ``text`` and ``label`` may be empty."""

    row: Row
    place: str


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes to read rows from.

    Args:
        name: for messages, such as the path; its ending tells the format: .csv, .tsv, .jsonl or .ndjson.
        split: of every row; no split column is read then.
    """

    name: str
    content: bytes
    split: Split | None = None


def open_file(path: Path, split: Split | None = None) -> Source:
    """A file as a source.

    Raises:
        InvalidInput: it cannot be read, or is too large.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidInput(f"{path.name!r} is too large", where=str(path), allowed=f"{MAX_FILE_BYTES} bytes")
        return Source(str(path), path.read_bytes(), split)
    except OSError as error:
        raise InvalidInput(
            f"cannot read {str(path)!r}: {error.strerror}", what="file", where=str(path), remedy="check the path"
        ) from error


def read_rows(source: Source, columns: Columns, *, domain: str | None = None) -> Iterator[Read]:
    """The rows of a CSV or JSON-lines source, in order.

    Args:
        source: what to read.
        columns: which column holds what.
        domain: of every row; no domain column is read then.

    Raises:
        InvalidInput: it is not UTF-8, lacks a column, or holds a value of the wrong kind.
    """
    suffix = Path(source.name).suffix.lower()
    if suffix in (".csv", ".tsv"):
        records = _csv_records(_decode(source), source.name, "\t" if suffix == ".tsv" else ",")
    elif suffix in (".jsonl", ".ndjson"):
        records = _json_records(_decode(source), source.name)
    else:
        raise InvalidInput(
            f"cannot tell the format of {source.name!r}",
            where=source.name,
            allowed=[".csv", ".tsv", ".jsonl", ".ndjson"],
            remedy="give the file a name with one of these endings",
        )
    chosen: Columns | None = None
    for number, (line, record) in enumerate(records):
        if number >= MAX_ROWS:
            raise InvalidInput(f"{source.name!r} has too many rows", where=source.name, allowed=MAX_ROWS)
        if chosen is None:
            chosen = _choose(columns, list(record), source.name, domain is not None, source.split is not None)
        place = f"{source.name}:{line}"
        yield Read(_row(record, chosen, place, domain, source.split), place)
    if chosen is None:
        raise InvalidInput(f"{source.name!r} holds no rows", where=source.name)


def _decode(source: Source) -> str:
    try:
        return source.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source.content[: error.start].count(b"\n") + 1
        raise InvalidInput(
            f"{source.name!r} is not UTF-8: byte {source.content[error.start]:#04x} in line {line}",
            where=f"{source.name}:{line}",
            remedy="convert it first, such as with `iconv -f latin1 -t utf-8`",
        ) from error


def _csv_records(text: str, path: str, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
        if not header:
            return
        header = [name.strip() for name in header]
        if len(set(header)) != len(header):
            raise InvalidInput(f"{path!r} names a column twice", where=f"{path}:1", requested=header[:50])
        while True:
            line = reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                return
            if not cells:
                continue
            if len(cells) != len(header):
                raise InvalidInput(
                    f"line {line} has {len(cells)} cells, the header {len(header)}",
                    where=f"{path}:{line}",
                    remedy='quote texts that hold a comma: "yes, please"',
                )
            yield line, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise InvalidInput(
            f"{path!r} is not valid CSV: {error}",
            where=f"{path}:{reader.line_num}",
            remedy="check the quotes there",
        ) from error


def _json_records(text: str, path: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            record = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"line {line} is not JSON: {str(error)[:200]}", where=f"{path}:{line}") from error
        if not isinstance(record, dict):
            raise InvalidInput(f"line {line} is not an object", where=f"{path}:{line}", requested=content[:80])
        yield line, record


def _choose(columns: Columns, found: Sequence[str], path: str, fixed_domain: bool, fixed_split: bool) -> Columns:
    def required(name: str | None, usual: Sequence[str], what: str) -> str:
        if name is None:
            name = next((candidate for candidate in usual if candidate in found), None)
        if name is None or name not in found:
            wanted = repr(name) if name else f"for the {what}"
            raise InvalidInput(
                f"{path!r} has no column {wanted}",
                what=f"{what} column",
                where=f"{path}:1",
                requested=name,
                allowed=list(found)[:50],
                remedy=f"name it with --{what}-column",
            )
        return name

    def optional(name: str | None, what: str) -> str | None:
        if name is not None:
            return required(name, (), what)
        return what if what in found else None

    domain = None
    if not fixed_domain:
        domain = optional(columns.domain, "domain")
        if domain is None:
            raise InvalidInput(
                f"no domain is known for the rows of {path!r}",
                what="domain",
                where=f"{path}:1",
                allowed=list(found)[:50],
                remedy="name one with --domain, or its column with --domain-column",
            )
    return Columns(
        text=required(columns.text, _TEXT_NAMES, "text"),
        label=required(columns.label, _LABEL_NAMES, "label"),
        domain=domain,
        unit=optional(columns.unit, "unit"),
        split=None if fixed_split else optional(columns.split, "split"),
    )


def _row(record: Mapping[str, Any], columns: Columns, place: str, domain: str | None, split: Split | None) -> Row:
    def cell(name: str | None, limit: int) -> str:
        value = record.get(name) if name else None
        if value is None:
            return ""
        if isinstance(value, bool | int | float):
            value = str(value)
        if not isinstance(value, str):
            raise InvalidInput(f"column {name!r} holds a {type(value).__name__}", what=name, where=place)
        value = value.strip()
        if len(value) > limit:
            raise InvalidInput(
                f"column {name!r} holds {len(value)} characters", what=name, where=place, allowed=f"at most {limit}"
            )
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidInput(f"column {name!r} holds a character that is no text", what=name, where=place)
        return value

    named_split = cell(columns.split, MAX_LABEL_CHARACTERS).lower()
    if named_split and named_split not in _SPLIT_NAMES:
        raise InvalidInput(
            f"unknown split {named_split!r}", what=columns.split, where=place, allowed=sorted(_SPLIT_NAMES)
        )
    return Row(
        text=cell(columns.text, MAX_FIELD_CHARACTERS),
        label=cell(columns.label, MAX_LABEL_CHARACTERS),
        domain=domain or cell(columns.domain, MAX_LABEL_CHARACTERS),
        unit=cell(columns.unit, MAX_LABEL_CHARACTERS) or None,
        split=split or _SPLIT_NAMES.get(named_split),
    )
