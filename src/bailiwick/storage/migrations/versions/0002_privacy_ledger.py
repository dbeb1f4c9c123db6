"""The privacy ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "privacy_account",
        sa.Column("namespace", sa.String(length=200), nullable=False),
        sa.Column("lineage", sa.String(length=200), nullable=False),
        sa.Column("domain", sa.String(length=200), nullable=False),
        sa.Column("unit_column", sa.String(length=200), nullable=False),
        sa.Column("adjacency", sa.String(length=20), nullable=False),
        sa.Column("currency", sa.String(length=20), nullable=False),
        sa.Column("cap", sa.BigInteger(), nullable=False),
        sa.Column("cap_delta", sa.BigInteger(), nullable=False),
        sa.Column("reset_days", sa.Integer(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("period_started_at", INSTANT, nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("spent_delta", sa.BigInteger(), nullable=False),
        sa.Column("held_delta", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.CheckConstraint(
            "spent >= 0 AND held >= 0 AND spent + held <= cap", name=op.f("ck_privacy_account_within_cap")
        ),
        sa.CheckConstraint(
            "spent_delta >= 0 AND held_delta >= 0 AND spent_delta + held_delta <= cap_delta",
            name=op.f("ck_privacy_account_within_cap_delta"),
        ),
        sa.PrimaryKeyConstraint("namespace", "lineage", "domain", name=op.f("pk_privacy_account")),
    )
    op.create_table(
        "privacy_charge",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("accounts", JSON, nullable=False),
        sa.Column("epsilon_nano", sa.BigInteger(), nullable=False),
        sa.Column("delta_atto", sa.BigInteger(), nullable=False),
        sa.Column("rho_nano", sa.BigInteger(), nullable=False),
        sa.Column("plan_hash", sa.String(length=64), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("held_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy_charge")),
    )
    with op.batch_alter_table("privacy_charge", schema=None) as batch_op:
        batch_op.create_index("ix_privacy_charge_state", ["state", "expires_at"], unique=False)
        batch_op.create_index(
            "uq_privacy_charge_idempotency_key",
            ["idempotency_key"],
            unique=True,
            sqlite_where=sa.text("state != 'refunded'"),
            postgresql_where=sa.text("state != 'refunded'"),
        )

    op.create_table(
        "privacy_entry",
        sa.Column("sequence", KEY, autoincrement=True, nullable=False),
        sa.Column("namespace", sa.String(length=200), nullable=False),
        sa.Column("lineage", sa.String(length=200), nullable=False),
        sa.Column("domain", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("charge", sa.String(length=64), nullable=True),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("spent_delta", sa.BigInteger(), nullable=False),
        sa.Column("held_delta", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_privacy_entry")),
        sa.UniqueConstraint(
            "namespace", "lineage", "domain", "number", name=op.f("uq_privacy_entry_namespace_lineage_domain_number")
        ),
    )
    op.create_table(
        "privacy_release",
        sa.Column("charge", sa.String(length=64), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("output_hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("charge", name=op.f("pk_privacy_release")),
    )
    with op.batch_alter_table("privacy_release", schema=None) as batch_op:
        batch_op.create_index("ix_privacy_release_at", ["at"], unique=False)

    op.create_table(
        "privacy_terms",
        sa.Column("namespace", sa.String(length=200), nullable=False),
        sa.Column("lineage", sa.String(length=200), nullable=False),
        sa.Column("domain", sa.String(length=200), nullable=False),
        sa.Column("document", JSON, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("namespace", "lineage", "domain", name=op.f("pk_privacy_terms")),
    )


def downgrade() -> None:
    """Back."""
    op.drop_table("privacy_terms")
    with op.batch_alter_table("privacy_release", schema=None) as batch_op:
        batch_op.drop_index("ix_privacy_release_at")

    op.drop_table("privacy_release")
    op.drop_table("privacy_entry")
    with op.batch_alter_table("privacy_charge", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_privacy_charge_idempotency_key",
            sqlite_where=sa.text("state != 'refunded'"),
            postgresql_where=sa.text("state != 'refunded'"),
        )
        batch_op.drop_index("ix_privacy_charge_state")

    op.drop_table("privacy_charge")
    op.drop_table("privacy_account")
