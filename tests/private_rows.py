"""Terms and rows for tests of private releases."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from learning_examples import ADA

from bailiwick.datasets.model import Dataset
from bailiwick.datasets.readers import Columns
from bailiwick.datasets.service import DatasetService
from bailiwick.privacy.accounts import Account, AccountKey
from bailiwick.privacy.costs import Cost, Currency
from bailiwick.privacy.ledger import Ledger
from bailiwick.privacy.service import PrivacyService
from bailiwick.privacy.terms import (
    Adjacency,
    Categories,
    ColumnBounds,
    Lifetime,
    PrivacySettings,
    PrivacyUnit,
    ReleaseTerms,
)

UNIT = PrivacyUnit("unit", "bank-customers")
LABELS = ("block_card", "exchange_rate", "open_account")


def stated(**changed: Any) -> ReleaseTerms:
    """Complete terms, but for what is changed."""
    values: dict[str, Any] = {
        "unit": UNIT,
        "adjacency": Adjacency.ADD_REMOVE,
        "contribution_cap": 3,
        "bounds": {"amount": ColumnBounds(0, 100)},
        "categories": {"label": Categories(("a", "b", "c"))},
        "lifetime": Lifetime(),
        **changed,
    }
    return ReleaseTerms(**values)


def import_units(datasets: DatasetService, path: Path) -> Dataset:
    """Import a file of `write_csv` so that its units do not decide over each other's rows."""
    return datasets.import_file(path, actor=ADA, columns=Columns(unit=UNIT.column), independent_units=True)


def open_budget(
    privacy: PrivacyService, lineage: str, *domains: str, epsilon: str = "1000", **changed: Any
) -> AccountKey:
    """The global account of a data set and those of domains, with settings for its labels and text lengths."""
    key = AccountKey(UNIT.namespace, lineage)
    ledger: Ledger = privacy.ledger
    for own in (key, *(AccountKey(UNIT.namespace, lineage, domain) for domain in domains)):
        values: dict[str, Any] = {
            "key": own,
            "unit": UNIT,
            "adjacency": Adjacency.ADD_REMOVE,
            "currency": Currency.APPROX,
            "cap": Cost.cap(epsilon=epsilon, delta="1e-3"),
            "lifetime": Lifetime(),
            "created_at": datetime(2026, 3, 1, tzinfo=UTC),
            **changed,
        }
        ledger.open(Account(**values), ADA)
    settings = PrivacySettings(1, {"text_length": ColumnBounds(0, 100)}, {"label": Categories(LABELS)})
    privacy.set_settings(key, settings, ADA)
    return key
