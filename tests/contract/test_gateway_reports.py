from __future__ import annotations

from bailiwick.clock import VirtualClock
from bailiwick.storage.database import Database
from bailiwick.traffic.gateway_reports import GatewayReport, GatewayReports


def test_reports__said_again__the_newest_of_each_counts(database: Database, clock: VirtualClock) -> None:
    reports = GatewayReports(database, clock)
    reports.say("a", 1)
    reports.say("b", 1)
    clock.sleep(10)
    reports.say("a", 2)
    assert [(each.gateway, each.revision) for each in reports.live()] == [("a", 2), ("b", 1)]


def test_reports__silent_or_gone__not_live(database: Database, clock: VirtualClock) -> None:
    reports = GatewayReports(database, clock)
    reports.say("a", 1)
    reports.say("b", 1)
    reports.leave("b")
    assert [each.gateway for each in reports.live()] == ["a"]
    clock.sleep(31)
    assert reports.live() == []
    reports.say("a", 1)
    assert reports.live() == [GatewayReport("a", 1, clock.now())]
