"""Feedback that was acknowledged survives the process."""

from __future__ import annotations

import os
import signal

from bailiwick.clock import VirtualClock
from bailiwick.metrics.service import MetricsService
from bailiwick.storage.database import Database


def test_feedback__killed_right_after_it_returned__is_there_and_joins_later(
    database: Database, clock: VirtualClock
) -> None:
    child = os.fork()
    if child == 0:
        metrics = MetricsService(Database(database.url), clock, flush_interval_s=3600)
        metrics.served("req-1", "cards", "v1", {"latency_ms": 5.0})
        metrics.feedback("req-1", value=True, domain="cards")
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    metrics = MetricsService(database, clock, flush_interval_s=3600)
    found = metrics.feedback_on("cards")
    assert [(each.request_id, each.value, each.joined) for each in found] == [("req-1", 1.0, False)]
    metrics.served("req-1", "cards", "v2", {})
    metrics.close()
    assert [(each.version, each.joined) for each in metrics.feedback_on("cards")] == [("v2", True)]
