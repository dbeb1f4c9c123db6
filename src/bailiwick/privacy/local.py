"""Per-record local randomisation: each record's value is randomised by itself, before anything is collected.

This is a mode of its own, with a guarantee of its own, and is never mixed with the central statistics. The records stay
records: how many there are, and that a unit has one, is not protected. What a record says is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounting.steps import Mechanism, PureDp
from bailiwick.privacy.contributions import BoundedRows, cap_of
from bailiwick.privacy.mechanisms.means import share_of
from bailiwick.privacy.mechanisms.model import ExpectedError, same_terms
from bailiwick.privacy.mechanisms.noise import check_epsilon, opendp
from bailiwick.privacy.releases import MechanismUse
from bailiwick.privacy.terms import Adjacency, ReleaseTerms

NOT_PROTECTED = ("how many records there are", "that a unit has records at all")


@dataclass(frozen=True, slots=True)
class LocalRandomisation:
    """k-ary randomised response (Warner 1965; Kairouz et al. 2014): true with probability p, else any other category.

    Args:
        terms: the categories; adjacency must be replacement, as the presence of a record is not hidden.
        column: whose values are randomised.
        epsilon: of all records of one unit together; each record gets an equal part of it.
    """

    terms: ReleaseTerms
    column: str
    epsilon: float

    def __post_init__(self) -> None:
        self.terms.check(categorical=[self.column])
        check_epsilon(self.each)
        if self.terms.adjacency is not Adjacency.REPLACE:
            raise InvalidInput(
                "local randomisation does not hide that a record exists",
                what="adjacency",
                requested=getattr(self.terms.adjacency, "value", None),
                allowed=Adjacency.REPLACE.value,
                remedy="state the adjacency `replace`, or use a central statistic",
            )
        if len(self.terms.categories[self.column].values) < 2:
            raise InvalidInput("one category alone says nothing", what=f"categories.{self.column}", allowed="2 or more")

    @property
    def each(self) -> float:
        """Epsilon of one record."""
        return share_of(self.epsilon, cap_of(self.terms))

    @property
    def truth(self) -> float:
        """The probability that a record keeps its value."""
        return self._made()[1]

    @property
    def uses(self) -> tuple[MechanismUse, ...]:
        """See `Calibrated`."""
        return (
            MechanismUse(
                name="randomised response, per record",
                parameters={
                    "of": self.column,
                    "categories": len(self.terms.categories[self.column].values),
                    "truth_probability": self.truth,
                    "epsilon_per_record": self.each,
                },
                times=cap_of(self.terms),
                map="epsilon_per_record = ln(p (k - 1) / (1 - p))",
            ),
        )

    @property
    def steps(self) -> tuple[tuple[Mechanism, int], ...]:
        """See `Calibrated`."""
        return ((PureDp(self.each), cap_of(self.terms)),)

    @property
    def errors(self) -> tuple[ExpectedError, ...]:
        """Of a category's estimated share, times the square root of the number of records."""
        other = self._lie
        scale = math.sqrt(0.25) / (self.truth - other)
        return (ExpectedError("share of a category, times the root of the records", "share", scale, 1.96 * scale),)

    def release(self, rows: BoundedRows) -> Mapping[str, Any]:
        """The randomised records in sorted order, and the shares that they suggest once the lies are taken off."""
        same_terms(self.terms, rows)
        randomise, categories = self._made()[0], self.terms.categories[self.column].values
        position = {category: at for at, category in enumerate(categories)}
        records = sorted(categories[randomise(position[value])] for value in rows.categories[self.column])
        found, total = Counter(records), max(len(records), 1)
        width = self.truth - self._lie
        shares = {category: (found[category] / total - self._lie) / width for category in categories}
        return {"mode": "local", "records": records, "estimated_shares": shares}

    @property
    def _lie(self) -> float:
        return (1 - self.truth) / (len(self.terms.categories[self.column].values) - 1)

    def _made(self) -> tuple[Any, float]:
        return _randomised(len(self.terms.categories[self.column].values), self.each)


@lru_cache(64)
def _randomised(categories: int, epsilon: float) -> tuple[Any, float]:
    """Over the positions of the categories: OpenDP ends a text at its first NUL, which would confuse two of them."""
    library = opendp()
    others = categories - 1
    truth = 1 / (1 + others * math.exp(-epsilon))
    for _ in range(200):
        made = library.measurements.make_randomized_response(list(range(categories)), truth, T="i64")
        if made.map(1) <= epsilon:
            return made, truth
        truth = math.nextafter(truth * (1 - 2**-51), 0.0)
    raise InvalidInput(f"no probability gives epsilon {epsilon!r}", what="epsilon", requested=epsilon)
