"""Whether every arm got the units that it should have got, epoch by epoch, at every look together. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bailiwick.experiments.evidence import smallest
from bailiwick.experiments.findings import Carried, SampleRatio
from bailiwick.experiments.model import Experiment
from bailiwick.metrics.exposures import ArmUnits
from bailiwick.statistics.sample_ratio import sample_ratio
from bailiwick.traffic.model import SLOTS

ALARM = 0.001
"""Chance of a false alarm over the whole experiment; each of its epochs gets a part that falls by thirds."""

_LEAST_DEVIATION = 0.01
"""Relative error of a share below which an alarm would be true and useless."""


def watch_ratios(
    experiment: Experiment, units: Sequence[ArmUnits], evidence: Mapping[str, Carried]
) -> tuple[list[SampleRatio], dict[str, Carried]]:
    """The check of every epoch with its own weights, and what the next look must know.

    Args:
        experiment: says which weights an epoch had.
        units: how many entered each arm in each epoch.
        evidence: carried from the last look.
    """
    entered = {(each.epoch, each.arm): each.units for each in units}
    found: list[SampleRatio] = []
    carried: dict[str, Carried] = {}
    for epoch in experiment.epochs:
        observed = {name: entered.get((epoch.number, name), 0) for name in epoch.weights}
        alpha = ALARM * 2 / 3 * (1 / 3) ** (epoch.number - 1)
        look = sample_ratio([(list(observed.values()), list(epoch.weights.values()))], alpha=alpha)
        name = f"ratio/{epoch.number}"
        p = smallest(evidence, name, 1 / max(1.0, look.epoch_e_values[0]))
        carried[name] = {"p": p}
        total = sum(observed.values())
        expected = {arm: weight / SLOTS * total for arm, weight in epoch.weights.items()}
        alarm = p <= alpha and look.deviation >= _LEAST_DEVIATION
        found.append(SampleRatio(epoch.number, observed, expected, min(1.0, p * ALARM / alpha), alarm))
    return found, carried
