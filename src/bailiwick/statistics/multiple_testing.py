"""Adjusted p-values of a family of tests: compare each with alpha as if it stood alone.

| rule | promises | when |
|---|---|---|
| `holm` | family-wise error, whatever the dependence | the default for decisions; never worse than Bonferroni |
| `hochberg` | family-wise error under independence or positive dependence | arms against one shared control |
| `benjamini_hochberg` | false discovery rate under independence or positive dependence | many secondary metrics |
| `benjamini_yekutieli` | false discovery rate, whatever the dependence | the same, where dependence may be negative |

Sources: Holm, Scandinavian Journal of Statistics 6, 1979; Hochberg, Biometrika 75, 1988; Benjamini, Hochberg, JRSS B
57, 1995; Benjamini, Yekutieli, Annals of Statistics 29, 2001.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bailiwick.errors import InvalidInput

Floats = NDArray[np.float64]


def bonferroni(p_values: ArrayLike) -> Floats:
    """Each p-value times the number of tests, at most 1; the yardstick for the others.

    >>> bonferroni([0.01, 0.4, 0.6]).round(2).tolist()
    [0.03, 1.0, 1.0]
    """
    given = _p_values(p_values)
    return np.minimum(1.0, given * len(given))


def holm(p_values: ArrayLike) -> Floats:
    """Step-down: the smallest times m, the next times m - 1, ...; never below the one before.

    >>> holm([0.01, 0.04, 0.03, 0.005]).round(3).tolist()
    [0.03, 0.06, 0.06, 0.02]

    Args:
        p_values: shape ``(tests,)``, in any order; the result keeps it.

    Raises:
        InvalidInput: one is not between 0 and 1.
    """
    given = _p_values(p_values)
    order = np.argsort(given, kind="stable")
    factors = np.arange(len(given), 0, -1)
    return _in_place(np.maximum.accumulate(given[order] * factors), order)


def hochberg(p_values: ArrayLike) -> Floats:
    """Step-up with Holm's factors, from the largest down; arguments as of `holm`.

    >>> hochberg([0.01, 0.04, 0.03, 0.005]).round(3).tolist()
    [0.03, 0.04, 0.04, 0.02]
    """
    given = _p_values(p_values)
    order = np.argsort(given, kind="stable")
    return _step_up(given[order] * np.arange(len(given), 0, -1), order)


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Step-up: the i-th smallest times m / i; arguments as of `holm`.

    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.005]).round(3).tolist()
    [0.02, 0.04, 0.04, 0.02]
    """
    given = _p_values(p_values)
    order = np.argsort(given, kind="stable")
    return _step_up(given[order] * len(given) / np.arange(1, len(given) + 1), order)


def benjamini_yekutieli(p_values: ArrayLike) -> Floats:
    """Benjamini-Hochberg times ``1 + 1/2 + ... + 1/m``; arguments as of `holm`.

    >>> benjamini_yekutieli([0.01, 0.04, 0.03, 0.005]).round(4).tolist()
    [0.0417, 0.0833, 0.0833, 0.0417]
    """
    given = _p_values(p_values)
    places = np.arange(1, len(given) + 1)
    order = np.argsort(given, kind="stable")
    return _step_up(given[order] * (len(given) * (1.0 / places).sum()) / places, order)


def _p_values(p_values: ArrayLike) -> Floats:
    given = np.atleast_1d(np.asarray(p_values, dtype=np.float64))
    if given.ndim != 1 or not bool(((given >= 0) & (given <= 1)).all()):
        raise InvalidInput(
            f"p-values {p_values!r} are not one list of numbers between 0 and 1",
            what="p_values",
            requested=repr(p_values),
            allowed="0 to 1, in one dimension",
            remedy="leave out tests that were not made",
        )
    return given


def _step_up(ascending: Floats, order: NDArray[np.intp]) -> Floats:
    return _in_place(np.minimum.accumulate(ascending[::-1])[::-1], order)


def _in_place(ascending: Floats, order: NDArray[np.intp]) -> Floats:
    adjusted = np.empty_like(ascending)
    adjusted[order] = np.minimum(1.0, ascending)
    return adjusted
