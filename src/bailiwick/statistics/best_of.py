"""The best of several independent quantities of which only distributions are known, by quadrature, without simulation.

``P(k is best) = integral of f_k(x) prod over j != k of F_j(x)``; the integral is cut at every arm's own quantiles, so
that arms that are known a thousand times better than others are still met by nodes.

Sources: Russo, Van Roy, Kazerouni, Osband, Wen, "A tutorial on Thompson sampling", 2018, sec. 3 (what is computed);
Stucchio, "Bayesian A/B testing at VWO", 2015 (expected loss); composite Gauss-Legendre quadrature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betainccinv, betaincinv, betaln, ndtr

from bailiwick.errors import InvalidInput

Floats = NDArray[np.float64]

_CUTS = np.array([-8.2, -5.0, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0, 8.2])  # in standard deviations of each arm
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True, slots=True)
class Best:
    """Which of the arms is the largest; arrays over arms on the last axis.

    Args:
        probability: of being the largest; they sum to 1.
        expected_loss: mean of (the largest - this one): what choosing this arm costs on average, in the arms' unit.
    """

    probability: Floats
    expected_loss: Floats


def best_of_normals(means: ArrayLike, standard_deviations: ArrayLike) -> Best:
    """Independent normal quantities; two of them in closed form.

    >>> made = best_of_normals([0.0, 1.0, -1.0], [1.0, 1.0, 1.0])
    >>> made.probability.round(4).tolist(), made.expected_loss.round(4).tolist()
    ([0.2241, 0.7288, 0.0472], [1.2248, 0.2248, 2.2248])

    Args:
        means: shape ``(..., arms)``.
        standard_deviations: the same shape, above zero.

    Raises:
        InvalidInput: fewer than two arms, a mean that is not finite, a standard deviation that is not above zero.
    """
    mean, spread = np.broadcast_arrays(np.asarray(means, np.float64), np.asarray(standard_deviations, np.float64))
    _require(np.isfinite(mean) & np.isfinite(spread) & (spread > 0), "standard_deviations", "finite, above 0")
    if mean.shape[-1] == 2:
        return _best_of_two_normals(mean, spread)
    cuts = (mean[..., None] + spread[..., None] * _CUTS).reshape(*mean.shape[:-1], -1)
    x, weights = _panels(cuts)
    z = (x[..., None] - mean[..., None, :]) / spread[..., None, :]
    density = np.exp(-0.5 * z * z) / (spread[..., None, :] * np.sqrt(2 * np.pi))
    return _best(x, weights, density, ndtr(z), mean)


def best_of_betas(alphas: ArrayLike, betas: ArrayLike) -> Best:
    """Independent Beta-distributed shares. Valid for parameters of 1/2 (Jeffreys' prior) and more.

    >>> made = best_of_betas([50, 52], [52, 50])  # Beta(1, 1) after 49 and 51 successes in 100 trials each
    >>> made.probability.round(5).tolist(), made.expected_loss.round(5).tolist()
    ([0.38923, 0.61077], [0.03872, 0.01912])

    Args:
        alphas: shape ``(..., arms)``.
        betas: the same shape.

    Raises:
        InvalidInput: fewer than two arms, or a parameter below 1/2 or not finite.
    """
    a, b = np.broadcast_arrays(np.asarray(alphas, np.float64), np.asarray(betas, np.float64))
    _require(np.isfinite(a) & np.isfinite(b) & (a >= 0.5) & (b >= 0.5), "alphas", "finite, at least 0.5")
    below, above = ndtr(_CUTS[_CUTS <= 0]), ndtr(-_CUTS[_CUTS > 0])
    # x = sin(t)^2 takes away the poles that the density has at 0 and 1 for parameters below 1
    low = np.arcsin(np.sqrt(betaincinv(a[..., None], b[..., None], below)))
    high = np.arcsin(np.sqrt(betainccinv(a[..., None], b[..., None], above)))
    t, weights = _panels(np.concatenate([low, high], axis=-1).reshape(*a.shape[:-1], -1))
    sine, cosine = np.sin(t)[..., None], np.cos(t)[..., None]
    a_, b_ = a[..., None, :], b[..., None, :]
    with np.errstate(divide="ignore"):
        density = 2 * np.exp((2 * a_ - 1) * np.log(sine) + (2 * b_ - 1) * np.log(cosine) - betaln(a_, b_))
    x = np.sin(t) ** 2
    return _best(x, weights, density, np.asarray(betainc(a_, b_, x[..., None]), np.float64), a / (a + b))


def _require(good: NDArray[np.bool_], what: str, allowed: str) -> None:
    if good.ndim == 0 or good.shape[-1] < 2 or not good.all():
        raise InvalidInput(f"no two arms or more with {what} {allowed}", what=what, allowed=allowed)


def _best_of_two_normals(mean: Floats, spread: Floats) -> Best:
    """P(second > first) is a normal probability; E max(d, 0) = s phi(m / s) + m Phi(m / s) (Clark 1961)."""
    difference = mean[..., 1] - mean[..., 0]
    deviation = np.hypot(spread[..., 0], spread[..., 1])
    z = difference / deviation
    density = deviation * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    gain, regret = density + difference * ndtr(z), density - difference * ndtr(-z)
    return Best(np.stack([ndtr(-z), ndtr(z)], axis=-1), np.maximum(0.0, np.stack([gain, regret], axis=-1)))


def _panels(cuts: Floats) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights between neighbouring cuts, flat over the last axis."""
    edges = np.sort(cuts, axis=-1)
    half = np.diff(edges, axis=-1)[..., None] / 2
    middle = edges[..., :-1, None] + half
    shape = (*cuts.shape[:-1], -1)
    return (middle + half * _NODES).reshape(shape), (half * _WEIGHTS).reshape(shape)


def _best(x: Floats, weights: Floats, density: Floats, cumulative: Floats, means: Floats) -> Best:
    """The integrals, from values at the nodes of shape ``(..., nodes, arms)``."""
    ones = np.ones_like(cumulative[..., :1])
    before = np.concatenate([ones, np.cumprod(cumulative[..., :-1], axis=-1)], axis=-1)
    after = np.concatenate([np.cumprod(cumulative[..., :0:-1], axis=-1)[..., ::-1], ones], axis=-1)
    shares = weights[..., None] * density * before * after
    probability = shares.sum(axis=-2)
    total = probability.sum(axis=-1, keepdims=True)  # 1 but for the error of the quadrature
    offset = means[..., :1]
    largest = ((x[..., None] - offset[..., None]) * shares).sum(axis=(-2, -1))[..., None] / total
    return Best(probability / total, np.maximum(0.0, largest + offset - means))
