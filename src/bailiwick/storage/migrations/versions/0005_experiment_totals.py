"""Exposures and totals of experiments; units and outcomes in the log of requests; hourly and daily rollups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENTS = (
    "units",
    "total",
    "count",
    "covariate",
    "total_total",
    "count_count",
    "covariate_covariate",
    "total_count",
    "total_covariate",
    "count_covariate",
)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "metric_state",
        _text("name", 20),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("until", INSTANT, nullable=True),
        _key("metric_state", "name"),
    )
    op.create_table(
        "experiment_event",
        _text("writer", 40),
        sa.Column("part", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("at", INSTANT, nullable=False),
        _text("experiment", 200),
        sa.Column("epoch", sa.Integer(), nullable=False),
        _text("arm", 200),
        _text("unit", 32),
        _text("request_id", 100, nullable=True),
        _text("domain", 64),
        _text("version", 200),
        sa.Column("propensity", sa.Float(53), nullable=False),
        sa.Column("outcomes", JSON, nullable=False),
        _key("experiment_event", "writer", "part"),
    )
    op.create_index("ix_experiment_event_at", "experiment_event", ["at"])
    op.create_index("ix_experiment_event_request_id", "experiment_event", ["request_id"])
    op.create_table(
        "experiment_writer",
        _text("writer", 40),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        _key("experiment_writer", "writer"),
    )
    op.create_table(
        "experiment_mark",
        _text("writer", 40),
        sa.Column("part", sa.BigInteger(), nullable=False),
        _key("experiment_mark", "writer"),
    )
    op.create_table(
        "experiment_unit",
        _text("unit", 32),
        _text("experiment", 200),
        sa.Column("epoch", sa.Integer(), nullable=False),
        _text("arm", 200),
        sa.Column("sums", JSON, nullable=False),
        sa.Column("covariates", JSON, nullable=False),
        _key("experiment_unit", "unit", "experiment"),
    )
    op.create_table(
        "experiment_covariate",
        _text("unit", 32),
        _text("experiment", 200),
        sa.Column("means", JSON, nullable=False),
        _key("experiment_covariate", "unit", "experiment"),
    )
    op.create_index("ix_experiment_covariate_experiment", "experiment_covariate", ["experiment"])
    op.create_table(
        "experiment_feedback",
        _text("request_id", 100),
        _text("metric", 200),
        _text("experiment", 200),
        _text("unit", 32),
        sa.Column("value", sa.Float(53), nullable=True),
        _key("experiment_feedback", "request_id", "metric", "experiment"),
    )
    op.create_table(
        "experiment_total",
        _text("experiment", 200),
        sa.Column("epoch", sa.Integer(), nullable=False, autoincrement=False),
        _text("arm", 200),
        _text("metric", 200),
        *(sa.Column(name, sa.Float(53), nullable=False) for name in MOMENTS),
        sa.Column("sketch", sa.LargeBinary(), nullable=False),
        _key("experiment_total", "experiment", "epoch", "arm", "metric"),
    )
    op.create_table(
        "experiment_arm",
        _text("experiment", 200),
        sa.Column("epoch", sa.Integer(), nullable=False, autoincrement=False),
        _text("arm", 200),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("crossed", sa.BigInteger(), nullable=False),
        _key("experiment_arm", "experiment", "epoch", "arm"),
    )
    op.create_table(
        "experiment_terms",
        _text("experiment", 200),
        sa.Column("feedback_window_s", sa.Float(53), nullable=False),
        sa.Column("covariates_since", INSTANT, nullable=True),
        sa.Column("covariates_until", INSTANT, nullable=True),
        _key("experiment_terms", "experiment"),
    )
    op.create_table(
        "metric_history",
        _text("resolution", 10),
        _text("domain", 64),
        sa.Column("at", INSTANT, nullable=False),
        _text("metric", 200),
        _text("version", 200),
        _text("arm", 200),
        sa.Column("count", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Float(53), nullable=False) for name in ("total", "squares", "minimum", "maximum")),
        sa.Column("sketch", sa.LargeBinary(), nullable=False),
        _key("metric_history", "resolution", "domain", "at", "metric", "version", "arm"),
    )
    with op.batch_alter_table("metric_rollup") as batch:
        batch.add_column(sa.Column("compacted", sa.Boolean(), nullable=False, server_default=sa.false()))
    fresh = sa.text("NOT compacted")
    op.create_index("ix_metric_rollup_fresh", "metric_rollup", ["minute"], sqlite_where=fresh, postgresql_where=fresh)
    with op.batch_alter_table("request_log") as batch:
        batch.add_column(_text("unit", 32, nullable=True))
        batch.add_column(sa.Column("outcomes", JSON, nullable=True))
    with op.batch_alter_table("feedback") as batch:
        batch.add_column(sa.Column("pending", sa.Boolean(), nullable=False, server_default=sa.true()))
    where = sa.text("pending")
    op.create_index("ix_feedback_pending", "feedback", ["request_id"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Back."""
    op.drop_index("ix_feedback_pending", "feedback")
    with op.batch_alter_table("feedback") as batch:
        batch.drop_column("pending")
    with op.batch_alter_table("request_log") as batch:
        batch.drop_column("outcomes")
        batch.drop_column("unit")
    op.drop_index("ix_metric_rollup_fresh", "metric_rollup")
    with op.batch_alter_table("metric_rollup") as batch:
        batch.drop_column("compacted")
    for table in (
        "metric_history",
        "experiment_terms",
        "experiment_arm",
        "experiment_total",
        "experiment_feedback",
        "experiment_covariate",
        "experiment_unit",
        "experiment_mark",
        "experiment_writer",
        "experiment_event",
        "metric_state",
    ):
        op.drop_table(table)
