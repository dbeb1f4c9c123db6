"""Routing: what was published, and the log of decisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "routing_revision",
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("body", JSON, nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_routing_revision")),
    )
    with op.batch_alter_table("routing_revision", schema=None) as batch_op:
        batch_op.create_index("ix_routing_revision_kind", ["kind", "revision"], unique=False)
    op.create_table(
        "routing_decision",
        sa.Column("request_id", sa.String(length=100), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("method", sa.String(length=20), nullable=False),
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("proposed", sa.String(length=64), nullable=False),
        sa.Column("propensity", sa.Float(precision=53), nullable=False),
        sa.Column("detected", sa.String(length=64), nullable=False),
        sa.Column("context", sa.String(length=200), nullable=False),
        sa.Column("draw", sa.Float(precision=53), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("follow_up", sa.Boolean(), nullable=False),
        sa.Column("answered", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Float(precision=53), nullable=True),
        sa.Column("tokens", sa.BigInteger(), nullable=True),
        sa.Column("seen", JSON, nullable=False),
        sa.Column("metric", sa.String(length=200), nullable=True),
        sa.Column("value", sa.Float(precision=53), nullable=True),
        sa.Column("right_domain", sa.String(length=64), nullable=True),
        sa.Column("judged_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_routing_decision")),
    )
    with op.batch_alter_table("routing_decision", schema=None) as batch_op:
        batch_op.create_index("ix_routing_decision_at", ["at"], unique=False)
        batch_op.create_index("ix_routing_decision_judged", ["judged_at"], unique=False)
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.create_index("ix_feedback_at", ["at"], unique=False)


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.drop_index("ix_feedback_at")
    op.drop_table("routing_decision")
    op.drop_table("routing_revision")
