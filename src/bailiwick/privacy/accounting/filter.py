"""The filter for steps that are chosen as answers come in: a sum of rho under a cap."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal

from bailiwick.errors import BudgetExhausted, InvalidInput
from bailiwick.privacy.accounting.steps import Mechanism, check_epsilon, check_step
from bailiwick.privacy.accounting.zcdp import rho_nano, rho_of, zcdp_epsilon
from bailiwick.privacy.amounts import NANO


@dataclass(frozen=True, slots=True)
class AdaptiveFilter:
    """Admits steps that are chosen after earlier answers were seen, as long as their zCDP stays within a cap.

    A sum of rho that never exceeds the cap is a Renyi filter at every order at once, so all that was admitted is
    cap-zCDP whoever chose the steps (Feldman and Zrnic 2021, theorem 3.1; Whitehouse et al. 2023). Amounts are whole
    billionths, rounded up.

    >>> from bailiwick.privacy.accounting.steps import PureDp
    >>> kept = AdaptiveFilter.of(0.5)
    >>> for _ in range(100):
    ...     kept = kept.after(PureDp(0.1))
    >>> kept.left_nano, round(kept.epsilon(1e-6), 3)
    (0, 5.222)
    """

    cap_nano: int
    used_nano: int = 0

    @classmethod
    def of(cls, rho: float) -> AdaptiveFilter:
        """A filter with this cap, rounded down."""
        if not (math.isfinite(rho) and rho > 0):
            raise InvalidInput(f"a filter cannot have the cap {rho!r}", what="rho", requested=rho, allowed="above 0")
        return cls(int(Decimal(repr(float(rho))) * NANO))

    @classmethod
    def for_epsilon(cls, epsilon: float, delta: float) -> AdaptiveFilter:
        """The largest filter whose steps together are (epsilon, delta)-DP."""
        check_epsilon(epsilon)
        low, high = 0, int(epsilon * NANO) + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if zcdp_epsilon(middle / NANO, delta) <= epsilon else (low, middle)
        return cls(low)

    @property
    def left_nano(self) -> int:
        """Billionths of rho that may still be used."""
        return self.cap_nano - self.used_nano

    def after(self, step: Mechanism, count: int = 1) -> AdaptiveFilter:
        """The filter once the step has run.

        Raises:
            BudgetExhausted: it does not fit, or has no zCDP; this filter is as it was, and smaller steps still fit.
        """
        check_step(step, count)
        rho = rho_of(step)
        wanted = rho_nano(rho) * count if math.isfinite(rho) else None
        if wanted is None or wanted > self.left_nano:
            raise BudgetExhausted(
                f"a step of rho {rho:.6g} x {count} does not fit: {self.used_nano / NANO:.6g} of "
                f"{self.cap_nano / NANO:.6g} is used",
                what="rho",
                requested=rho * count,
                allowed=self.left_nano / NANO,
                remedy="ask for less, or for a step of bounded Renyi divergence",
            )
        return replace(self, used_nano=self.used_nano + wanted)

    def epsilon(self, delta: float) -> float:
        """What all that the filter will ever admit costs together: a matter of the cap, not of what was used."""
        return zcdp_epsilon(self.cap_nano / NANO, delta)
