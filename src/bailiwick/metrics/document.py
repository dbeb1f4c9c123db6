"""The JSON form of rollups, which the faces share."""

from __future__ import annotations

from typing import Any

from bailiwick.metrics.model import Point


def point_document(point: Point) -> dict[str, Any]:
    """A point in time with what people read of it. Quantiles are within 1 %."""
    rollup = point.rollup
    return {
        "at": point.key.minute.isoformat(),
        "count": rollup.count,
        "mean": rollup.mean,
        "minimum": rollup.minimum,
        "p50": rollup.quantile(0.5),
        "p95": rollup.quantile(0.95),
        "maximum": rollup.maximum,
    }
