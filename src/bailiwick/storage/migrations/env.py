"""Runs the migrations on the connection that `bailiwick.storage.migrate` hands over."""

from __future__ import annotations

from alembic import context

from bailiwick.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
