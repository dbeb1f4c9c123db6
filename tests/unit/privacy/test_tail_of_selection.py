"""What partition selection lists of a value that a single unit holds, against the delta that it states."""

from __future__ import annotations

import pytest

from bailiwick.privacy.mechanisms.partition_selection import _select

VALUES = 100_000


@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 0.01), (2.0, 0.01)])
def test_select__values_of_one_unit_each__are_listed_no_more_often_than_delta(epsilon: float, delta: float) -> None:
    # Six standard deviations: a false alarm in about 1e9 runs; one step earlier the tail is 1.5 to 7 times delta.
    measurement, _, _, stated = _select(1, epsilon, delta)
    listed = measurement({f"value-{number}": 1 for number in range(VALUES)})
    assert stated <= delta
    assert len(listed) / VALUES <= stated + 6 * (stated / VALUES) ** 0.5
