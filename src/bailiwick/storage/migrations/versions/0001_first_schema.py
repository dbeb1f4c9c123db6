"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "audit_entry",
        sa.Column("sequence", KEY, autoincrement=True, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("before", JSON, nullable=True),
        sa.Column("after", JSON, nullable=True),
        sa.Column("request_id", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_entry")),
    )
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.create_index("ix_audit_entry_subject", ["subject", "sequence"], unique=False)

    op.create_table(
        "dataset",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("domains", JSON, nullable=False),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("findings", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset")),
    )
    with op.batch_alter_table("dataset", schema=None) as batch_op:
        batch_op.create_index("ix_dataset_name", ["name", "created_at"], unique=False)

    op.create_table(
        "dataset_content",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_dataset_content")),
    )
    op.create_table(
        "deployment",
        sa.Column("sequence", KEY, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("previous", sa.String(length=200), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("gates", JSON, nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("plan_revision", sa.Integer(), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("changed_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_deployment")),
        sa.UniqueConstraint("id", name="uq_deployment_id"),
    )
    with op.batch_alter_table("deployment", schema=None) as batch_op:
        batch_op.create_index("ix_deployment_domain", ["domain", "sequence"], unique=False)

    op.create_table(
        "detection_run",
        sa.Column("sequence", KEY, autoincrement=True, nullable=False),
        sa.Column("run", sa.String(length=100), nullable=False),
        sa.Column("finished_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("tagged_nodes", sa.Integer(), nullable=False),
        sa.Column("report", JSON, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_detection_run")),
        sa.UniqueConstraint("run", name=op.f("uq_detection_run_run")),
    )
    op.create_table(
        "detection_state",
        sa.Column("revision", KEY, autoincrement=True, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("report", JSON, nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_detection_state")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "domain",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("lifecycle", sa.String(length=20), nullable=False),
        sa.Column("fallback", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_domain")),
    )
    op.create_table(
        "domain_catalogue",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("catalogue", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("default_domain", sa.String(length=64), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_domain_catalogue_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_domain_catalogue")),
    )
    op.create_table(
        "evaluation",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("dataset", sa.String(length=100), nullable=False),
        sa.Column("dataset_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("confusion", JSON, nullable=False),
        sa.Column("reliability", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation")),
    )
    with op.batch_alter_table("evaluation", schema=None) as batch_op:
        batch_op.create_index("ix_evaluation_version", ["version", "created_at"], unique=False)

    op.create_table(
        "extraction_file",
        sa.Column("source_hash", sa.String(length=64), nullable=False),
        sa.Column("path_hash", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("content_sha256", sa.String(length=64), nullable=False),
        sa.Column("reader_version", sa.String(length=100), nullable=False),
        sa.Column("schema_fingerprint", sa.String(length=64), nullable=False),
        sa.Column("definitions", sa.LargeBinary(), nullable=True),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.Column("run", sa.String(length=60), nullable=False),
        sa.PrimaryKeyConstraint("source_hash", "path_hash", name=op.f("pk_extraction_file")),
    )
    op.create_table(
        "extraction_run",
        sa.Column("run", sa.String(length=60), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("summary", JSON, nullable=False),
        sa.PrimaryKeyConstraint("run", name=op.f("pk_extraction_run")),
    )
    with op.batch_alter_table("extraction_run", schema=None) as batch_op:
        batch_op.create_index("ix_extraction_run_started_at", ["started_at"], unique=False)

    op.create_table(
        "feedback",
        sa.Column("request_id", sa.String(length=100), nullable=False),
        sa.Column("metric", sa.String(length=200), nullable=False),
        sa.Column("value", sa.Float(precision=53), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("domain", sa.String(length=64), nullable=True),
        sa.Column("version", sa.String(length=200), nullable=True),
        sa.Column("arm", sa.String(length=200), nullable=False),
        sa.Column("joined", sa.Boolean(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("request_id", "metric", name=op.f("pk_feedback")),
    )
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.create_index("ix_feedback_domain", ["domain", "at"], unique=False)
        batch_op.create_index("ix_feedback_joined", ["joined"], unique=False)

    op.create_table(
        "graph_edge",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("start_id", sa.String(length=64), nullable=False),
        sa.Column("end_id", sa.String(length=64), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("source", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("parser", sa.String(length=100), nullable=False),
        sa.Column("run", sa.String(length=100), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_graph_edge")),
    )
    with op.batch_alter_table("graph_edge", schema=None) as batch_op:
        batch_op.create_index("ix_graph_edge_end_id", ["end_id"], unique=False)
        batch_op.create_index("ix_graph_edge_source", ["source"], unique=False)
        batch_op.create_index("ix_graph_edge_start_id", ["start_id"], unique=False)

    op.create_table(
        "graph_node",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("qualified_name", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("search_name", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("source", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("parser", sa.String(length=100), nullable=False),
        sa.Column("run", sa.String(length=100), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_graph_node")),
    )
    with op.batch_alter_table("graph_node", schema=None) as batch_op:
        batch_op.create_index("ix_graph_node_qualified_name", ["qualified_name"], unique=False)
        batch_op.create_index("ix_graph_node_source", ["source"], unique=False)

    op.create_table(
        "graph_sighting",
        sa.Column("element_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("element_id", "source", name=op.f("pk_graph_sighting")),
    )
    with op.batch_alter_table("graph_sighting", schema=None) as batch_op:
        batch_op.create_index("ix_graph_sighting_source", ["source"], unique=False)

    op.create_table(
        "graph_tag",
        sa.Column("element_id", sa.String(length=64), nullable=False),
        sa.Column("domain", sa.String(length=200), nullable=False),
        sa.Column("method", sa.String(length=32), nullable=False),
        sa.Column("agent_id", sa.String(length=200), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("run", sa.String(length=100), nullable=False),
        sa.Column("cause", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("element_id", "domain", "method", name=op.f("pk_graph_tag")),
    )
    with op.batch_alter_table("graph_tag", schema=None) as batch_op:
        batch_op.create_index("ix_graph_tag_domain", ["domain", "score", "element_id"], unique=False)

    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "metric_rollup",
        sa.Column("writer", sa.String(length=40), nullable=False),
        sa.Column("part", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("arm", sa.String(length=200), nullable=False),
        sa.Column("metric", sa.String(length=200), nullable=False),
        sa.Column("minute", INSTANT, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Float(precision=53), nullable=False),
        sa.Column("squares", sa.Float(precision=53), nullable=False),
        sa.Column("minimum", sa.Float(precision=53), nullable=False),
        sa.Column("maximum", sa.Float(precision=53), nullable=False),
        sa.Column("sketch", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("writer", "part", name=op.f("pk_metric_rollup")),
    )
    with op.batch_alter_table("metric_rollup", schema=None) as batch_op:
        batch_op.create_index("ix_metric_rollup_series", ["domain", "minute", "metric"], unique=False)

    op.create_table(
        "model_version",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("family", sa.String(length=64), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("artefact_sha256", sa.String(length=64), nullable=True),
        sa.Column("artefact_bytes", sa.BigInteger(), nullable=False),
        sa.Column("training_run", sa.String(length=100), nullable=True),
        sa.Column("parent", sa.String(length=100), nullable=True),
        sa.Column("dataset_sha256", sa.String(length=64), nullable=True),
        sa.Column("card", JSON, nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_version")),
    )
    with op.batch_alter_table("model_version", schema=None) as batch_op:
        batch_op.create_index("ix_model_version_domain", ["domain", "created_at"], unique=False)

    op.create_table(
        "request_log",
        sa.Column("request_id", sa.String(length=100), nullable=False),
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("arm", sa.String(length=200), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_request_log")),
    )
    with op.batch_alter_table("request_log", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_request_log_at"), ["at"], unique=False)

    op.create_table(
        "traffic_plan",
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("change", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("restores", sa.Integer(), nullable=True),
        sa.Column("salt", sa.String(length=100), nullable=False),
        sa.Column("algorithm", sa.Integer(), nullable=False),
        sa.Column("ranges", JSON, nullable=False),
        sa.PrimaryKeyConstraint("domain", "revision", name=op.f("pk_traffic_plan")),
    )
    with op.batch_alter_table("traffic_plan", schema=None) as batch_op:
        batch_op.create_index("ix_traffic_plan_at", ["domain", "at"], unique=False)

    op.create_table(
        "traffic_revision",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_traffic_revision")),
    )
    op.create_table(
        "training_run",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("dataset", sa.String(length=100), nullable=False),
        sa.Column("dataset_sha256", sa.String(length=64), nullable=False),
        sa.Column("family", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("started_by", sa.String(length=200), nullable=False),
        sa.Column("worker", sa.String(length=300), nullable=False),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("start_version", sa.String(length=100), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("losses", JSON, nullable=False),
        sa.Column("cpu_s", sa.Float(), nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("version", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_run")),
    )
    with op.batch_alter_table("training_run", schema=None) as batch_op:
        batch_op.create_index("ix_training_run_domain", ["domain", "started_at"], unique=False)

    op.create_table(
        "detection_state_file",
        sa.Column("revision", KEY, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["revision"],
            ["detection_state.revision"],
            name=op.f("fk_detection_state_file_revision"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("revision", "name", name=op.f("pk_detection_state_file")),
    )
    op.create_table(
        "domain_revision",
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("lifecycle", sa.String(length=20), nullable=False),
        sa.Column("config", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["domain_id"], ["domain.id"], name=op.f("fk_domain_revision_domain_id")),
        sa.PrimaryKeyConstraint("domain_id", "revision", name=op.f("pk_domain_revision")),
    )
    op.create_table(
        "extraction_outcome",
        sa.Column("run", sa.String(length=60), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("parser", sa.String(length=60), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run"], ["extraction_run.run"], name=op.f("fk_extraction_outcome_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run", "position", name=op.f("pk_extraction_outcome")),
    )


def downgrade() -> None:
    """Back."""
    op.drop_table("extraction_outcome")
    op.drop_table("domain_revision")
    op.drop_table("detection_state_file")
    with op.batch_alter_table("training_run", schema=None) as batch_op:
        batch_op.drop_index("ix_training_run_domain")

    op.drop_table("training_run")
    op.drop_table("traffic_revision")
    with op.batch_alter_table("traffic_plan", schema=None) as batch_op:
        batch_op.drop_index("ix_traffic_plan_at")

    op.drop_table("traffic_plan")
    with op.batch_alter_table("request_log", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_request_log_at"))

    op.drop_table("request_log")
    with op.batch_alter_table("model_version", schema=None) as batch_op:
        batch_op.drop_index("ix_model_version_domain")

    op.drop_table("model_version")
    with op.batch_alter_table("metric_rollup", schema=None) as batch_op:
        batch_op.drop_index("ix_metric_rollup_series")

    op.drop_table("metric_rollup")
    op.drop_table("lease")
    with op.batch_alter_table("graph_tag", schema=None) as batch_op:
        batch_op.drop_index("ix_graph_tag_domain")

    op.drop_table("graph_tag")
    with op.batch_alter_table("graph_sighting", schema=None) as batch_op:
        batch_op.drop_index("ix_graph_sighting_source")

    op.drop_table("graph_sighting")
    with op.batch_alter_table("graph_node", schema=None) as batch_op:
        batch_op.drop_index("ix_graph_node_source")
        batch_op.drop_index("ix_graph_node_qualified_name")

    op.drop_table("graph_node")
    with op.batch_alter_table("graph_edge", schema=None) as batch_op:
        batch_op.drop_index("ix_graph_edge_start_id")
        batch_op.drop_index("ix_graph_edge_source")
        batch_op.drop_index("ix_graph_edge_end_id")

    op.drop_table("graph_edge")
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.drop_index("ix_feedback_joined")
        batch_op.drop_index("ix_feedback_domain")

    op.drop_table("feedback")
    with op.batch_alter_table("extraction_run", schema=None) as batch_op:
        batch_op.drop_index("ix_extraction_run_started_at")

    op.drop_table("extraction_run")
    op.drop_table("extraction_file")
    with op.batch_alter_table("evaluation", schema=None) as batch_op:
        batch_op.drop_index("ix_evaluation_version")

    op.drop_table("evaluation")
    op.drop_table("domain_catalogue")
    op.drop_table("domain")
    op.drop_table("detection_state")
    op.drop_table("detection_run")
    with op.batch_alter_table("deployment", schema=None) as batch_op:
        batch_op.drop_index("ix_deployment_domain")

    op.drop_table("deployment")
    op.drop_table("dataset_content")
    with op.batch_alter_table("dataset", schema=None) as batch_op:
        batch_op.drop_index("ix_dataset_name")

    op.drop_table("dataset")
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_entry_subject")

    op.drop_table("audit_entry")
