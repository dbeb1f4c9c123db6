"""Feedback in the order in which it was given, for those who learn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from bailiwick.metrics.store import feedback
from bailiwick.storage.database import Database


@dataclass(frozen=True, slots=True)
class Judgement:
    """What somebody said of an answer."""

    request_id: str
    metric: str
    value: float | None
    label: str | None
    at: datetime


class Judgements:
    """Reads feedback in batches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(
        self, instant: datetime | None, after: tuple[str, str], metrics: Sequence[str], limit: int
    ) -> Sequence[Judgement]:
        """Feedback from an instant on, by instant, request and metric.

        Args:
            instant: the first; None: from the beginning.
            after: request and metric: of the first instant itself, only what comes after them.
            metrics: only these.
            limit: how many at most.
        """
        table = feedback.c
        query = select(table.request_id, table.metric, table.value, table.label, table.at).where(
            table.metric.in_(metrics)
        )
        if instant is not None:
            later = (table.request_id > after[0]) | ((table.request_id == after[0]) & (table.metric > after[1]))
            query = query.where((table.at > instant) | ((table.at == instant) & later))
        query = query.order_by(table.at, table.request_id, table.metric).limit(limit)
        with self._database.read() as connection:
            return [Judgement(*row) for row in connection.execute(query)]
