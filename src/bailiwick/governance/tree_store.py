"""The tables of the tamper-evident tree: its size, its nodes, its signed heads, and where those are anchored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Integer, LargeBinary, String, Table, Text, func, select, update

from bailiwick.governance.audit import audit_entry
from bailiwick.governance.merkle import Node
from bailiwick.storage.database import Database
from bailiwick.storage.schema import UtcDateTime, metadata

audit_tree = Table(
    "audit_tree",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
)

audit_node = Table(
    "audit_node",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("note", Text, nullable=False),
)

audit_anchored = Table(
    "audit_anchored",
    metadata,
    Column("anchor", String(500), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

_ONLY_ROW = 1
_PAGE = 2_000


def lock(database: Database, connection: Connection) -> int:
    """Wait until only this unit extends the tree; returns its size."""
    database.upsert(connection, audit_tree, [{"id": _ONLY_ROW, "size": 0}], update=[])
    query = select(audit_tree.c.size).where(audit_tree.c.id == _ONLY_ROW).with_for_update()
    return int(connection.execute(query).scalar_one())


def size(connection: Connection) -> int:
    """Entries in the tree."""
    return int(connection.scalar(select(audit_tree.c.size).where(audit_tree.c.id == _ONLY_ROW)) or 0)


def waiting(connection: Connection, limit: int) -> Sequence[Any]:
    """Committed entries (sequence, body) that are not in the tree yet, in the order in which they were begun."""
    columns = audit_entry.c
    query = select(columns.sequence, columns.body).where(columns.position.is_(None))
    return connection.execute(query.order_by(columns.sequence).limit(limit)).all()


def count_waiting(connection: Connection) -> int:
    """How many are not in the tree yet."""
    query = select(func.count()).select_from(audit_entry).where(audit_entry.c.position.is_(None))
    return int(connection.execute(query).scalar_one())


def extend(
    connection: Connection, positions: Iterable[tuple[int, int]], nodes: Iterable[tuple[int, int, bytes]], new_size: int
) -> None:
    """Give entries (sequence, position) their places, and add the nodes that are now complete."""
    if connection.dialect.name == "postgresql":
        # one statement instead of one round trip each
        values = ",".join(f"({int(sequence)},{int(position)})" for sequence, position in positions)
        connection.exec_driver_sql(
            f"UPDATE audit_entry AS e SET position = v.position FROM (VALUES {values}) AS v(sequence, position)"  # noqa: S608 - integers only
            " WHERE e.sequence = v.sequence"
        )
    else:
        connection.exec_driver_sql(
            "UPDATE audit_entry SET position = ? WHERE sequence = ?",
            [(position, sequence) for sequence, position in positions],
        )
    connection.execute(
        audit_node.insert(), [{"level": level, "position": index, "hash": value} for level, index, value in nodes]
    )
    connection.execute(update(audit_tree).where(audit_tree.c.id == _ONLY_ROW).values(size=new_size))


def nodes_of(connection: Connection) -> Node:
    """The stored nodes, for `merkle`. A node that is missing raises `LookupError`."""

    def node(level: int, index: int) -> bytes:
        query = select(audit_node.c.hash).where(audit_node.c.level == level, audit_node.c.position == index)
        found = connection.scalar(query)
        if found is None:
            raise LookupError(f"node {index} of level {level} is missing")
        return bytes(found)

    return node


def in_order(connection: Connection) -> Iterator[Any]:
    """Every integrated entry by its place: all columns, and the stored hash of its leaf as ``leaf`` (None: missing)."""
    leaf = audit_node.alias("leaf")
    joined = audit_entry.outerjoin(leaf, (leaf.c.level == 0) & (leaf.c.position == audit_entry.c.position))
    last = -1
    while True:
        query = (
            select(audit_entry, leaf.c.hash.label("leaf"))
            .select_from(joined)
            .where(audit_entry.c.position > last)
            .order_by(audit_entry.c.position)
            .limit(_PAGE)
        )
        rows = connection.execute(query).mappings().all()
        yield from rows
        if len(rows) < _PAGE:
            return
        last = rows[-1]["position"]


def position_of(connection: Connection, sequence: int) -> Any:
    """The entry (sequence, position, body) of that number, or None."""
    columns = audit_entry.c
    return connection.execute(
        select(columns.sequence, columns.position, columns.body).where(columns.sequence == sequence)
    ).first()


def newest_head(connection: Connection) -> str | None:
    """The signed text of the largest head."""
    return connection.scalar(select(audit_head.c.note).order_by(audit_head.c.size.desc()).limit(1))


def heads(connection: Connection) -> Sequence[str]:
    """The signed texts of every head, smallest first."""
    return list(connection.scalars(select(audit_head.c.note).order_by(audit_head.c.size)))


def add_head(database: Database, connection: Connection, size: int, note: str, at: datetime) -> None:
    """Keep a head; one of that size that is there already stays."""
    database.upsert(connection, audit_head, [{"size": size, "note": note, "at": at}], update=[])


def anchored(connection: Connection) -> dict[str, int]:
    """The largest head that each anchor is known to have taken."""
    return {row.anchor: row.size for row in connection.execute(select(audit_anchored))}


def mark_anchored(database: Database, connection: Connection, anchor: str, size: int, at: datetime) -> None:
    """Remember that an anchor took a head."""
    database.upsert(connection, audit_anchored, [{"anchor": anchor, "size": size, "at": at}])
