from __future__ import annotations

import contextlib
import math
from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.delivery.freeze_text import freeze_text, parse_freeze
from bailiwick.delivery.people import person, require_another
from bailiwick.delivery.policy import GatePolicy, changed
from bailiwick.delivery.rollout.freeze import FreezeWindow, Weekday
from bailiwick.domains.model import Thresholds
from bailiwick.errors import InvalidInput, PolicyDenied


def test_limits__set_here__take_the_place_of_the_domains() -> None:
    own = Thresholds(min_accuracy=0.7)
    assert GatePolicy().limits(own) == own
    assert changed(GatePolicy(), {"min_accuracy": 0.9}).limits(own) == Thresholds(min_accuracy=0.9)


def test_changed__none__brings_the_default_back() -> None:
    policy = changed(GatePolicy(), {"approvals": 2, "automatic_rollback": False})
    assert changed(policy, {"approvals": None, "automatic_rollback": None}) == GatePolicy()


def test_changed__its_own_document__is_read_back() -> None:
    policy = changed(GatePolicy(), {"freezes": ["weekend: fri 16:00 for 64h Europe/Berlin"], "max_epsilon": 3})
    assert changed(GatePolicy(), asdict(policy)) == policy


@pytest.mark.parametrize(
    "changes",
    [
        {"approvals": -1},
        {"approvals": 1.5},
        {"approvals": "many"},
        {"min_accuracy": 1.01},
        {"min_accuracy": math.nan},
        {"max_error_rise": 0},
        {"max_latency_factor": 1},
        {"max_latency_factor": math.inf},
        {"guard_s": 8 * 86_400},
        {"rollback_evidence": "hunch"},
        {"regression_dataset": "a\x00b"},
        {"freezes": ["whenever"]},
        {"freezes": ["a: fri 16:00 for 1h UTC", "a: sat 16:00 for 1h UTC"]},
        {"freezes": ["long: fri 16:00 for 999h UTC"]},
        {"freezes": ["lost: fri 16:00 for 1h Atlantis/Center"]},
        {"freezes": ["back: 2026-12-20T00:00Z to 2026-12-19T00:00Z"]},
        {"freezes": ["when: fri 25:00 for 1h UTC"]},
        {"no_such_key": 1},
    ],
)
def test_changed__what_does_not_fit__is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        changed(GatePolicy(), changes)


windows = st.one_of(
    st.builds(
        lambda days, hour, minute, minutes, zone: FreezeWindow(
            "night", days=frozenset(days), opens=time(hour, minute), lasts=timedelta(minutes=minutes), timezone=zone
        ),
        st.sets(st.sampled_from(list(Weekday)), min_size=1),
        st.integers(0, 23),
        st.integers(0, 59),
        st.integers(1, 7 * 24 * 60),
        st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York"]),
    ),
    st.builds(
        lambda start, minutes: FreezeWindow(
            "once", start=start.replace(tzinfo=UTC), end=start.replace(tzinfo=UTC) + timedelta(minutes=minutes)
        ),
        st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda each: each.replace(microsecond=0)),  # noqa: DTZ001
        st.integers(1, 10**6),
    ),
)


@given(windows)
def test_freeze_text__any_window__reads_back(window: FreezeWindow) -> None:
    assert parse_freeze(freeze_text(window)) == window


@given(st.text(max_size=60))
def test_parse_freeze__any_text__is_a_window_or_a_typed_error(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        parse_freeze(text)


@pytest.mark.parametrize("author", ["cli:ada", "api:ada", "api:ADA", "ada", "cli: ada", "api:\uff41da"])
def test_four_eyes__the_same_person_by_whatever_face__cannot_approve(author: str) -> None:
    with pytest.raises(PolicyDenied, match="cannot approve"):
        require_another("cli:ada", [author], "deployment-1")


@pytest.mark.parametrize("nobody", ["api:anonymous", "cli:", "server", "", "api:Anonymous"])
def test_four_eyes__nobody__cannot_approve(nobody: str) -> None:
    with pytest.raises(PolicyDenied, match="needs a person"):
        require_another(nobody, ["cli:ada"], "deployment-1")


def test_four_eyes__another__may() -> None:
    require_another("api:grace", ["cli:ada", "api:bob"], "deployment-1")
    assert person("api:cli:ada") == "cli:ada"  # a header cannot make itself look like a login
