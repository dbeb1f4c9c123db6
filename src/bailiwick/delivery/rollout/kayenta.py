"""Kayenta's judge: Mann-Whitney on points of one minute each, as Spinnaker's canary analysis decides. Pure.

For each metric the points of both arms are compared by the rank-sum test's interval of the shift between them, at 98 %
confidence. The canary is ``High`` when the whole interval lies above a tolerance of a quarter of the estimated shift
and the ratio of the means reaches the allowed effect size, ``Low`` likewise below, else it passes. The score is the
share of the metrics that pass.

Its known blind spots are kept: it throws the counts behind each point away, so at 60 requests a minute and half an hour
it sees a rise of errors from 3 to 5 % in a quarter of the cases (a pooled test: three quarters), misses sparse errors,
most of whose minutes are zero, and is no test that may be watched: it is looked at every second here, which raises its
false alarms above its 2 %. Where it has no data Kayenta lets the group pass with 100; here no data is no evidence.

Sources: spinnaker/kayenta, ``MannWhitneyClassifier.scala``, ``MannWhitney.scala`` and ``WeightedSumScorer.scala``;
Hollander, Wolfe, Chicken, "Nonparametric Statistical Methods", 2014, section 4.3 (the interval of the shift).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bailiwick.delivery.rollout.evidence import counted
from bailiwick.delivery.rollout.model import Direction, Evidence, Finding, MetricEvidence, RolloutPolicy
from bailiwick.delivery.rollout.wording import finding_words
from bailiwick.metrics.exposures import ArmUnits

TOLERANCE = 0.25
CONFIDENCE = 0.98
POINTS = 10
"""Minutes that each arm must have; with fewer than five the test cannot reach its confidence at all."""


class Label(StrEnum):
    """What the judge calls a metric of the canary."""

    PASSED = "Pass"
    HIGH = "High"
    LOW = "Low"
    NO_DATA = "Nodata"


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the canary's points lie from the control's: the median of all differences, and its interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Minutes:
    """One value per minute of each arm; a minute without any is left out."""

    control: Sequence[float] = ()
    canary: Sequence[float] = ()


def shift(control: Sequence[float], canary: Sequence[float], confidence: float = CONFIDENCE) -> Shift:
    """The Hodges-Lehmann estimate of canary less control with its rank-sum interval (normal approximation).

    >>> shift([1, 2, 3, 4, 5, 6, 7, 8], [11, 12, 13, 14, 15, 16, 17, 18]).estimate
    10.0
    """
    differences: NDArray[np.float64] = np.sort(
        np.subtract.outer(np.asarray(canary, dtype=np.float64), np.asarray(control, dtype=np.float64)), axis=None
    )
    pairs, points = len(differences), len(canary) + len(control)
    spread = math.sqrt(pairs * (points + 1) / 12)
    rank = math.floor(pairs / 2 - float(ndtri(1 - (1 - confidence) / 2)) * spread)
    if rank < 1:
        return Shift(float(np.median(differences)), -math.inf, math.inf)
    return Shift(float(np.median(differences)), float(differences[rank - 1]), float(differences[pairs - rank]))


def classify(
    minutes: Minutes,
    *,
    tolerance: float = TOLERANCE,
    confidence: float = CONFIDENCE,
    allowed_increase: float = 1.0,
    allowed_decrease: float = 1.0,
) -> Label:
    """What the judge calls one metric.

    >>> classify(Minutes([1.0, 1.1, 0.9, 1.0, 1.2, 0.8] * 3, [2.0, 2.1, 1.9, 2.0, 2.2, 1.8] * 3))
    <Label.HIGH: 'High'>

    Args:
        minutes: of both arms.
        tolerance: share of the estimated shift that the interval must leave.
        confidence: of the interval.
        allowed_increase: ratio of the means (canary over control) from which on High is said.
        allowed_decrease: ratio of the means up to which Low is said.
    """
    if not minutes.control or not minutes.canary:
        return Label.NO_DATA
    if sorted(minutes.control) == sorted(minutes.canary):
        return Label.PASSED
    found = shift(minutes.control, minutes.canary, confidence)
    critical = tolerance * abs(found.estimate)
    mean = math.fsum(minutes.control) / len(minutes.control)
    ratio = math.fsum(minutes.canary) / len(minutes.canary) / mean if mean else math.nan
    # without a mean of the control there is no ratio, and the test alone decides
    if found.low > critical and not ratio < allowed_increase:
        return Label.HIGH
    if found.high < -critical and not ratio > allowed_decrease:
        return Label.LOW
    return Label.PASSED


def score(labels: Sequence[Label]) -> float | None:
    """Of the metrics with data, how many of a hundred pass; None where none has.

    >>> score([Label.PASSED, Label.PASSED, Label.HIGH, Label.NO_DATA])
    66.66666666666667
    """
    told = [label for label in labels if label is not Label.NO_DATA]
    return 100 * sum(label is Label.PASSED for label in told) / len(told) if told else None


def assess_kayenta(policy: RolloutPolicy, minutes: Mapping[str, Minutes], units: Sequence[ArmUnits]) -> Evidence:
    """What the judge says of every metric of a policy; its margins play no part.

    Args:
        policy: whose metrics are judged.
        minutes: by metric.
        units: for the numbers of units and requests.
    """
    found = []
    for rule in policy.metrics:
        points = minutes.get(rule.metric, Minutes())
        label = classify(points)
        worse = Label.HIGH if rule.direction is Direction.LOWER else Label.LOW
        finding = Finding.HARMFUL if label is worse else Finding.HARMLESS
        if label is Label.NO_DATA:
            finding = Finding.NO_DATA
        elif min(len(points.control), len(points.canary)) < POINTS:
            finding = Finding.UNDECIDED
        if label is Label.NO_DATA:
            words = finding_words(rule, finding, None, None, None, 0.0)
            found.append(MetricEvidence(rule, finding, None, None, None, None, None, 0.0, words))
            continue
        canary, control = (float(np.mean(each)) for each in (points.canary, points.control))
        interval = shift(points.control, points.canary)
        low, high = (each if math.isfinite(each) else None for each in (interval.low, interval.high))
        words = f"{finding_words(rule, finding, canary, control, None, 0.0)} ({label.value} by Kayenta's judge)"
        found.append(MetricEvidence(rule, finding, canary, control, canary - control, low, high, 0.0, words))
    return counted(tuple(found), units)
