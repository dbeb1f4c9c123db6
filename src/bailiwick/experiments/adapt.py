"""The next weights of a bandit: shares that follow each arm's chance to be the best, above a floor. Pure.

What the arms get is fixed for an epoch, known before it begins, and logged with every exposure. Arms are compared
within epochs only, so that allocation by past results does not bias what is said of them.
"""

from __future__ import annotations

import math

from bailiwick.experiments.findings import Analysis
from bailiwick.experiments.model import Experiment
from bailiwick.statistics.thompson import allocate
from bailiwick.traffic.model import SLOTS


def next_weights(experiment: Experiment, analysis: Analysis) -> dict[str, int] | None:
    """The weights of the next epoch; None while nothing is decided yet, or the present epoch counts for nothing.

    An epoch counts once every arm has come through the burn-in in it: reweighting earlier would cut the data into
    pieces that are too small to be compared.
    """
    present = experiment.present
    best = {rank.arm: rank.best for rank in analysis.ranking}
    if present is None or analysis.waiting is not None or not all(math.isfinite(each) for each in best.values()):
        return None
    entered = next((each for each in analysis.sample_ratio if each.epoch == present.number), None)
    if entered is None or min(entered.observed.values()) < experiment.design.rule.burn_in_units:
        return None
    names = [arm.name for arm in present.arms]
    floor = min(experiment.design.rule.floor / SLOTS, 1 / len(names))
    return dict(zip(names, allocate([best[name] for name in names], floor), strict=True))
