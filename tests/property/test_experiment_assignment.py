"""No unit flips or is lost, layers do not disturb each other, and who is held out sees nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from experiment_plans import EVERYBODY, NOBODY_HELD_OUT, experiment
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import chdtrc

from bailiwick.traffic.arms import arms_for
from bailiwick.traffic.enter import assignment, assignments, compile_domain
from bailiwick.traffic.layers import reserve, width
from bailiwick.traffic.model import SLOTS, Arm, ExperimentPlan, Holdout
from bailiwick.traffic.weights import reweight

NOTHING = {}.get
UNITS = EVERYBODY[:400]
ARMS = ("control", "b", "c", "d")


@st.composite
def weights(draw: st.DrawFn, arms: tuple[str, ...] = ARMS) -> dict[str, int]:
    cuts = draw(st.lists(st.integers(0, SLOTS), min_size=len(arms) - 1, max_size=len(arms) - 1))
    borders = [0, *sorted(cuts), SLOTS]
    return {arm: borders[index + 1] - borders[index] for index, arm in enumerate(arms)}


def four(shares: dict[str, int], **fields: object) -> ExperimentPlan:
    return experiment(weights=shares, arms=[Arm(name) for name in ARMS], **fields)  # type: ignore[arg-type]


def arms_of(plan: ExperimentPlan, holdout: Holdout = NOBODY_HELD_OUT, units: list[str] = UNITS) -> list[str]:
    return list(map(str, arms_for(compile_domain([plan], holdout), plan.experiment, units).tolist()))


@settings(max_examples=60, deadline=None)
@given(weights(), weights())
def test_reweight__any_weights__units_move_only_from_arms_that_shrink_to_arms_that_grow(
    before: dict[str, int], after: dict[str, int]
) -> None:
    plan = four(before)
    following = replace(plan, split=reweight(plan.split, after))
    moved = {(old, new) for old, new in zip(arms_of(plan), arms_of(following), strict=True) if old != new}
    assert all(after[old] < before[old] and after[new] > before[new] for old, new in moved)
    assert following.split.revision == plan.split.revision + 1


@settings(max_examples=40, deadline=None)
@given(weights(("control", "b", "c")), st.integers(1, SLOTS))
def test_reweight__new_arm__takes_units_and_moves_nobody_between_the_others(shares: dict[str, int], new: int) -> None:
    plan = four(shares)
    rest = {name: share * (SLOTS - new) // SLOTS for name, share in shares.items()}
    wanted = {**rest, "d": SLOTS - sum(rest.values())}
    after = arms_of(replace(plan, split=reweight(plan.split, wanted)))
    assert all(old == now or now == "d" for old, now in zip(arms_of(plan), after, strict=True))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, SLOTS), min_size=2, max_size=6), weights())
def test_reserve__growing_coverage__units_are_only_added_and_keep_their_arm(
    coverages: list[int], shares: dict[str, int]
) -> None:
    taken = experiment("beside", slots=((300, 700),))
    plan = four(shares, slots=reserve([taken], "cards", "answers", "tone", 1))
    seen = arms_of(plan)
    for coverage in sorted(coverages):
        slots = reserve([taken, plan], "cards", "answers", "tone", min(coverage, SLOTS - 400))
        plan = replace(plan, slots=slots)
        now = arms_of(plan)
        assert width(slots) == min(coverage, SLOTS - 400)
        assert all(old in ("", new) for old, new in zip(seen, now, strict=True))
        seen = now


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4000), min_size=2, max_size=5))
def test_layer__experiments_one_after_the_other__share_no_unit(coverages: list[int]) -> None:
    running: list[ExperimentPlan] = []
    for index, coverage in enumerate(coverages):
        free = SLOTS - sum(width(plan.slots) for plan in running)
        if free:
            slots = reserve(running, "cards", "answers", f"e{index}", min(coverage, free))
            running.append(experiment(f"e{index}", slots=slots))
    domain = compile_domain(running, NOBODY_HELD_OUT)
    entered = np.array([arms_for(domain, plan.experiment, UNITS) != "" for plan in running])
    assert int(entered.sum(axis=0).max()) <= 1
    if sum(width(plan.slots) for plan in running) == SLOTS:
        assert int(entered.sum(axis=0).min()) == 1


@settings(max_examples=40, deadline=None)
@given(weights(), st.integers(0, SLOTS - 1), st.integers(0, SLOTS - 1), st.text(max_size=20))
def test_arms_for__any_plan__is_what_each_unit_gets_alone(
    shares: dict[str, int], held_out: int, first: int, odd: str
) -> None:
    plan = four(shares, slots=((first, SLOTS),), overrides={"user-3": "b"})
    domain = compile_domain([plan], Holdout(slots=held_out))
    units = [*UNITS[:100], odd]
    alone = [assignment(domain, "tone", NOTHING, unit) for unit in units]
    assert arms_for(domain, "tone", units).tolist() == [e.arm.name if e and e.counted else "" for e in alone]
    together = [assignments(domain, NOTHING, {"user": unit}.get) for unit in units]
    assert [entered[0] if entered else None for entered in together] == alone


@settings(max_examples=40, deadline=None)
@given(st.integers(0, SLOTS - 1), st.integers(0, SLOTS - 1))
def test_holdout__any_size__held_out_units_are_exposed_to_nothing_and_nested(one: int, other: int) -> None:
    plan = four({"control": 5000, "b": 5000})
    small, large = sorted((one, other))
    inside = {unit for unit, arm in zip(UNITS, arms_of(plan, Holdout(slots=large)), strict=True) if arm}
    wider = {unit for unit, arm in zip(UNITS, arms_of(plan, Holdout(slots=small)), strict=True) if arm}
    assert inside <= wider
    held_out = experiment("elsewhere", domain="loans", layer="b")
    kept_out = {unit for unit, arm in zip(UNITS, arms_of(held_out, Holdout(slots=large)), strict=True) if arm}
    assert kept_out == inside, "the same units are held out of every experiment of every domain"


def chi_square_p(first: list[str], second: list[str]) -> float:
    """p-value of Pearson's test that two assignments of the same units are independent."""
    rows, columns = sorted(set(first)), sorted(set(second))
    table = np.zeros((len(rows), len(columns)))
    np.add.at(table, ([rows.index(each) for each in first], [columns.index(each) for each in second]), 1)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return float(chdtrc((len(rows) - 1) * (len(columns) - 1), ((table - expected) ** 2 / expected).sum()))


