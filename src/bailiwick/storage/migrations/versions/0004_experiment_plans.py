"""The plans of experiments, and the holdout."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "experiment_plan",
        sa.Column("experiment", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("running", sa.Boolean(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("change", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("plan", JSON, nullable=False),
        sa.PrimaryKeyConstraint("experiment", "revision", name=op.f("pk_experiment_plan")),
    )
    with op.batch_alter_table("experiment_plan", schema=None) as batch_op:
        batch_op.create_index("ix_experiment_plan_domain", ["domain"], unique=False)

    op.create_table(
        "traffic_holdout",
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("salt", sa.String(length=100), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_traffic_holdout")),
    )


def downgrade() -> None:
    """Back."""
    op.drop_table("traffic_holdout")
    with op.batch_alter_table("experiment_plan", schema=None) as batch_op:
        batch_op.drop_index("ix_experiment_plan_domain")

    op.drop_table("experiment_plan")
