"""`enter.assignment` of many units at once, for replays, reports and simulations. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bailiwick.traffic.assign import slots_of, versions_for
from bailiwick.traffic.enter import CompiledDomain
from bailiwick.traffic.layers import layer_salt
from bailiwick.traffic.model import SLOTS


def arms_for(domain: CompiledDomain, experiment: str, units: Sequence[str]) -> NDArray[np.str_]:
    """The arm that each unit enters by chance, empty where it enters none; shape ``(len(units),)``.

    The units are taken to fulfil the conditions. Those that are overridden enter nothing: these are the units that
    count.

    Raises:
        KeyError: no such experiment was compiled.

    >>> from bailiwick.traffic.enter import compile_domain
    >>> from bailiwick.traffic.model import Arm, ExperimentPlan, Holdout
    >>> from bailiwick.traffic.splits import first_split
    >>> split = first_split("cards", "tone", {"plain": 5000, "warm": 5000})
    >>> tone = ExperimentPlan("tone", "cards", "answers", ((0, SLOTS),), split, (Arm("plain"), Arm("warm")))
    >>> domain = compile_domain([tone], Holdout())
    >>> sorted(set(arms_for(domain, "tone", [f"user-{number}" for number in range(50)]).tolist()))
    ['plain', 'warm']
    """
    layer, plan = domain.layer_of[experiment], domain.plan(experiment)
    owned = np.zeros(SLOTS, dtype=np.bool_)
    for first, end in plan.slots:
        owned[first:end] = True
    enters = owned[slots_of(layer_salt(plan.domain, plan.layer), units)]
    if domain.held_out:
        enters &= slots_of(domain.holdout.salt, units) >= domain.held_out
    if layer.overridden:
        enters &= ~np.fromiter((unit in layer.overridden for unit in units), dtype=np.bool_, count=len(units))
    found: NDArray[np.str_] = np.where(enters, versions_for(plan.split, units), "")
    return found
