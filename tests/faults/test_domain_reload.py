"""A change made in one process is seen by another, which only polls."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from domain_values import ADA, a_domain

from bailiwick.clock import VirtualClock
from bailiwick.domains.service import DomainService
from bailiwick.governance.audit import AuditTrail
from bailiwick.storage.database import Database

_FOLLOW = """
import sys
from bailiwick.platform import Platform
from bailiwick.settings import Settings

watch = Platform(Settings(database_url=sys.argv[1], reload_interval_s=0.1)).domain_watch
watch.subscribe(lambda catalogue: print(*sorted(catalogue.domains), sep=",", flush=True))
watch.start()
print("following", flush=True)
sys.stdin.read()
watch.close()
"""


@pytest.mark.timeout(120)
def test_reload__other_process_changes_domains__the_follower_sees_each_change(
    database: Database, clock: VirtualClock
) -> None:
    service = DomainService(database, AuditTrail(database, clock), clock)
    source = str(Path(__file__).resolve().parents[2] / "src")
    follower = subprocess.Popen(
        [sys.executable, "-c", _FOLLOW, database.url],
        env={**os.environ, "PYTHONPATH": source},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()
    assert follower.stdout is not None
    reading = threading.Thread(target=lambda: [lines.put(line.strip()) for line in follower.stdout or ()], daemon=True)
    reading.start()
    try:
        assert lines.get(timeout=60) == "following"
        service.create(a_domain("a"), ADA, activate=True)
        assert lines.get(timeout=60) == "a"
        service.create(a_domain("b"), ADA, activate=True)
        assert lines.get(timeout=60) == "a,b"
        service.archive("a", ADA)
        assert lines.get(timeout=60) == "b"
    finally:
        assert follower.stdin is not None
        follower.stdin.close()
        assert follower.wait(timeout=60) == 0
        reading.join(timeout=60)
