"""No unit moves without need, and none is lost."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.traffic.assign import version_for
from bailiwick.traffic.model import SLOTS, TrafficPlan
from bailiwick.traffic.weights import reweight, share_weights, whole

VERSIONS = ["v1", "v2", "v3", "v4", "v5"]


@st.composite
def weights(draw: st.DrawFn) -> dict[str, int]:
    versions = draw(st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=5, unique=True))
    cuts = draw(st.lists(st.integers(0, SLOTS), min_size=len(versions) - 1, max_size=len(versions) - 1))
    borders = [0, *sorted(cuts), SLOTS]
    return {version: borders[i + 1] - borders[i] for i, version in enumerate(versions)}


def owners(plan: TrafficPlan) -> list[str]:
    return [piece.version for piece in plan.ranges for _ in range(piece.first, piece.end)]


@settings(max_examples=150, deadline=None)
@given(st.lists(weights(), min_size=1, max_size=5))
def test_reweight__any_chain_of_changes__moves_exactly_what_must(chain: list[dict[str, int]]) -> None:
    plan = whole("cards", "v1", "salt")
    for wanted in chain:
        following = reweight(plan, wanted)
        assert following.weights == {version: weight for version, weight in wanted.items() if weight}
        before, after = owners(plan), owners(following)
        assert len(after) == SLOTS
        moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        change = {v: following.weights.get(v, 0) - plan.weights.get(v, 0) for v in VERSIONS}
        assert len(moved) == sum(abs(delta) for delta in change.values()) // 2
        assert all(change[old] < 0 < change[new] for old, new in moved)
        plan = following


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, SLOTS - 1), min_size=1, max_size=8))
def test_reweight__two_versions_up_and_down__candidate_serves_nested_sets(shares: list[int]) -> None:
    plan = whole("cards", "v1", "salt")
    for share in shares:
        plan = reweight(plan, {"v1": SLOTS - share, "v2": share})
        assert [(piece.first, piece.version) for piece in plan.ranges] == [(0, "v1"), (SLOTS - share, "v2")]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, SLOTS), min_size=2, max_size=6), st.text(max_size=40))
def test_version_for__growing_share__unit_never_goes_back(shares: list[int], unit: str) -> None:
    plan = whole("cards", "v1", "salt")
    seen = []
    for share in sorted(shares):
        plan = reweight(plan, {"v1": SLOTS - share, "v2": share})
        seen.append(version_for(plan, unit))
    assert seen == sorted(seen)


@settings(max_examples=100, deadline=None)
@given(weights(), st.integers(1, SLOTS))
def test_share_weights__any_plan__sums_and_keeps_proportions(present: dict[str, int], share: int) -> None:
    others = {version: weight for version, weight in present.items() if weight}
    result = share_weights(others, "new", share)
    assert sum(result.values()) == SLOTS
    assert result["new"] == share
    if share < SLOTS:
        for version, weight in others.items():
            assert abs(result[version] - weight * (SLOTS - share) / SLOTS) < 1
