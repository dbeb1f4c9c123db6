"""Whatever comes in whatever order and batches, the differences add up to the moments over the units' sums."""

from __future__ import annotations

from dataclasses import astuple
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.metrics.events import ExposureEvent
from bailiwick.metrics.sketch import Sketch
from bailiwick.metrics.tally import ArmKey, Tally, TotalKey, UnitKey, UnitState
from bailiwick.statistics.moments import UnitMoments

START = datetime(2026, 3, 1, tzinfo=UTC)
COVARIATES = {UnitKey("e", f"u{number}"): {"m": number * 1.5} for number in range(3)}

values = st.floats(-1e4, 1e4, allow_nan=False, allow_subnormal=False)
steps = st.one_of(
    st.tuples(
        st.just("expose"),
        st.integers(0, 5),
        st.sampled_from("ab"),
        st.integers(1, 2),
        st.dictionaries(st.sampled_from("mn"), values, max_size=2),
    ),
    st.tuples(st.just("judge"), st.integers(0, 30), st.sampled_from("mq"), st.none() | values),
    st.tuples(st.just("batch")),
)


class Store:
    """Adds the differences of one batch after another up, as the database does."""

    def __init__(self) -> None:
        self.units: dict[UnitKey, UnitState] = {}
        self.totals: dict[TotalKey, tuple[UnitMoments, Sketch]] = {}
        self.arms: dict[ArmKey, tuple[int, int, int]] = {}

    def begin(self) -> Tally:
        return Tally(self.units, COVARIATES)

    def end(self, tally: Tally) -> None:
        self.units.update(tally.units())
        for key, change in tally.totals().items():
            moments, sketch = self.totals.get(key, (UnitMoments(), Sketch.of([])))
            self.totals[key] = (moments + change.moments, Sketch.merged((sketch, change.added)) - change.removed)
        for place, more in tally.arms().items():
            present = self.arms.get(place, (0, 0, 0))
            self.arms[place] = tuple(map(sum, zip(present, astuple(more), strict=True)))  # type: ignore[assignment]


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=60))
def test_tally__any_interleaving__equals_the_moments_of_units(history: list[tuple[object, ...]]) -> None:
    store = Store()
    tally = store.begin()
    events: list[ExposureEvent] = []
    homes: dict[str, tuple[int, str]] = {}
    judged: dict[tuple[int, str], float | None] = {}
    for step in history:
        if step[0] == "expose":
            _, unit, arm, epoch, outcomes = step
            part = len(events) + 1
            at = START + timedelta(seconds=part)
            event = ExposureEvent(part, at, "e", epoch, arm, f"u{unit}", f"r{part}", "d", "v", 0.5, outcomes)  # type: ignore[arg-type]
            events.append(event)
            homes.setdefault(event.unit, (event.epoch, event.arm))
            tally.expose(event)
        elif step[0] == "judge" and events:
            _, index, metric, value = step
            which = index % len(events)  # type: ignore[operator]
            counts = tally.judge(events[which], metric, judged.get((which, metric)), value)  # type: ignore[arg-type]
            assert counts == (homes[events[which].unit][1] == events[which].arm)
            if counts:
                judged[which, metric] = value  # type: ignore[index, assignment]
        else:
            store.end(tally)
            tally = store.begin()
    store.end(tally)

    found: dict[TotalKey, dict[str, list[float]]] = {}
    for which, event in enumerate(events):
        epoch, arm = homes[event.unit]
        if arm != event.arm:
            continue
        own = [*event.outcomes.items(), *((metric, value) for (at, metric), value in judged.items() if at == which)]
        for metric, value in own:
            if value is not None:
                found.setdefault(TotalKey("e", epoch, arm, metric), {}).setdefault(event.unit, []).append(value)
    assert {key for key, (moments, _) in store.totals.items() if moments.units} == found.keys()
    for key, by_unit in found.items():
        expected = UnitMoments.of(
            [sum(each) for each in by_unit.values()],
            [len(each) for each in by_unit.values()],
            [COVARIATES.get(UnitKey("e", unit), {}).get(key.metric, 0.0) for unit in by_unit],
        )
        moments, sketch = store.totals[key]
        assert astuple(moments) == pytest.approx(astuple(expected), rel=1e-9, abs=1e-2 * 1e-3)
        whole = Sketch.of([value for each in by_unit.values() for value in each])
        assert (list(sketch.buckets), list(sketch.counts)) == (list(whole.buckets), list(whole.counts))
    for (_, epoch, arm), counters in store.arms.items():
        mine = [unit for unit, home in homes.items() if home == (epoch, arm)]
        same = [event.arm == arm for event in events if event.unit in mine]
        assert counters == (len(mine), sum(same), len(same) - sum(same))
