"""Many rows at once: the fast roads into both databases, and set-valued parameters without a limit."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, Table, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY


def bulk_upsert(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows, or overwrite those with the same primary key. Values go to the driver as they are.

    Args:
        connection: of a write unit.
        table: a table with a primary key.
        columns: the columns that the rows hold, in their order; the key among them.
        rows: no two with the same key.
    """
    quote = connection.dialect.identifier_preparer.quote
    target = quote(table.name)
    keys = [column.name for column in table.primary_key]
    names = ", ".join(quote(name) for name in columns)
    overwrite = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in columns if name not in keys)
    conflict = f"ON CONFLICT ({', '.join(map(quote, keys))}) DO " + (
        f"UPDATE SET {overwrite}" if overwrite else "NOTHING"
    )
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.executemany(f"INSERT INTO {target} ({names}) VALUES ({marks}) {conflict}", rows)  # noqa: S608 - our own columns
        return
    staging = quote(f"staging_{table.name}")
    connection.exec_driver_sql(f"CREATE TEMP TABLE {staging} (LIKE {target} INCLUDING DEFAULTS) ON COMMIT DROP")
    cursor = connection.connection.cursor()
    with cursor.copy(f"COPY {staging} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    connection.exec_driver_sql(f"INSERT INTO {target} ({names}) SELECT {names} FROM {staging} {conflict}")  # noqa: S608 - our own columns
    connection.exec_driver_sql(f"DROP TABLE {staging}")


def among(dialect: str, column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    """The condition that a text column holds one of these values: one parameter, however many there are.

    Args:
        dialect: ``sqlite`` or ``postgresql``.
        column: a text column; its index is used.
        values: any number of them.
    """
    if dialect == "postgresql":
        return column == any_(bindparam(None, list(values), type_=ARRAY(String)))
    listed = func.json_each(bindparam(None, json.dumps(list(values)), type_=String)).table_valued("value")
    return column.in_(select(listed.c.value))
