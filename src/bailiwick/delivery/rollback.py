"""Where a rollback goes: to the last plan that did not serve the newcomer, and once more: further back."""

from __future__ import annotations

from collections.abc import Iterable

from bailiwick.traffic.model import PlanRecord


def rollback_target(history: Iterable[PlanRecord]) -> PlanRecord | None:
    """The earlier plan that a rollback of the present one restores.

    The newcomer is the version that entered the present plan last. Amid a rollout, going back by one revision would
    only lessen its share; what is wanted is the last plan without it. An earlier rollback undoes what it took back:
    plans after the one it restored are never returned to.

    Args:
        history: every revision of one domain's plan, in any order.

    Returns:
        None when no earlier plan is without the newcomer.
    """
    stack = plans_in_effect(history)
    if not stack:
        return None
    new = _newcomers(stack)
    for record in reversed(stack[:-1]):
        if not new & record.plan.weights.keys():
            return record
    return None


def newcomers(history: Iterable[PlanRecord]) -> set[str]:
    """The versions that entered the present plan last: what a rollback takes out. Empty without a plan."""
    stack = plans_in_effect(history)
    return _newcomers(stack) if stack else set()


def plans_in_effect(history: Iterable[PlanRecord]) -> list[PlanRecord]:
    """The plans that led to the present one, oldest first, without what rollbacks have undone."""
    stack: list[PlanRecord] = []
    for record in sorted(history, key=lambda record: record.plan.revision):
        place = next((i for i, earlier in enumerate(stack) if earlier.plan.revision == record.restores), None)
        if place is None:
            stack.append(record)
        else:
            del stack[place + 1 :]
    return stack


def _newcomers(stack: list[PlanRecord]) -> set[str]:
    entered = {version: _entered(stack, version) for version in stack[-1].plan.weights}
    latest = max(entered.values())
    return {version for version, place in entered.items() if place == latest}


def _entered(stack: list[PlanRecord], version: str) -> int:
    """The place in the stack since which the version has served without a break."""
    place = len(stack) - 1
    while place > 0 and version in stack[place - 1].plan.weights:
        place -= 1
    return place
