"""The one door to OpenDP: calibrated samplers over whole numbers. Its submodules are loaded on first use.

`opendp.prelude` is never imported: it pulls in every optional library that happens to be installed. Samplers are exact
(CKS20) and work on integers, so the gaps between floats cannot give a value away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailiwick.errors import InvalidInput, Unavailable

LARGEST = 2**62
"""Beyond this, a value could meet the end of the 64-bit range, where noise would be cut off."""

_TRIES = 200


class _OpenDp:
    """The submodules in use."""

    def __init__(self) -> None:
        import opendp.domains
        import opendp.measurements
        import opendp.measures
        import opendp.metrics
        import opendp.mod
        import opendp.transformations

        opendp.mod.enable_features("contrib")
        self.domains = opendp.domains
        self.measurements = opendp.measurements
        self.measures = opendp.measures
        self.metrics = opendp.metrics
        self.transformations = opendp.transformations


@cache
def opendp() -> Any:
    """The submodules of OpenDP.

    Raises:
        Unavailable: it is not installed.
    """
    try:
        return _OpenDp()
    except ImportError as error:
        raise Unavailable(
            "private releases need OpenDP", what="opendp", remedy="install it: pip install 'bailiwick[privacy]'"
        ) from error


def libraries() -> Mapping[str, str]:
    """Name and version of what draws the noise, for report cards."""
    from importlib.metadata import version

    opendp()
    return {"opendp": version("opendp")}


def calibrated(make: Callable[[float], Any], distance: Any, epsilon: float) -> tuple[Any, float]:
    """The measurement whose own privacy map says at most ``epsilon``, and its scale.

    Args:
        make: from a scale to a measurement.
        distance: between neighbouring inputs, in the measurement's metric.
        epsilon: of the whole release.

    Raises:
        InvalidInput: no scale gives it: nothing is released.
    """
    check_epsilon(epsilon)
    scale = _loss(make(1.0), distance) / epsilon
    for _ in range(_TRIES):
        made = make(scale)
        if _loss(made, distance) <= epsilon:
            return made, scale
        scale = math.nextafter(scale * (1 + 2**-51), math.inf)  # the map rounds against us
    raise InvalidInput(f"no noise scale gives epsilon {epsilon!r}", what="epsilon", requested=epsilon)


def check_epsilon(epsilon: float) -> None:
    """Refuse what is no epsilon.

    Raises:
        InvalidInput: NaN, infinite, below a billionth, or above 100, which protects nobody.
    """
    if not (math.isfinite(epsilon) and 1e-9 <= epsilon <= 100):
        raise InvalidInput(
            f"{epsilon!r} is no epsilon for a release", what="epsilon", requested=epsilon, allowed="1e-9 to 100"
        )


def laplace_scale(sensitivity: int, epsilon: float) -> float:
    """The scale of `laplace`, in steps."""
    return _laplace(sensitivity, epsilon)[1]


def laplace(values: Sequence[int] | NDArray[np.int64], sensitivity: int, epsilon: float) -> NDArray[np.int64]:
    """Whole numbers with discrete Laplace noise, all in one call.

    Args:
        values: exact, in steps. What lies beyond `LARGEST` is cut to it: an error would tell how large a sum over
            private rows is, and a cut brings neighbours no further apart.
        sensitivity: the L1 distance between neighbouring vectors, in steps.
        epsilon: of the whole vector.

    Raises:
        InvalidInput: no sensible epsilon or sensitivity. It does not depend on the values.
    """
    made = _laplace(sensitivity, epsilon)[0]
    # Python's integers first: a sum may not even fit into 64 bits.
    within = values if isinstance(values, np.ndarray) else [min(max(value, -LARGEST), LARGEST) for value in values]
    exact = np.clip(np.asarray(within, dtype=np.int64), -LARGEST, LARGEST)
    return np.asarray(made(exact), dtype=np.int64) if exact.size else exact


@lru_cache(512)
def _laplace(sensitivity: int, epsilon: float) -> tuple[Any, float]:
    library = opendp()
    space = library.domains.vector_domain(library.domains.atom_domain(T="i64")), library.metrics.l1_distance(T="i64")
    return calibrated(lambda scale: library.measurements.make_laplace(*space, scale=scale), sensitivity, epsilon)


def _loss(measurement: Any, distance: Any) -> float:
    loss = measurement.map(distance)
    return float(loss[0] if isinstance(loss, tuple) else loss)
