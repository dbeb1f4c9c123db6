"""The tamper-evident tree over the audit trail."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_FIELDS = ("actor", "action", "subject", "reason", "before", "after", "request_id")
_PAGE = 1_000


def upgrade() -> None:
    """Forward. Entries of before get their text from their columns; they are protected from now on."""
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.add_column(sa.Column("body", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("position", sa.BigInteger(), nullable=True))
        batch_op.create_index("uq_audit_entry_position", ["position"], unique=True)
    _write_bodies()
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.alter_column("body", existing_type=sa.Text(), nullable=False)
    op.create_table(
        "audit_tree",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_tree")),
    )
    op.create_table(
        "audit_node",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name=op.f("pk_audit_node")),
    )
    op.create_table(
        "audit_head",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "audit_anchored",
        sa.Column("anchor", sa.String(length=500), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("anchor", name=op.f("pk_audit_anchored")),
    )


def downgrade() -> None:
    """Back."""
    op.drop_table("audit_anchored")
    op.drop_table("audit_head")
    op.drop_table("audit_node")
    op.drop_table("audit_tree")
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.drop_index("uq_audit_entry_position")
        batch_op.drop_column("position")
        batch_op.drop_column("body")


def _write_bodies() -> None:
    connection = op.get_bind()
    entry = sa.table(
        "audit_entry",
        sa.column("sequence", sa.BigInteger),
        sa.column("at", INSTANT),
        *(sa.column(name, JSON if name in {"before", "after"} else sa.Text) for name in _FIELDS),
        sa.column("body", sa.Text),
    )
    last = 0
    while True:
        query = sa.select(entry).where(entry.c.sequence > last).order_by(entry.c.sequence).limit(_PAGE)
        rows = connection.execute(query).mappings().all()
        if not rows:
            return
        change = sa.update(entry).where(entry.c.sequence == sa.bindparam("of")).values(body=sa.bindparam("text"))
        connection.execute(change, [{"of": row["sequence"], "text": _body(row)} for row in rows])
        last = rows[-1]["sequence"]


def _body(row: Any) -> str:
    at: datetime = row["at"]
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    document = {name: row[name] for name in _FIELDS if row[name] is not None}
    document["at"] = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
