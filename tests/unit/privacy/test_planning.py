from __future__ import annotations

import math

import pytest
from private_rows import stated

from bailiwick.errors import InvalidInput
from bailiwick.privacy.applicability import of_file, of_import
from bailiwick.privacy.contributions import NumericColumn
from bailiwick.privacy.costs import Cost, Currency
from bailiwick.privacy.mechanisms.counts import Count
from bailiwick.privacy.mechanisms.means import Mean
from bailiwick.privacy.mechanisms.partition_selection import PartitionSelection
from bailiwick.privacy.planning import forecast, price
from bailiwick.privacy.releases import plan_hash

TERMS = stated()


def test_price__several_mechanisms__the_exact_sum() -> None:
    mechanisms = [Count(TERMS, 0.1)] * 10
    assert price("counts", mechanisms).plan.cost == Cost.of("1.0")
    found = price(
        "more", [Mean(TERMS, NumericColumn.of(TERMS, "amount"), 1.0), PartitionSelection(TERMS, "w", 0.5, 1e-6)]
    )
    assert found.plan.cost == Cost.of("1.5", "1e-6")
    assert [use.parameters["epsilon"] for use in found.plan.mechanisms] == [0.5, 0.5, 0.5]
    assert found.plan.libraries["opendp"].startswith("0.16")


def test_price__account_of_zcdp__rho_is_charged() -> None:
    assert price("counts", [Count(TERMS, 0.1)] * 100, currency=Currency.ZCDP).plan.cost == Cost.of_rho("0.5")


def test_price__nothing__refused() -> None:
    with pytest.raises(InvalidInput):
        price("nothing", [])


def test_plan__twice__has_one_hash() -> None:
    first, again, other = (plan_hash(TERMS, price("a", [Count(TERMS, each)]).plan) for each in (0.3, 0.3, 0.31))
    assert first == again != other


def test_forecast__hundred_counts__each_method_beside_the_others() -> None:
    once, _, hundred = forecast(price("count", [Count(TERMS, 0.1)]))
    assert once.epsilon["naive"] == pytest.approx(0.1)
    assert (hundred.times, hundred.delta) == (100, 1e-6)
    assert hundred.epsilon["naive"] == pytest.approx(10)
    assert hundred.epsilon["advanced"] == pytest.approx(6.308, abs=1e-3)
    assert hundred.epsilon["pld"] <= 4.70


def test_forecast__steps_with_delta__added_to_the_slack() -> None:
    ten = forecast(price("words", [PartitionSelection(TERMS, "w", 0.1, 1e-6)]), times=[10])[0]
    assert ten.delta == pytest.approx(1.1e-5)
    assert ten.epsilon["zcdp"] == math.inf
    assert ten.epsilon["pld"] <= 1.0 + 1e-3


def test_expected_error__of_a_count__is_the_noise_scale_times_ln_20() -> None:
    (error,) = price("count", [Count(TERMS, 0.5)]).errors
    assert (error.unit, error.scale) == ("rows", 6.0)
    assert error.within_95 == pytest.approx(6 * math.log(20))


@pytest.mark.parametrize("name", ["warehouse/ddl/core.hql", "a.SQL", "nightly.xml", "x.ddl"])
def test_applicability__statements_definitions_schedules__does_not_apply(name: str) -> None:
    assert not of_file(name).applies
    assert "does not apply" in of_file(name).words


def test_applicability__rows__need_a_unit_that_is_a_person() -> None:
    assert of_import("queries.csv", "customer").applies
    assert not of_import("graph", "customer").applies
    assert "--unit-column" in of_import("queries.csv", None).remedy
