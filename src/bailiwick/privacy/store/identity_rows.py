"""What a budget is over: which namespace has a lineage, and which lineage has a content. First come, for good."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, select

from bailiwick.privacy.store.tables import privacy_content, privacy_lineage
from bailiwick.storage.database import Database


def bind_lineage(database: Database, connection: Connection, lineage: str, namespace: str, at: datetime) -> str:
    """Give a lineage to a namespace, unless one has it.

    Returns:
        The namespace that has it.
    """
    if database.insert_new(connection, privacy_lineage, {"lineage": lineage, "namespace": namespace, "at": at}):
        return namespace
    found: str = connection.execute(
        select(privacy_lineage.c.namespace).where(privacy_lineage.c.lineage == lineage)
    ).scalar_one()
    return found


def bind_content(database: Database, connection: Connection, content: str, lineage: str, at: datetime) -> str | None:
    """Give a content to a lineage, unless one has it.

    Returns:
        The lineage that has had it; None where it is new.
    """
    if database.insert_new(connection, privacy_content, {"content": content, "lineage": lineage, "at": at}):
        return None
    found: str = connection.execute(
        select(privacy_content.c.lineage).where(privacy_content.c.content == content)
    ).scalar_one()
    return found


def unclaimed(connection: Connection, contents: Collection[str]) -> set[str]:
    """Those of the contents that no lineage has."""
    query = select(privacy_content.c.content).where(privacy_content.c.content.in_(sorted(contents)))
    return set(contents) - set(connection.execute(query).scalars())


def namespace_of(connection: Connection, lineage: str) -> str | None:
    """The namespace that has a lineage."""
    return connection.execute(
        select(privacy_lineage.c.namespace).where(privacy_lineage.c.lineage == lineage)
    ).scalar_one_or_none()
