"""Which table a name means. SQL often leaves the database out; then the folder of the file decides.

A table that is defined without a database belongs to the database that its folder is named after. A table that is only
mentioned is looked up in its own folder's database first, then among what is defined below each enclosing folder, from
the inside outwards, like a name in nested scopes; a scope that holds it twice decides nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import Final

from bailiwick.extraction.model import Schema, TableFact, merge_tables

FOUND_ELSEWHERE: Final = 0.7
"""Confidence that a name found in an enclosing scope is meant."""

_GENERIC = frozenset(
    {"ddl", "dml", "sql", "hql", "hive", "schema", "schemas", "table", "tables", "json", "data", "src", "query"}
    | {"queries", "script", "scripts", "etl", "jobs", "views"}
)


def database_of(folder: str) -> str:
    """The database that a folder stands for: its name, past words that only say what kind of files it holds.

    >>> database_of("estate/Retail/ddl"), database_of("northwind")
    ('retail', 'northwind')
    """
    parts = [part.lower().replace(".", "_") for part in PurePosixPath(folder).parts if part not in {"/", "."}]
    telling = [part for part in parts if part not in _GENERIC]
    return (telling or parts or ["default"])[-1]


class Namespace:
    """All definitions of a run, and what names mean in a folder.

    Args:
        tables: (folder of the file, fact) of every file, in file order.
    """

    def __init__(self, tables: Iterable[tuple[str, TableFact]]) -> None:
        pieces = list(tables)
        self._defined: set[str] = set()
        self._below: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for folder, table in pieces:
            if table.defines:
                self._define(folder, table.name)
        self.resolve = cache(self._resolve)
        self._tables = merge_tables(table.renamed(self.within(folder)) for folder, table in pieces)
        self._columns: Mapping[str, Mapping[str, str]] = Schema.of(self._tables.values()).columns

    def _define(self, folder: str, name: str) -> None:
        qualified = name if "." in name else f"{database_of(folder)}.{name}"
        self._defined.add(qualified)
        short = name.rpartition(".")[2]
        for scope in (folder, *map(str, PurePosixPath(folder).parents)):
            self._below[scope][short].add(qualified)

    def _resolve(self, name: str, folder: str) -> tuple[str, float]:
        """The qualified name and how sure we are, from 0 to 1.

        >>> from bailiwick.graph.model import NodeKind
        >>> tables = [("estate/crm", TableFact("customer", NodeKind.TABLE))]
        >>> Namespace(tables).resolve("customer", "estate/etl")
        ('crm.customer', 0.7)
        """
        if "." in name:
            return name, 1.0
        own = f"{database_of(folder)}.{name}"
        if own in self._defined:
            return own, 1.0
        for scope in (folder, *map(str, PurePosixPath(folder).parents)):
            found = self._below[scope].get(name, set()) if scope in self._below else set()
            if len(found) == 1:
                return next(iter(found)), FOUND_ELSEWHERE
            if found:
                break
        return own, 1.0

    def within(self, folder: str) -> Callable[[str], str]:
        """How names written in a folder are spelled in full."""
        return lambda name: self.resolve(name, folder)[0]

    def view(self, folder: str) -> Schema:
        """The schema as files of a folder may name it: by qualified names, and by short ones that mean one table."""
        shorts = {name.rpartition(".")[2] for name in self._columns}
        meant = {short: self.resolve(short, folder)[0] for short in shorts}
        visible = {short: self._columns[name] for short, name in meant.items() if name in self._columns}
        return Schema({**visible, **self._columns})
