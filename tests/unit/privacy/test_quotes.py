"""What would it cost, who would pay, and what would be left."""

from __future__ import annotations

from dataclasses import replace

import pytest
from privacy_examples import CARDS, TERMS, WHOLE

from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounts import Balance
from bailiwick.privacy.charging import Debit
from bailiwick.privacy.costs import Cost, Currency
from bailiwick.privacy.mechanisms.counts import Count
from bailiwick.privacy.planning import price
from bailiwick.privacy.quotes import payments, quote_document, quote_release, quote_training, units_to_stand_out
from bailiwick.privacy.releases import ReleasePlan
from bailiwick.privacy.training import PrivateTrainingPlan

FULL = Balance(WHOLE, Currency.APPROX, 10**9, 3 * 10**8, 10**8, 10**12, 0, 0, 4)
TRAINING = PrivateTrainingPlan(1.0, 12, 4.0, 0.5, 1, 1e-6)


def test_payments__spent_and_held__are_not_left() -> None:
    [paid] = payments(Cost.of("0.5", "1e-6"), [FULL])
    assert (paid.remaining, paid.afterwards) == (Debit(6 * 10**8, 10**12), Debit(10**8, 0))


@pytest.mark.parametrize("cost", [Cost.of("0.600000001"), Cost.of("0.1", "1.1e-6")])
def test_payments__more_than_is_left__no_afterwards(cost: Cost) -> None:
    assert payments(cost, [FULL])[0].afterwards is None


def test_payments__delta_from_a_pure_account__refused_as_the_charge_would_be() -> None:
    with pytest.raises(InvalidInput, match="counts epsilon alone"):
        payments(Cost.of("0.1", "1e-7"), [replace(FULL, currency=Currency.PURE)])


def test_quote_release__two_counts__rho_is_the_sum_of_half_squares_whatever_the_account_counts() -> None:
    terms = replace(TERMS, bounds={})
    mechanisms = [Count(terms, 0.2), Count(terms, 0.4)]
    for currency in (Currency.APPROX, Currency.ZCDP):
        balance = replace(FULL, currency=currency)
        quote = quote_release("queries-1", [CARDS], price("counts", mechanisms, currency=currency), [balance])
        shown = quote_document(quote)
        assert float(shown["epsilon"]) == pytest.approx(0.6, rel=1e-6)
        assert float(shown["rho"]) == pytest.approx(0.2**2 / 2 + 0.4**2 / 2, rel=1e-5)
        [paid] = shown["payments"]
        assert paid["requested"]["amount"] == shown["rho" if currency is Currency.ZCDP else "epsilon"]


def test_quote_training__zcdp_account__pays_half_the_square_of_epsilon() -> None:
    release = ReleasePlan("a model", (), "renyi", Cost.of(2, "1e-6"))
    [paid] = quote_training("queries-1", CARDS, release, TRAINING, [replace(FULL, currency=Currency.ZCDP)]).payments
    assert paid.requested == Debit(2 * 10**9, 10**12)
    assert paid.afterwards is None


def test_units_to_stand_out__twice_the_noise__twice_the_units() -> None:
    quiet = replace(TRAINING, sample_rate=0.01)
    assert units_to_stand_out(replace(quiet, noise_multiplier=8.0)) == pytest.approx(
        2 * units_to_stand_out(quiet), abs=1
    )
