"""The process is killed amid a promotion: all of it happened, or nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from deliveries import ADA, Estate

from bailiwick.clock import VirtualClock
from bailiwick.governance.audit import AuditTrail
from bailiwick.storage.database import Database
from bailiwick.traffic.service import TrafficService


def state(estate: Estate) -> tuple[Any, ...]:
    return (
        estate.traffic.history("cards"),
        estate.delivery.history("cards"),
        estate.actions(),
        estate.traffic.revision(),
    )


def killed(work: Callable[[], None]) -> bool:
    """Run in a child process; whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("entry", [1, 2, 3])
def test_promote__killed_before_an_audit_entry__nothing_happened(
    database: Database, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, entry: int
) -> None:
    estate = Estate(database, clock)
    estate.rollout("v1", "v2")
    before = state(estate)
    record, written = AuditTrail.record, []

    def dying_record(*arguments: Any, **options: Any) -> None:
        written.append(1)
        if len(written) == entry:
            die()
        record(*arguments, **options)

    def promote() -> None:
        monkeypatch.setattr(AuditTrail, "record", dying_record)
        Estate(Database(database.url), clock).delivery.promote("cards", actor=ADA)

    assert killed(promote)
    assert state(estate) == before
    estate.delivery.promote("cards", actor=ADA)
    assert estate.weights() == {"v2": 10_000}


def test_promote__killed_after_the_commit__all_of_it_happened(
    database: Database, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate = Estate(database, clock)
    estate.rollout("v1", "v2")

    def promote() -> None:
        monkeypatch.setattr(TrafficService, "publish", die)
        Estate(Database(database.url), clock).delivery.promote("cards", actor=ADA)

    assert killed(promote)
    assert estate.weights() == {"v2": 10_000}
    assert [(made.version, made.status.value) for made in estate.delivery.history("cards")] == [
        ("v2", "promoted"),
        ("v1", "replaced"),
    ]
    assert [action for action, _ in estate.actions()[:3]] == [
        "deployment.promoted",
        "deployment.replaced",
        "traffic.promote",
    ]
    assert estate.delivery.rollback("cards", actor=ADA).plan.weights == {"v1": 10_000}
