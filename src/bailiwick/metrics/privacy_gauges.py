"""Privacy budgets as Prometheus gauges."""

from __future__ import annotations

from collections.abc import Iterable

from bailiwick.metrics.prometheus import Family, Sample
from bailiwick.privacy.accounts import Balance
from bailiwick.privacy.amounts import ATTO, NANO
from bailiwick.privacy.costs import Currency


def privacy_families(balances: Iterable[Balance]) -> list[Family]:
    """What every budget has used, holds and has left, as one gauge each.

    The label ``measure`` is ``epsilon`` or ``rho``, and ``delta``; ``domain`` is empty for the global account.
    """
    used: list[Sample] = []
    held: list[Sample] = []
    remaining: list[Sample] = []
    for each in balances:
        account = {"namespace": each.key.namespace, "lineage": each.key.lineage, "domain": each.key.domain}
        main = {**account, "measure": "rho" if each.currency is Currency.ZCDP else "epsilon"}
        used.append(Sample(each.spent / NANO, main))
        held.append(Sample(each.held / NANO, main))
        remaining.append(Sample(each.remaining / NANO, main))
        if each.cap_delta:
            delta = {**account, "measure": "delta"}
            used.append(Sample(each.spent_delta / ATTO, delta))
            held.append(Sample(each.held_delta / ATTO, delta))
            remaining.append(Sample(each.remaining_delta / ATTO, delta))
    return [
        Family("bailiwick_privacy_budget_used", "gauge", "Privacy budget spent for good.", used),
        Family("bailiwick_privacy_budget_held", "gauge", "Privacy budget reserved by running releases.", held),
        Family("bailiwick_privacy_budget_remaining", "gauge", "Privacy budget that a release may take.", remaining),
    ]
