"""What every mechanism offers once it is calibrated, before any data is touched."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounting.steps import Mechanism
from bailiwick.privacy.contributions import BoundedRows
from bailiwick.privacy.releases import MechanismUse
from bailiwick.privacy.terms import ReleaseTerms


@dataclass(frozen=True, slots=True)
class ExpectedError:
    """How far an answer will be off through noise alone.

    Args:
        of: which answer.
        unit: of the figures: rows, units, ranks or the column's own.
        scale: of the noise.
        within_95: the error stays within this with a probability of 95 %.
    """

    of: str
    unit: str
    scale: float
    within_95: float


class Calibrated(Protocol):
    """A mechanism with its noise fixed. Calibrating reads no data; only `release` does."""

    @property
    def terms(self) -> ReleaseTerms:
        """What it was calibrated for."""
        ...

    @property
    def uses(self) -> tuple[MechanismUse, ...]:
        """For the plan and the report card."""
        ...

    @property
    def steps(self) -> tuple[tuple[Mechanism, int], ...]:
        """For the accounting."""
        ...

    @property
    def errors(self) -> tuple[ExpectedError, ...]:
        """What to expect, known before running."""
        ...

    def release(self, rows: BoundedRows) -> Mapping[str, Any]:
        """The noisy answer, in values that JSON carries.

        Raises:
            InvalidInput: the rows were bounded by other terms.
        """
        ...


def same_terms(terms: ReleaseTerms, rows: BoundedRows) -> None:
    """Refuse rows that were bounded by other terms than the noise was calibrated for.

    Raises:
        InvalidInput: they were.
    """
    if rows.terms != terms:
        raise InvalidInput(
            "the rows were bounded by other terms than the noise was calibrated for",
            what="terms",
            remedy="bound the rows with the terms of the plan",
        )


def laplace_quantile(scale: float, probability: float = 0.95) -> float:
    """Laplace noise stays within this with the probability.

    >>> round(laplace_quantile(10), 2)
    29.96
    """
    return -scale * math.log1p(-probability)
