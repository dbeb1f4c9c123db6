"""Whether a data set can carry a promise to units: they are the budget's, and none decides over another's rows."""

from __future__ import annotations

from bailiwick.datasets.model import Dataset
from bailiwick.errors import InvalidInput
from bailiwick.privacy.terms import PrivacyUnit


def check_units(snapshot: Dataset, unit: PrivacyUnit) -> None:
    """Refuse a data set in which removing one unit would change more than that unit's rows.

    Raises:
        InvalidInput: its units are others than the budget's, or rows were cleaned or split across units.
    """
    remedy = f"import it again with --unit-column {unit.column} --independent-units"
    column = snapshot.findings.unit_column
    if column != unit.column:
        raise InvalidInput(
            f"the data set {snapshot.id!r} was imported with the unit column {column!r}, the budget protects "
            f"{unit.column!r}",
            what="unit",
            requested=column,
            allowed=unit.column,
            remedy=remedy,
        )
    if not snapshot.findings.independent:
        raise InvalidInput(
            f"in the data set {snapshot.id!r} one unit's rows decided what became of another's: no unit is protected",
            what="dataset",
            requested=snapshot.id,
            remedy=remedy,
        )
