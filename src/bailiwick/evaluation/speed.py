"""How fast a model answers on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from bailiwick.evaluation.model import Speed
from bailiwick.models.ports import FittedModel

_QUERIES = 500


def time_model(model: FittedModel, texts: Sequence[str]) -> Speed:
    """Time single queries (at most 500 of the texts, the model warmed up on ten), then all texts as one batch.

    Args:
        model: to time.
        texts: at least one.
    """
    for text in texts[:10]:
        model.predict([text])
    times = []
    for text in texts[:_QUERIES]:
        begun = time.perf_counter()
        model.predict([text])
        times.append((time.perf_counter() - begun) * 1000)
    p50, p95, p99 = (float(value) for value in np.percentile(times, (50, 95, 99)))
    begun = time.perf_counter()
    model.predict(texts)
    return Speed(p50, p95, p99, len(texts) / max(1e-9, time.perf_counter() - begun))
