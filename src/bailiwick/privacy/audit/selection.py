"""Whether keys that one unit alone holds are listed more often than delta allows.

Where a key cannot be in the output without the unit, differential privacy at (epsilon, delta) leaves it a probability
of at most ``exp(epsilon) * 0 + delta`` to be listed. So no epsilon is needed: the rate alone is held against delta,
with the exact bound of Clopper and Pearson (1934).
"""

from __future__ import annotations

from dataclasses import dataclass

from bailiwick.privacy.audit.mechanism import CERTAIN, share_at_least


@dataclass(frozen=True, slots=True)
class ListedVerdict:
    """What an audit of listed keys found.

    Args:
        delta: of the claim.
        rate: the share of releases that listed a key of the unit.
        lower_bound: the probability is not below it, at the given confidence.
        confidence: that the bound holds.
        releases: how many were seen.
    """

    delta: float
    rate: float
    lower_bound: float
    confidence: float
    releases: int

    @property
    def refuted(self) -> bool:
        """Whether the claim cannot be true."""
        return self.lower_bound > self.delta


def audit_listed(listed: int, releases: int, delta: float, *, confidence: float = CERTAIN) -> ListedVerdict:
    """Judge delta by how often keys were listed that nobody but one unit holds.

    Args:
        listed: releases in which at least one of them was.
        releases: how many there were, all on data with the unit.
        delta: of one release.
        confidence: that the bound holds.

    >>> audit_listed(900, 1000, 0.8).refuted, audit_listed(820, 1000, 0.8).refuted
    (True, False)

    Raises:
        ValueError: fewer than 100 releases, or more listings than releases.
    """
    if not (releases >= 100 and 0 <= listed <= releases):
        raise ValueError(f"{listed} of {releases} releases: an audit needs at least 100")
    bound = share_at_least(listed, releases, 1 - confidence)
    return ListedVerdict(delta, listed / releases, bound, confidence, releases)