def test_layers__many_units__are_divided_independently() -> None:
    plans = [experiment(f"e{index}", layer=f"l{index}", slots=((0, 7000),)) for index in range(8)]
    domain = compile_domain(plans, Holdout(slots=500))
    kept = [u for u, a in zip(EVERYBODY, arms_of(experiment(), Holdout(slots=500), EVERYBODY), strict=True) if a]
    seen = [arms_for(domain, plan.experiment, kept).tolist() for plan in plans]
    found = [chi_square_p(seen[one], seen[other]) for one in range(8) for other in range(one)]
    # 28 independent tests: the least of them is below 0.0001 once in 350 such choices of salts
    assert min(found) > 0.0001
    assert sum(p < 0.05 for p in found) <= 5


def test_layers__same_text_as_user_and_arm_names__control_and_slot_are_independent() -> None:
    """Which slot of the layer a unit has says nothing of its arm."""
    halves = [experiment("low", slots=((0, 5000),)), experiment("high", slots=((5000, SLOTS),))]
    domain = compile_domain(halves, NOBODY_HELD_OUT)
    low, high = (arms_for(domain, name, EVERYBODY) for name in ("low", "high"))
    side = np.where(low != "", "low", "high").tolist()
    assert chi_square_p(side, np.where(low != "", low, high).tolist()) > 0.0001
