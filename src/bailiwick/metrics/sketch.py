"""DDSketch: quantiles of any distribution within 1 % of the true value, mergeable without loss.

Values fall into buckets whose borders grow by the factor gamma = (1 + a) / (1 - a), a = 0.01: value v > 0 into bucket
ceil(log_gamma v), represented by 2 gamma^k / (gamma + 1), which is within a * v of every value in it. Merging adds
counts, so any split of the data over processes and minutes gives the same sketch.

Source: Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees",
PVLDB 12(12), 2019, sections 2.1 to 2.3. Negative values are mirrored, zero has its own bucket. The number of buckets is
not bounded by collapsing: values within one factor of ten take 116 of them, and a float has no more than 150,000.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bailiwick.errors import InvalidInput

RELATIVE_ACCURACY = 0.01

_GAMMA = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)
_LOG_MIDDLE = math.log(2 / (_GAMMA + 1))
_LOG_LARGEST = math.log(np.finfo(np.float64).max)
# Added to the exponent, it makes one integer that orders all values: negative ones below 0, zero at 0, positive above.
_SHIFT = 40_000
_FORMAT = 1
_HEADER = struct.Struct("<BI")
_MAX_BUCKETS = 2 * _SHIFT * 2


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """Counts by bucket.

    Args:
        buckets: ascending, shape ``(n,)``.
        counts: of each bucket, shape ``(n,)``, all positive.
    """

    buckets: NDArray[np.int32]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[np.float64]) -> Sketch:
        """The sketch of finite values.

        >>> round(Sketch.of([1.0, 2.0, 3.0, 4.0, 100.0]).quantile(0.5), 1)
        3.0
        """
        numbers = np.asarray(values, dtype=np.float64)
        sizes = np.abs(numbers)
        sizes[sizes == 0] = 1  # placed in the zero bucket by its sign below
        exponents = np.ceil(np.log(sizes) / _LOG_GAMMA) + _SHIFT
        buckets, counts = np.unique((np.sign(numbers) * exponents).astype(np.int32), return_counts=True)
        return cls(buckets, counts.astype(np.int64))

    @classmethod
    def merged(cls, sketches: Iterable[Sketch]) -> Sketch:
        """The sketch of all the values together."""
        parts = list(sketches)
        if not parts:
            return cls.of([])
        if len(parts) == 1:
            return parts[0]
        every = np.concatenate([part.buckets for part in parts])
        buckets, places = np.unique(every, return_inverse=True)
        counts = np.zeros(len(buckets), dtype=np.int64)
        np.add.at(counts, places, np.concatenate([part.counts for part in parts]))
        return cls(buckets, counts)

    def __sub__(self, other: Sketch) -> Sketch:
        """The sketch without values that it holds; what it does not hold is not taken from it."""
        left = Sketch.merged((self, Sketch(other.buckets, -other.counts)))
        held = left.counts > 0
        return Sketch(left.buckets[held], left.counts[held])

    @property
    def count(self) -> int:
        """How many values it holds."""
        return int(self.counts.sum())

    def values(self) -> NDArray[np.float64]:
        """The value that stands for each bucket, ascending, shape ``(n,)``; within 1 % of every value in it."""
        return np.array([_value(int(bucket)) for bucket in self.buckets], dtype=np.float64)

    def quantile(self, q: float) -> float:
        """The value of rank ``floor(q * (count - 1))``, within 1 % of it; NaN when empty.

        Raises:
            InvalidInput: q outside 0 to 1.
        """
        if not 0 <= q <= 1:
            raise InvalidInput(f"a quantile is between 0 and 1, got {q!r}", what="q", requested=q)
        if not len(self.counts):
            return math.nan
        rank = math.floor(q * (self.count - 1))
        return _value(int(self.buckets[np.searchsorted(np.cumsum(self.counts), rank, side="right")]))

    def to_bytes(self) -> bytes:
        """Compact bytes that `from_bytes` reads: about 2 per bucket."""
        steps = np.diff(self.buckets, prepend=np.int32(0)).astype("<i4")
        body = steps.tobytes() + self.counts.astype("<i8").tobytes()
        return _HEADER.pack(_FORMAT, len(steps)) + zlib.compress(body, 6)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Sketch:
        """Read a stored sketch back.

        Raises:
            InvalidInput: the bytes are no sketch of this format.
        """
        try:
            version, size = _HEADER.unpack_from(stored)
            if version != _FORMAT or size > _MAX_BUCKETS:
                raise ValueError(f"format {version}, {size} buckets")
            body = zlib.decompressobj().decompress(stored[_HEADER.size :], 12 * size + 1)
            if len(body) != 12 * size:
                raise ValueError("of the wrong length")
        except (struct.error, zlib.error, ValueError) as error:
            raise InvalidInput(f"a stored sketch cannot be read: {error}", what="sketch") from error
        steps = np.frombuffer(body, dtype="<i4", count=size)
        counts = np.frombuffer(body, dtype="<i8", offset=4 * size)
        return cls(np.cumsum(steps, dtype=np.int32), counts.astype(np.int64))


def _value(bucket: int) -> float:
    if bucket == 0:
        return 0.0
    logarithm = (abs(bucket) - _SHIFT) * _LOG_GAMMA + _LOG_MIDDLE
    return math.copysign(math.exp(min(logarithm, _LOG_LARGEST)), bucket)
