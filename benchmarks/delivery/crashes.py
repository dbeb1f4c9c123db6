"""Campaigns of SIGKILLs and restarts amid rollouts, on both databases: what happened, and what broke (nothing may)."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records import record

sys.path.append(str(Path(__file__).parents[2] / "tests"))  # the campaign and the servers that the tests use
import servers
from rollout_campaign import Counts, campaign, restart_campaign

KILLS = (6, 6, 6, 6)
_KINDS = {
    "controller": "controllers killed",
    "gateway": "gateways killed",
    "sleep": "controllers put to sleep past their lease",
    "PostgreSQL restart": "PostgreSQL crashes and restarts",
    "Redis restart": "Redis crashes and restarts",
}


def crashes() -> list[dict[str, Any]]:
    """The counts of each campaign."""
    with tempfile.TemporaryDirectory() as folder:
        records = _told("SQLite, SIGKILL", *campaign(Path(folder), 21, kills=KILLS))
    try:
        with (
            servers.using("postgres", f"bench-{time.time_ns()}") as address,
            tempfile.TemporaryDirectory() as folder,
            _environment(BAILIWICK_DATABASE_URL=address["url"]),
        ):
            records += _told("PostgreSQL, SIGKILL", *campaign(Path(folder), 22, kills=KILLS))
        with tempfile.TemporaryDirectory(prefix="bw-") as folder:
            records += _told("PostgreSQL and Redis restarted", *restart_campaign(Path(folder), 23))
    except servers.CannotRun as reason:
        print(f"without PostgreSQL: {reason}", file=sys.stderr)
    return records


def _told(name: str, counts: Counts, violations: list[str]) -> list[dict[str, Any]]:
    for wrong in [*violations, *counts.failed]:
        print(f"{name}: {wrong}", file=sys.stderr)
    rows = (
        ("invariants broken", len(violations), 0.0),
        ("failed requests", len(counts.failed), 0.0),
        ("requests answered", counts.requests, None),
        ("requests asked again at the other gateway", counts.moved, None),
        ("opinions on answers, taken", sum(n for said, n in counts.opinions.items() if 200 <= said < 300), None),
        (
            "opinions on answers, refused for now or lost",
            sum(n for said, n in counts.opinions.items() if said < 200 or said >= 300),
            None,
        ),
        *((_KINDS.get(kind, kind), number, None) for kind, number in sorted(counts.kills.items())),
        *((f"rollouts {ending}", number, None) for ending, number in sorted(counts.endings.items())),
        ("second starts refused", counts.second_starts_refused, None),
        ("transitions", counts.transitions, None),
        ("lease epochs that wrote", counts.fences, None),
    )
    slowest = float(np.max(counts.applied_s))
    return [
        *(record(f"{name}: {words}", value, "", better="lower", goal=goal) for words, value, goal in rows),
        record(f"{name}: slowest gateway after a last plan", slowest, "s wall", better="lower"),
    ]


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
