from __future__ import annotations

from datetime import timedelta

from bailiwick.clock import VirtualClock
from bailiwick.storage.database import Database
from bailiwick.storage.leases import Leases
from bailiwick.storage.upkeep import Chore, Upkeep


def test_step__two_processes__only_the_holder_works_until_it_is_gone(database: Database, clock: VirtualClock) -> None:
    done: list[str] = []
    first, second = (
        Upkeep(Leases(database, clock), "metrics.upkeep", [Chore("tally", lambda name=name: done.append(name), 1.0)])  # type: ignore[misc]
        for name in ("first", "second")
    )
    now = 1_000.0
    for _ in range(12):
        first.step(now)
        second.step(now)
        clock.advance(timedelta(seconds=1))
        now += 1
    assert done == ["first"] * 12
    for _ in range(30):  # the first has died
        second.step(now)
        clock.advance(timedelta(seconds=1))
        now += 1
    assert len(done) >= 12 + 10
    assert set(done[12:]) == {"second"}
    second.close()
    first.step(now + 10)
    assert done[-1] == "first"


def test_step__chores_of_their_own_pace__each_when_due(sqlite_database: Database, clock: VirtualClock) -> None:
    upkeep = Upkeep(
        Leases(sqlite_database, clock),
        "metrics.upkeep",
        [Chore("often", lambda: None, 1.0), Chore("rarely", lambda: None, 3.0)],
    )
    assert [list(upkeep.step(1_000.0 + second)) for second in range(5)] == [
        ["often", "rarely"],
        ["often"],
        ["often"],
        ["often", "rarely"],
        ["often"],
    ]


def test_step__a_chore_fails__the_others_go_on_and_it_is_tried_again(
    sqlite_database: Database, clock: VirtualClock
) -> None:
    tried: list[str] = []

    def fail() -> None:
        tried.append("broken")
        raise ValueError("broken")

    chores = [Chore("broken", fail, 1.0), Chore("whole", lambda: None, 1.0)]
    upkeep = Upkeep(Leases(sqlite_database, clock), "metrics.upkeep", chores)
    assert [list(upkeep.step(1_000.0 + second)) for second in range(2)] == [["whole"], ["whole"]]
    assert tried == ["broken", "broken"]
