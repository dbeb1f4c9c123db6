"""Client keys, limits of domains, and what keys used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "client_key",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("team", sa.String(length=200), nullable=False),
        sa.Column("domains", JSON, nullable=False),
        sa.Column("requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("tokens_per_minute", sa.BigInteger(), nullable=True),
        sa.Column("in_flight", sa.Integer(), nullable=True),
        sa.Column("tokens_per_day", sa.BigInteger(), nullable=True),
        sa.Column("hint", sa.String(length=16), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.Column("rotated_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_key")),
    )
    with op.batch_alter_table("client_key", schema=None) as batch_op:
        batch_op.create_index("uq_client_key_name", ["name"], unique=True)
    op.create_table(
        "client_key_secret",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("until", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["key"], ["client_key.id"], name=op.f("fk_client_key_secret_key")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_client_key_secret")),
    )
    with op.batch_alter_table("client_key_secret", schema=None) as batch_op:
        batch_op.create_index("ix_client_key_secret_key", ["key"], unique=False)
    op.create_table(
        "domain_limit",
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("tokens_per_minute", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_domain_limit")),
    )
    op.create_table(
        "access_revision",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_revision")),
    )
    op.create_table(
        "client_key_usage",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("gateway", sa.String(length=100), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("last_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("key", "day", "gateway", name=op.f("pk_client_key_usage")),
    )
    with op.batch_alter_table("client_key_usage", schema=None) as batch_op:
        batch_op.create_index("ix_client_key_usage_day", ["day"], unique=False)


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("client_key_usage", schema=None) as batch_op:
        batch_op.drop_index("ix_client_key_usage_day")
    op.drop_table("client_key_usage")
    op.drop_table("access_revision")
    op.drop_table("domain_limit")
    with op.batch_alter_table("client_key_secret", schema=None) as batch_op:
        batch_op.drop_index("ix_client_key_secret_key")
    op.drop_table("client_key_secret")
    with op.batch_alter_table("client_key", schema=None) as batch_op:
        batch_op.drop_index("uq_client_key_name")
    op.drop_table("client_key")
