"""Rollouts with their moves, what a plan compares, and what gateways say they serve."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def upgrade() -> None:
    """Forward."""
    with op.batch_alter_table("traffic_plan", schema=None) as batch_op:
        batch_op.add_column(sa.Column("comparison", JSON, nullable=True))
    op.create_table(
        "gateway_report",
        _text("gateway", 100),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("gateway", name=op.f("pk_gateway_report")),
    )
    op.create_table(
        "canary_deployments",
        _text("id", 100),
        _text("domain", 64),
        _text("version", 200),
        _text("baseline", 200),
        sa.Column("steps", JSON, nullable=False),
        sa.Column("policy", JSON, nullable=False),
        _text("state", 20),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("seen_s", sa.Float(53), nullable=False),
        sa.Column("ticked_at", INSTANT, nullable=False),
        sa.Column("approved_step", sa.Integer(), nullable=False),
        sa.Column("row_version", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("plan_revision", sa.Integer(), nullable=False),
        sa.Column("base_revision", sa.Integer(), nullable=False),
        _text("deployment", 100),
        sa.Column("started_at", INSTANT, nullable=False),
        _text("started_by", 200),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("epochs", JSON, nullable=False),
        sa.Column("planned", JSON, nullable=False),
        sa.Column("evidence", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canary_deployments")),
    )
    op.create_index(
        "uq_canary_deployments_active",
        "canary_deployments",
        ["domain"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_canary_deployments_started", "canary_deployments", ["domain", "started_at"])
    op.create_table(
        "rollout_transition",
        sa.Column("sequence", SEQUENCE, autoincrement=True, nullable=False),
        _text("rollout", 100),
        sa.Column("row_version", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        _text("action", 20),
        _text("before", 20, nullable=True),
        _text("after", 20),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        _text("actor", 200),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=True),
        sa.Column("plan_revision", sa.Integer(), nullable=False),
        sa.Column("evidence", JSON, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_rollout_transition")),
        sa.UniqueConstraint("rollout", "row_version", name="uq_rollout_transition_rollout_row_version"),
    )


def downgrade() -> None:
    """Back."""
    op.drop_table("rollout_transition")
    op.drop_index("ix_canary_deployments_started", table_name="canary_deployments")
    op.drop_index("uq_canary_deployments_active", table_name="canary_deployments")
    op.drop_table("canary_deployments")
    op.drop_table("gateway_report")
    with op.batch_alter_table("traffic_plan", schema=None) as batch_op:
        batch_op.drop_column("comparison")
