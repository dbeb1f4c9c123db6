from __future__ import annotations

from datetime import UTC, datetime

from bailiwick.delivery.rollback import rollback_target
from bailiwick.traffic.model import SLOTS, PlanRecord, SlotRange, TrafficPlan

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def history(*steps: str | int) -> list[PlanRecord]:
    """A plan per step: ``AB`` serves A and B evenly, a number restores that revision."""
    records: list[PlanRecord] = []
    for revision, step in enumerate(steps, start=1):
        if isinstance(step, int):
            ranges, restores = records[step - 1].plan.ranges, step
        else:
            size = SLOTS // len(step)
            ranges = tuple(SlotRange(i * size, (i + 1) * size, version) for i, version in enumerate(step))
            restores = None
        plan = TrafficPlan("cards", revision, "salt", ranges)
        records.append(PlanRecord(plan, NOW, "ada", "traffic.shift", restores=restores))
    return records


def target(*steps: str | int) -> int | None:
    found = rollback_target(history(*steps))
    return found.plan.revision if found else None


def test_rollback_target__two_versions_in_turn__the_one_before() -> None:
    assert target("A", "B") == 1
    assert target("A", "B", "C") == 2


def test_rollback_target__again__further_back() -> None:
    assert target("A", "B", "C", 2) == 1
    assert target("A", "B", "C", 2, 1) is None


def test_rollback_target__amid_a_rollout__newcomer_is_out_altogether() -> None:
    assert target("A", "AB", "AB", "AB") == 1


def test_rollback_target__after_promotion__before_the_rollout() -> None:
    assert target("A", "AB", "B") == 1


def test_rollback_target__newcomer_beside_a_settled_pair__pair_is_kept() -> None:
    assert target("A", "AB", "ABC") == 2
    assert target("A", "AB", "ABC", 2) == 1


def test_rollback_target__deployed_again_after_a_rollback__undone_plans_are_not_returned_to() -> None:
    assert target("A", "B", "C", 2, "D") == 2
    assert target("A", "B", "C", 2, "D", 2) == 1


def test_rollback_target__old_version_deployed_anew__it_is_the_newcomer() -> None:
    assert target("A", "B", "A") == 2
    assert target("A", "B", "AB") == 2


def test_rollback_target__nothing_before__none() -> None:
    assert target() is None
    assert target("A") is None
    assert target("AB") is None
    assert target("A", "AB", "A") is None
