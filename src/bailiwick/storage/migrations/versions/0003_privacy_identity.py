"""Which content and which namespace a privacy budget's lineage is bound to.

Budgets that exist keep their lineage for the namespace that had it first. Accounts that another namespace opened over
the same lineage stay readable, with all that they spent, and take no further charge.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "privacy_lineage",
        sa.Column("lineage", sa.String(length=200), nullable=False),
        sa.Column("namespace", sa.String(length=200), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("lineage", name=op.f("pk_privacy_lineage")),
    )
    op.create_table(
        "privacy_content",
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("lineage", sa.String(length=200), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("content", name=op.f("pk_privacy_content")),
    )
    op.add_column("dataset", sa.Column("content", sa.String(length=64), nullable=True))
    op.execute(
        "INSERT INTO privacy_lineage (lineage, namespace, at) "
        "SELECT lineage, namespace, created_at FROM ("
        "SELECT lineage, namespace, created_at, "
        "row_number() OVER (PARTITION BY lineage ORDER BY created_at, namespace) AS place "
        "FROM privacy_account WHERE domain = '') AS opened WHERE place = 1"
    )


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("dataset", schema=None) as batch_op:
        batch_op.drop_column("content")
    op.drop_table("privacy_content")
    op.drop_table("privacy_lineage")
