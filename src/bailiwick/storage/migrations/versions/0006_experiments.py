"""Experiments, the evidence they carry, and the two listings of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

_LISTED = (
    "id, domain, hypothesis, kind, primary_metric, state, planned_units, created_at, created_by, started_at, ended_at, "
    "verdict, winner, design, epochs"
)


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "experiment",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("hypothesis", sa.Text(), nullable=False),
        sa.Column("primary_metric", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("design", JSON, nullable=False),
        sa.Column("epochs", JSON, nullable=False),
        sa.Column("overrides", JSON, nullable=False),
        sa.Column("planned_units", sa.Integer(), nullable=False),
        sa.Column("power_check", JSON, nullable=True),
        sa.Column("forced", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("verdict", sa.String(length=20), nullable=True),
        sa.Column("winner", sa.String(length=64), nullable=True),
        sa.Column("conclusion", JSON, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiment")),
    )
    op.create_index("ix_experiment_state", "experiment", ["state"])
    op.create_index("ix_experiment_domain", "experiment", ["domain", "created_at"])
    op.create_table(
        "experiment_evidence",
        sa.Column("experiment", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("state", JSON, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["experiment"], ["experiment.id"], name=op.f("fk_experiment_evidence_experiment")),
        sa.PrimaryKeyConstraint("experiment", "name", name=op.f("pk_experiment_evidence")),
    )
    op.execute(f"CREATE VIEW ab_tests AS SELECT {_LISTED} FROM experiment WHERE kind IN ('ab', 'aa')")  # noqa: S608  (constants)
    many = "kind IN ('multivariant', 'bandit')"
    op.execute(f"CREATE VIEW multi_variant_tests AS SELECT {_LISTED} FROM experiment WHERE {many}")  # noqa: S608


def downgrade() -> None:
    """Back."""
    op.execute("DROP VIEW multi_variant_tests")
    op.execute("DROP VIEW ab_tests")
    op.drop_table("experiment_evidence")
    op.drop_index("ix_experiment_domain", "experiment")
    op.drop_index("ix_experiment_state", "experiment")
    op.drop_table("experiment")
