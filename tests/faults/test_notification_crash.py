"""Dispatchers of notifications are killed: every event arrives at least once, under one id, and none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from receivers import LOOPBACK, eventually, receiving
from serving import Fleet, ServerProcess

from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.settings import Settings
from bailiwick.storage.database import Database

ADA = Actor("cli:ada")

# Dies within the unit that fills the outbox, between sending and settling, or before that is committed.
DIE = """
import os, signal, sys
from pathlib import Path
from bailiwick.governance.notifications import dispatcher, outbox, store
from bailiwick.platform import Platform
from bailiwick.settings import Settings

url, home, where = sys.argv[1:]

def die(*_args, **_more):
    os.kill(os.getpid(), signal.SIGKILL)

def dying(original, after, number):
    left = [number]
    def step(*given):
        left[0] -= 1
        if left[0] == 0 and not after:
            die()
        found = original(*given)
        if left[0] == 0:
            die()
        return found
    return step

if where == "fill":
    store.move_cursor = dying(store.move_cursor, True, 1)
elif where == "sent":
    store.settle = dying(store.settle, False, 3)
else:
    store.settle = dying(store.settle, True, 3)

notifications = Platform(Settings(home=Path(home), database_url=url, webhook_networks=("127.0.0.0/8",))).notifications
notifications.outbox.fill()
notifications.dispatcher.dispatch()
notifications.dispatcher.settle()
"""


def platform_over(url: str, home: Path) -> Platform:
    return Platform(Settings(home=home, database_url=url, webhook_networks=(LOOPBACK,)))


def record(platform: Platform, first: int, end: int) -> None:
    for number in range(first, end):
        with platform.database.write() as connection:
            platform.audit.record(connection, ADA, "rollout.advance", f"rollout:r{number}")


@pytest.mark.parametrize("where", ["fill", "sent", "settling"])
def test_dispatcher__killed__every_event_arrives_under_one_id(database: Database, tmp_path: Path, where: str) -> None:
    platform = platform_over(database.url, tmp_path)
    with receiving() as receiver:
        platform.notifications.add("ops", receiver.url, ["rollout.*"], actor=ADA)
        record(platform, 0, 8)
        source = str(Path(__file__).resolve().parents[2] / "src")
        killed = subprocess.run(
            [sys.executable, "-c", DIE, database.url, str(tmp_path), where],
            env={**os.environ, "PYTHONPATH": source},
            timeout=120,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        before = len(receiver.messages)
        assert (before > 0) == (where != "fill")
        record(platform, 8, 10)
        platform.notifications.outbox.fill()
        platform.notifications.dispatcher.dispatch()
        platform.notifications.dispatcher.settle()
        subjects = {message.id: message.document["data"]["subject"] for message in receiver.messages}
        assert sorted(subjects.values()) == sorted(f"rollout:r{number}" for number in range(10))
        # Only what was sent and not yet settled comes twice.
        assert len(receiver.messages) == 10 + (where != "fill")
    platform.close()


def test_servers__the_one_that_sends_is_killed__the_other_loses_nothing(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "home")
    environment = {"BAILIWICK_WEBHOOK_NETWORKS": f'["{LOOPBACK}"]'}
    platform = platform_over(fleet.platform.settings.database, fleet.home)
    with receiving() as receiver:
        platform.notifications.add("ops", receiver.url, ["rollout.*"], actor=ADA)
        first = ServerProcess(fleet.home, environment)
        try:
            record(platform, 0, 20)
            eventually(lambda: len(receiver.messages) >= 20, "the first server sends nothing")
            second = ServerProcess(fleet.home, environment)
            try:
                record(platform, 20, 60)
                first.process.send_signal(signal.SIGKILL)
                first.process.wait(timeout=30)
                record(platform, 60, 80)
                wanted = {f"rollout:r{number}" for number in range(80)}
                eventually(
                    lambda: {message.document["data"]["subject"] for message in list(receiver.messages)} == wanted,
                    "events are lost",
                )
                by_subject: dict[str, set[str]] = {}
                for message in receiver.messages:
                    by_subject.setdefault(message.document["data"]["subject"], set()).add(message.id)
                assert all(len(ids) == 1 for ids in by_subject.values())
                head = platform.transparency.verify()
                assert head.findings == ()
            finally:
                assert second.terminate() == 0, second.errors
        finally:
            first.process.kill()
    platform.close()
    fleet.platform.close()
