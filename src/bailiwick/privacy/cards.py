"""The report card of a release: everything that a reader needs to judge the claim. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bailiwick import __version__
from bailiwick.privacy.accounts import Account, AccountKey
from bailiwick.privacy.amounts import ATTO, NANO, decimal_text
from bailiwick.privacy.canonical import digest
from bailiwick.privacy.releases import Charge, ReleasePlan, ReportCard
from bailiwick.privacy.terms import ReleaseTerms


def report_card(
    terms: ReleaseTerms,
    plan: ReleasePlan,
    charge: Charge,
    keys: Sequence[AccountKey],
    accounts: Sequence[Account],
    output: Any,
    released_at: datetime,
) -> ReportCard:
    """The card of an output.

    Args:
        terms: complete, see `ReleaseTerms.check`.
        plan: that was charged for.
        charge: that paid.
        keys: the accounts that were asked for; ``charge`` names the global ones too.
        accounts: those of the charge.
        output: plain JSON values.
        released_at: now.
    """
    assert terms.unit and terms.adjacency and terms.contribution_cap and terms.lifetime  # checked before
    cost = plan.cost
    return ReportCard(
        unit=terms.unit,
        adjacency=terms.adjacency,
        contribution_cap=terms.contribution_cap,
        bounds=terms.bounds,
        categories=terms.categories,
        purpose=plan.purpose,
        mechanisms=plan.mechanisms,
        accounting=plan.accounting,
        epsilon=decimal_text(cost.epsilon_nano, NANO) if cost.epsilon_nano else None,
        delta=decimal_text(cost.delta_atto, ATTO),
        rho=decimal_text(cost.rho_nano, NANO) if cost.rho_nano else None,
        not_protected=plan.not_protected,
        reset_policy=terms.lifetime.words,
        lifetime_budgets={str(account.key): account.cap.words for account in accounts},
        libraries={"bailiwick": __version__, **plan.libraries},
        accounts=tuple(str(key) for key in charge.keys),
        lineages=tuple(sorted({key.lineage for key in keys})),
        domains=tuple(sorted({key.domain for key in keys if key.domain})),
        charge=charge.id,
        plan_hash=charge.plan_hash,
        output_hash=digest(output),
        released_at=released_at,
    )
