"""Noise of private training: exact, on whole numbers, from OpenDP. Nothing here can be seeded.

OpenDP draws the discrete Gaussian exactly (Canonne, Kamath and Steinke, "The discrete Gaussian for differential
privacy", 2020), from the operating system's entropy, so no attack on floating-point noise applies.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailiwick.errors import Unavailable

Integers = NDArray[np.int64]

_LARGEST_SCALE = 2.0**50


def add_discrete_gaussian(values: Integers, scale: float) -> Integers:
    """The values, each with its own discrete Gaussian noise.

    Args:
        values: of any shape, on the integer grid.
        scale: the parameter sigma of the noise, in grid steps.

    Raises:
        ValueError: the scale is not above 0 and small enough for sums in 64 bits.
    """
    if not 0 < scale <= _LARGEST_SCALE:
        raise ValueError(f"noise scale {scale!r} is not in (0, 2**50]")
    noisy = _gaussian(float(scale))(values.ravel())
    return np.asarray(noisy, np.int64).reshape(values.shape)


def require_noise() -> None:
    """Make sure that noise can be drawn, before anything is charged or touched.

    Raises:
        Unavailable: OpenDP is not installed.
    """
    _gaussian(1.0)


@lru_cache(maxsize=8)
def _gaussian(scale: float) -> Any:
    # OpenDP takes a third of a second to load, and only private releases need it.
    try:
        from opendp.domains import atom_domain, vector_domain
        from opendp.measurements import make_gaussian
        from opendp.metrics import l2_distance
        from opendp.mod import enable_features
    except ImportError as error:
        raise Unavailable(
            "private training needs the package opendp", what="opendp", remedy="pip install 'bailiwick[privacy]'"
        ) from error

    enable_features("contrib")
    return make_gaussian(vector_domain(atom_domain(T="i64")), l2_distance(T="f64"), scale=scale)
