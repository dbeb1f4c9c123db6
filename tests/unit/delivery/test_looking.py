"""When a young deployment is looked at again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bailiwick.delivery.looking import Grounds, Looked, is_due
from bailiwick.metrics.model import Mark

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GROUNDS = Grounds("deployment-1", 1, 5)
LOOKED = Looked(NOW, GROUNDS, NOW - timedelta(minutes=2), Mark(10, 1, NOW), samples=10_000)
TWO_SECONDS = NOW + timedelta(seconds=2)


def test_is_due__nothing_new__not_before_the_longest_pause() -> None:
    assert not is_due(LOOKED, TWO_SECONDS, GROUNDS, LOOKED.mark)
    assert not is_due(LOOKED, NOW + timedelta(seconds=29), GROUNDS, LOOKED.mark)
    assert is_due(LOOKED, NOW + timedelta(seconds=30), GROUNDS, LOOKED.mark)


def test_is_due__a_hundredth_is_new__at_once() -> None:
    assert not is_due(LOOKED, TWO_SECONDS, GROUNDS, Mark(108, 2, NOW))
    assert is_due(LOOKED, TWO_SECONDS, GROUNDS, Mark(109, 2, NOW))


def test_is_due__a_little_is_new__after_ten_seconds() -> None:
    assert not is_due(LOOKED, NOW + timedelta(seconds=9), GROUNDS, Mark(11, 1, NOW))
    assert is_due(LOOKED, NOW + timedelta(seconds=10), GROUNDS, Mark(11, 1, NOW))


def test_is_due__little_is_known_yet__each_new_one_counts() -> None:
    assert is_due(replace(LOOKED, samples=99), TWO_SECONDS, GROUNDS, Mark(11, 1, NOW))
    assert is_due(replace(LOOKED, samples=0), TWO_SECONDS, GROUNDS, Mark(10, 1, TWO_SECONDS))  # an opinion was changed


@pytest.mark.parametrize("field", ["deployment", "policy_revision", "traffic_revision"])
def test_is_due__other_grounds__at_once(field: str) -> None:
    other = replace(GROUNDS, **{field: "deployment-2" if field == "deployment" else 9})
    assert is_due(LOOKED, TWO_SECONDS, other, LOOKED.mark)


def test_is_due__clock_went_back__at_once() -> None:
    assert is_due(LOOKED, NOW - timedelta(seconds=1), GROUNDS, LOOKED.mark)
