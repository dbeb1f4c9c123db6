"""Traffic of many domains at once, each with a release on trial: what happens, and what a controller can know of it.

Fixed before any result was seen (the research notes' section 3): failures of the stable version drift (a mean-reverting
walk of the logarithm, a day's rhythm) and triple in incidents that hit both versions alike; traffic has a day's rhythm;
what happens is known 60 s later; a new plan is applied 30 s after it is written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bailiwick.metrics.exposures import ArmTotals, ArmUnits
from bailiwick.metrics.sketch import Sketch
from bailiwick.statistics.moments import UnitMoments
from bailiwick.traffic.model import CANARY, CONTROL, SLOTS

STEP_S = 30  # the propagation of a plan: one step
LAG_STEPS = 2  # what happens is seen 60 s later
HORIZON_S = 86_400
STEPS = HORIZON_S // STEP_S

HARMS = (0.01, 0.02, 0.05, 0.10, 0.30)
HARM_WEIGHTS = (0.2, 0.25, 0.25, 0.2, 0.1)

_BASE = 0.03
_DRIFT_SD, _DRIFT_S = 0.3, 7_200.0
_RHYTHM_FAILURES, _RHYTHM_TRAFFIC = 0.3, 0.5
_INCIDENT_EVERY_S, _INCIDENT_S, _INCIDENT_FACTOR = 21_600.0, 600.0, 3.0
_MOST_EPOCHS = 12
_NO_VALUES = Sketch.of([])

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Releases:
    """Releases on trial, one per domain, all under the same traffic.

    Args:
        rate: requests per second of each domain, on average over a day.
        harms: what each candidate adds to the probability of a failure; 0 is a good release. Shape ``(releases,)``.
        seed: of everything that happens.
    """

    rate: float
    harms: Floats
    seed: int


class World:
    """The traffic of all releases in steps of 30 s, under weights that somebody else decides.

    It is a `delivery.rollout.reading.Totals`: what it tells of a rollout is what was known by then.
    """

    def __init__(self, releases: Releases) -> None:
        count = len(releases.harms)
        self.releases = releases
        self.step = 0
        environment = np.random.default_rng([releases.seed, 1])  # the same for every arm
        self._draws = np.random.default_rng([releases.seed, 2])
        self.failure, self._traffic = _environment(releases.rate, count, environment)
        self.canary: Integers = np.zeros(count, dtype=np.int64)  # basis points in force
        self.control: Integers = np.zeros(count, dtype=np.int64)
        self.epoch: Integers = np.ones(count, dtype=np.int64)
        self._next = (self.canary.copy(), self.control.copy(), self.epoch.copy())
        self.known: Integers = np.zeros((count, _MOST_EPOCHS, 2, 2), dtype=np.int64)  # epoch, arm, requests/failures
        self._lagging: deque[tuple[Integers, Integers]] = deque()
        self.exposed: Floats = np.zeros(count)
        self.names: dict[str, int] = {}

    def plan(self, release: int, canary: int, control: int, epoch: int) -> None:
        """Have gateways apply a plan from the next step on."""
        for values, value in zip(self._next, (canary, control, epoch), strict=True):
            values[release] = value

    def plan_all(self, canary: Integers) -> None:
        """Likewise for every release, without a control."""
        self._next = (canary.copy(), np.zeros_like(canary), self.epoch.copy())

    def advance(self) -> None:
        """Let 30 seconds pass: with the plans in force, of which the new ones come into force at the end."""
        mean, failure = self._traffic[self.step] * STEP_S, self.failure[self.step]
        harmed = np.minimum(failure + self.releases.harms, 1.0)
        seen = np.empty((len(mean), 2, 2), dtype=np.int64)
        for arm, (weights, chance) in enumerate(((self.control, failure), (self.canary, harmed))):
            seen[:, arm, 0] = self._draws.poisson(mean * weights / SLOTS)
            seen[:, arm, 1] = self._draws.binomial(seen[:, arm, 0], chance)
        self.exposed += seen[:, 1, 0]
        self._lagging.append((self.epoch.copy(), seen))
        if len(self._lagging) > LAG_STEPS:
            epochs, old = self._lagging.popleft()
            self.known[np.arange(len(mean)), epochs - 1] += old
        self.canary, self.control, self.epoch = (values.copy() for values in self._next)
        self.step += 1

    def finish(self) -> None:
        """Add what the candidates will be exposed to until the horizon, under the weights now in force."""
        left = self._traffic[self.step :].sum(axis=0) * STEP_S
        self.exposed += left * self.canary / SLOTS

    def arm_totals(self, experiment: str) -> Sequence[ArmTotals]:
        """Failures of canary and control by epoch, as known now; every request is a unit."""
        known = self.known[self.names[experiment]]
        epochs = np.flatnonzero(known[:, :, 0].any(axis=1))
        return totals_of(experiment, {int(epoch) + 1: known[epoch].tolist() for epoch in epochs})

    def arm_units(self, experiment: str) -> Sequence[ArmUnits]:
        """How many entered each arm, as known now."""
        totals = self.known[self.names[experiment], :, :, 0].sum(axis=0)
        return [
            ArmUnits(experiment, 1, arm, int(units), int(units), 0)
            for arm, units in zip((CONTROL, CANARY), totals, strict=True)
        ]

    def points(self, *_of: object, **_filters: object) -> Sequence[object]:
        """No points of minutes: only Kayenta's rule asks for them."""
        return []


def totals_of(experiment: str, counts: Mapping[int, Sequence[Sequence[int]]]) -> Sequence[ArmTotals]:
    """Requests and failures of control and canary, by epoch, as the tally would tell them; each request is a unit."""
    return [
        ArmTotals(experiment, epoch, arm, "failed", _moments(*of_epoch[place]), _NO_VALUES)
        for epoch, of_epoch in counts.items()
        for place, arm in enumerate((CONTROL, CANARY))
    ]


def _moments(requests: int, failures: int) -> UnitMoments:
    n, k = float(requests), float(failures)
    return UnitMoments(units=n, total=k, count=n, total_total=k, count_count=n, total_count=k)


def _environment(rate: float, count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Failure probability of the stable version and requests per second: shape ``(steps, releases)`` each."""
    days = np.arange(STEPS)[:, None] * STEP_S / HORIZON_S
    phase = rng.uniform(0, 2 * np.pi, count)
    keep = np.exp(-STEP_S / _DRIFT_S)
    noise = rng.normal(0, _DRIFT_SD * np.sqrt(1 - keep * keep), (STEPS, count))
    noise[0] = rng.normal(0, _DRIFT_SD, count)
    drift = np.empty_like(noise)
    drift[0] = noise[0]
    for step in range(1, STEPS):
        drift[step] = keep * drift[step - 1] + noise[step]
    begins = rng.random((STEPS, count)) < STEP_S / _INCIDENT_EVERY_S
    sums = np.cumsum(begins, axis=0)
    lasting = int(_INCIDENT_S / STEP_S)
    incident = sums - np.vstack([np.zeros((lasting, count), dtype=sums.dtype), sums[:-lasting]]) > 0
    failure = _BASE * np.exp(drift) * (1 + _RHYTHM_FAILURES * np.sin(2 * np.pi * days + phase + 1))
    failure = np.minimum(failure * np.where(incident, _INCIDENT_FACTOR, 1.0), 0.5)
    return failure, rate * (1 + _RHYTHM_TRAFFIC * np.sin(2 * np.pi * days + phase))
