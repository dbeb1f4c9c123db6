"""Who was exposed to which arm of which experiment, and what every analysis of it reads."""

from __future__ import annotations

from dataclasses import dataclass

from bailiwick.metrics.sketch import Sketch
from bailiwick.statistics.moments import UnitMoments


@dataclass(frozen=True, slots=True)
class Exposure:
    """One request took part in one experiment.

    Args:
        epoch: of the experiment's weights, from 1.
        unit: what was randomised; the store keeps a keyed digest of it, never the text.
        propensity: the probability with which the unit got this arm.
    """

    experiment: str
    epoch: int
    arm: str
    unit: str
    propensity: float


@dataclass(frozen=True, slots=True)
class ArmTotals:
    """What one arm showed of one metric, from units that entered in one epoch, since the experiment began.

    A unit is analysed in the arm and epoch of its first exposure (intention to treat). What it does under another arm
    after a change of weights is counted apart (`ArmUnits.crossed`) and enters no moments.

    Args:
        moments: over units: total = sum of the unit's values, count = how many, covariate = the unit's mean of
            the metric before the experiment began (0 where it was not seen).
        sketch: of the single values, for quantiles.
    """

    experiment: str
    epoch: int
    arm: str
    metric: str
    moments: UnitMoments
    sketch: Sketch


@dataclass(frozen=True, slots=True)
class ArmUnits:
    """How many units entered an arm in an epoch.

    Args:
        requests: exposures of those units under this arm.
        crossed: exposures of those units under another arm later; kept out of the moments.
    """

    experiment: str
    epoch: int
    arm: str
    units: int
    requests: int
    crossed: int
