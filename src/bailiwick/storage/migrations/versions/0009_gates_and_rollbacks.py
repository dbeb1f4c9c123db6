"""Gate policies, approvals, and rollbacks that happened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ADDED = ("environment", "policy_revision", "artefact_sha256", "approvals_needed", "expires_at", "outcome")


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "gate_policy",
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("policy", JSON, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("domain", "environment", "revision", name=op.f("pk_gate_policy")),
    )
    op.create_table(
        "deployment_approval",
        sa.Column("sequence", KEY, autoincrement=True, nullable=False),
        sa.Column("deployment", sa.String(length=100), nullable=False),
        sa.Column("approver", sa.String(length=200), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_deployment_approval")),
        sa.UniqueConstraint("deployment", "approver", name="uq_deployment_approval_approver"),
    )
    op.create_table(
        "rollback_events",
        sa.Column("sequence", KEY, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("deployment", sa.String(length=100), nullable=True),
        sa.Column("removed", JSON, nullable=False),
        sa.Column("restored", JSON, nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("rule", sa.String(length=40), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("plan_revision", sa.Integer(), nullable=False),
        sa.Column("metric", sa.String(length=200), nullable=True),
        sa.Column("baseline", sa.Float(53), nullable=True),
        sa.Column("current", sa.Float(53), nullable=True),
        sa.Column("baseline_samples", sa.BigInteger(), nullable=True),
        sa.Column("samples", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_rollback_events")),
        sa.UniqueConstraint("id", name="uq_rollback_events_id"),
    )
    op.create_index("ix_rollback_events_domain", "rollback_events", ["domain", "sequence"])
    automatic = sa.text("automatic")
    op.create_index(
        "uq_rollback_events_automatic",
        "rollback_events",
        ["deployment"],
        unique=True,
        sqlite_where=automatic,
        postgresql_where=automatic,
    )
    with op.batch_alter_table("deployment") as batch:
        batch.add_column(sa.Column("environment", sa.String(length=64), nullable=False, server_default="production"))
        batch.add_column(sa.Column("policy_revision", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("artefact_sha256", sa.String(length=64), nullable=True))
        batch.add_column(sa.Column("approvals_needed", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("expires_at", INSTANT, nullable=True))
        batch.add_column(sa.Column("outcome", sa.Text(), nullable=True))
        batch.create_index("ix_deployment_plan", ["domain", "plan_revision"])


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("deployment") as batch:
        batch.drop_index("ix_deployment_plan")
        for name in reversed(ADDED):
            batch.drop_column(name)
    for table in ("rollback_events", "deployment_approval", "gate_policy"):
        op.drop_table(table)
