"""Many hypotheses, one promise: e-values of several arms or metrics, combined under any dependence.

The mean of e-values is an e-value whatever their dependence (arms share a control, metrics share their users), and so
every intersection of hypotheses has a test: the mean of its e-values. The closure principle then rejects a hypothesis
when every intersection that holds it is rejected: the chance of any false rejection, ever, is at most ``alpha``, and
it is never less powerful than Bonferroni on e-values. Feed the e-values of one look, not each arm's largest so far:
means of maxima are no e-values. A rejection stands once made, so carry the largest *adjusted* e-value.

Sources: Vovk and Wang, "E-values: calibration, combination and applications", Annals of Statistics 49(3), 2021,
section 5 and algorithm 1 (closed testing with the mean); Wang and Ramdas, "False discovery rate control with
e-values", JRSS B 84(3), 2022 (e-BH). Holm, "A simple sequentially rejective multiple test procedure", 1979, holds for
``1 / e`` as a p-value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import require_level

Floats = NDArray[np.float64]


def closed_mean(e_values: ArrayLike) -> Floats:
    """Adjusted e-values: the smallest mean over the sets of hypotheses that hold each one; reject at ``1 / alpha``.

    >>> closed_mean([60.0, 50.0, 0.1]).round(2).tolist()
    [30.05, 25.05, 0.1]

    Args:
        e_values: shape ``(..., hypotheses)``, not negative.

    Returns:
        Same shape. Family-wise error at most ``alpha``, at any stopping time, under any dependence.
    """
    values = _e_values(e_values)
    order = np.argsort(values, axis=-1)
    ascending = np.take_along_axis(values, order, axis=-1)
    hypotheses = values.shape[-1]
    # the worst set of size m + 1 that holds k is k with the m smallest others
    below = np.cumsum(ascending, axis=-1)
    sizes = np.arange(1, hypotheses + 1)
    adjusted = np.empty_like(ascending)
    for k in range(hypotheses):
        with_others = np.concatenate([ascending[..., k : k + 1], ascending[..., k : k + 1] + below[..., :k]], axis=-1)
        smallest = (with_others / sizes[: k + 1]).min(axis=-1)
        # from here on the set of the m smallest holds k itself
        adjusted[..., k] = np.minimum(smallest, (below[..., k:] / sizes[k:]).min(axis=-1))
    result = np.empty_like(adjusted)
    np.put_along_axis(result, order, adjusted, axis=-1)
    return result


def e_holm(e_values: ArrayLike) -> Floats:
    """Holm's adjusted e-values: simpler than `closed_mean`, never larger.

    >>> e_holm([60.0, 50.0, 0.1]).round(2).tolist()
    [20.0, 20.0, 0.1]
    """
    values = _e_values(e_values)
    order = np.argsort(-values, axis=-1)
    hypotheses = values.shape[-1]
    descending = np.take_along_axis(values, order, axis=-1) / np.arange(hypotheses, 0, -1)
    result = np.empty_like(values)
    np.put_along_axis(result, order, np.minimum.accumulate(descending, axis=-1), axis=-1)
    return result


def e_benjamini_hochberg(e_values: ArrayLike, alpha: float = 0.05) -> NDArray[np.bool_]:
    """Which hypotheses are rejected with a false discovery rate of at most ``alpha``, under any dependence.

    >>> e_benjamini_hochberg([90.0, 45.0, 31.0, 1.0], 0.05).tolist()
    [True, True, True, False]

    Args:
        e_values: shape ``(hypotheses,)``; for many secondary metrics, of which some wrong ones can be afforded.
        alpha: expected share of false rejections among all rejections.
    """
    require_level(alpha, "alpha")
    values = _e_values(e_values)
    descending = -np.sort(-values)
    hypotheses = len(values)
    enough = descending * np.arange(1, hypotheses + 1) >= hypotheses / alpha
    if not enough.any():
        return np.zeros(hypotheses, dtype=np.bool_)
    return np.asarray(values >= descending[np.flatnonzero(enough)[-1]])


def _e_values(values: ArrayLike) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim == 0 or not (numbers >= 0).all():
        raise InvalidInput(
            f"{values!r} are not e-values",
            what="e_values",
            allowed="numbers of at least 0",
            remedy="leave out unknowns",
        )
    return numbers
