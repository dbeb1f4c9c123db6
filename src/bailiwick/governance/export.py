"""The trail as a file that is verified without the database: JSON lines of heads, then entries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.governance.checkpoint import Head, parse

FORMAT = "bailiwick-audit-1"


@dataclass(frozen=True, slots=True)
class Export:
    """An export as it was read.

    Args:
        key: the verifier key that it names; trust it only where it is known from elsewhere.
        entries: ``position`` and ``body`` of each.
    """

    key: str
    heads: tuple[Head, ...]
    entries: tuple[Mapping[str, Any], ...]


def export_lines(key: str, notes: Iterable[str], entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of an export, without line ends."""
    yield json.dumps({"format": FORMAT, "key": key})
    for note in notes:
        yield json.dumps({"head": note}, ensure_ascii=False)
    for row in entries:
        yield json.dumps({"position": row["position"], "body": row["body"]}, ensure_ascii=False)


def read_export(path: Path) -> Export:
    """Read an export.

    Raises:
        InvalidInput: the file is something else, or a line of it is damaged.
    """
    heads: list[Head] = []
    entries: list[Mapping[str, Any]] = []
    key = None
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                document = json.loads(line)
                if number == 1:
                    key = document["key"] if document.get("format") == FORMAT else None
                    if not isinstance(key, str):
                        raise InvalidInput(f"{path} is no audit export", what="file", where=str(path), allowed=FORMAT)
                elif "head" in document:
                    heads.append(parse(document["head"]))
                else:
                    entries.append({"position": int(document["position"]), "body": str(document["body"])})
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", what="file", where=str(path)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"line {number} of {path} is no part of an audit export: {error}", what="file", where=f"{path}:{number}"
        ) from error
    if key is None:
        raise InvalidInput(f"{path} is empty", what="file", where=str(path), allowed=FORMAT)
    return Export(key, tuple(heads), tuple(entries))
