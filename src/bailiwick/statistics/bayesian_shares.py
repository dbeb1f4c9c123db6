"""What is believed about shares of successes: Beta prior, binomial data, Beta posterior. Exact at any sample size.

Sources: Gelman et al., "Bayesian data analysis", 3rd ed. 2013, sec. 2.4; Miller, "Formulas for Bayesian A/B testing",
2015 (the closed form of the comparison, which the tests hold the quadrature to).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import betaincinv

from bailiwick.errors import InvalidInput
from bailiwick.statistics.bayesian import Standing
from bailiwick.statistics.best_of import best_of_betas
from bailiwick.statistics.effect import require_level


@dataclass(frozen=True, slots=True)
class BetaBelief:
    """A share is believed to follow ``Beta(alpha, beta)``; ``BetaBelief()`` is the uniform prior.

    >>> posterior = BetaBelief().after(successes=9, trials=10)
    >>> posterior, round(posterior.mean, 4), [round(end, 3) for end in posterior.interval(0.9)]
    (BetaBelief(alpha=10.0, beta=2.0), 0.8333, [0.636, 0.967])

    Raises:
        InvalidInput: a parameter below 1/2 (Jeffreys' prior is the flattest that is supported) or not finite.
    """

    alpha: float = 1.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value >= 0.5 for value in (self.alpha, self.beta)):
            raise InvalidInput(
                f"Beta({self.alpha!r}, {self.beta!r}) is not a supported belief",
                what="prior",
                requested=[self.alpha, self.beta],
                allowed="two finite numbers of at least 0.5",
                remedy="use 1 and 1 where nothing is known",
            )

    def after(self, successes: float, trials: float) -> BetaBelief:
        """The belief after this many more trials.

        Raises:
            InvalidInput: more successes than trials, or negative ones.
        """
        if not (math.isfinite(trials) and 0 <= successes <= trials):
            raise InvalidInput(
                f"{successes!r} successes in {trials!r} trials",
                what="successes",
                requested=[successes, trials],
                allowed="0 <= successes <= trials",
            )
        return BetaBelief(self.alpha + successes, self.beta + trials - successes)

    @property
    def mean(self) -> float:
        """Of the share."""
        return self.alpha / (self.alpha + self.beta)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The central credible interval of the share."""
        tail = (1 - require_level(level)) / 2
        return (
            float(betaincinv(self.alpha, self.beta, tail)),
            float(betaincinv(self.alpha, self.beta, 1 - tail)),
        )


def rank_shares(arms: Sequence[BetaBelief], *, larger_is_better: bool = True) -> tuple[Standing, ...]:
    """Every arm's probability to have the best share, and what choosing it costs on average.

    >>> uniform = BetaBelief()
    >>> ranked = rank_shares([uniform.after(49, 100), uniform.after(51, 100)])
    >>> round(ranked[1].probability_best, 5), round(ranked[1].expected_loss, 5)
    (0.61077, 0.01912)

    Args:
        arms: posteriors, two or more.
        larger_is_better: False for shares of errors.

    Raises:
        InvalidInput: fewer than two arms.
    """
    if len(arms) < 2:
        raise InvalidInput(f"{len(arms)} arms cannot be ranked", what="arms", allowed="two or more")
    alphas, betas = [arm.alpha for arm in arms], [arm.beta for arm in arms]
    best = best_of_betas(alphas, betas) if larger_is_better else best_of_betas(betas, alphas)
    return tuple(
        Standing(arm.mean, float(probability), float(loss))
        for arm, probability, loss in zip(arms, best.probability, best.expected_loss, strict=True)
    )
