"""Users who keep returning: the moments of a unit grow long after it entered, and a few users send most requests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulations.watching import ArmSums, Flags, Floats

Users = NDArray[np.int64]


def self_exciting(generator: np.random.Generator, shape: tuple[int, int], newcomers: float) -> Users:
    """Who sends each request: a new user, or else the sender of a request chosen at random from the past.

    The more a user has sent, the more he will: a power law of activity (Simon, "On a class of skew distribution
    functions", Biometrika 1955).
    """
    new = generator.random(shape) < newcomers
    new[:, 0] = True
    past = (generator.random(shape) * np.arange(shape[1])).astype(np.int64)
    source = np.where(new, np.arange(shape[1]), past)
    while True:
        further = np.take_along_axis(source, source, axis=1)
        if (further == source).all():
            return np.asarray(np.take_along_axis(np.cumsum(new, axis=1) - 1, source, axis=1))
        source = further


def steady(generator: np.random.Generator, shape: tuple[int, int], users: int, sigma: float) -> Users:
    """Who sends each request: users arrive all the time, and from then on send at their own log-normal rate."""
    rows = np.arange(shape[0])[:, None]
    arrival = generator.random((shape[0], users))
    activity = np.cumsum(generator.lognormal(0, sigma, arrival.shape) * (1 - arrival), axis=1)
    activity /= activity[:, -1:]
    sender = np.searchsorted((activity + rows).ravel(), (generator.random(shape) + rows).ravel()).reshape(shape)
    sender = np.clip(sender - rows * users, 0, users - 1)
    entered = np.take_along_axis(arrival, sender, axis=1)
    sent = entered + generator.random(shape) * (1 - entered)
    return np.asarray(np.take_along_axis(sender, np.argsort(sent, axis=1), axis=1))


def running_sums(user: Users, treated: Flags, value: Floats) -> tuple[ArmSums, ArmSums]:
    """Sums of both arms over users, after every request: each replaces its user's earlier contribution."""
    repetitions, requests = user.shape
    rows = np.arange(repetitions)
    totals, counts = np.zeros((repetitions, int(user.max()) + 1)), np.zeros((repetitions, int(user.max()) + 1))
    total, count = np.empty(user.shape), np.empty(user.shape)
    for k in range(requests):
        who = user[:, k]
        total[:, k], count[:, k] = totals[rows, who], counts[rows, who]
        totals[rows, who] += value[:, k]
        counts[rows, who] += 1
    steps = (
        (count == 0).astype(np.float64),
        value,
        np.ones_like(value),
        (2 * total + value) * value,
        2 * count + 1,
        total + (count + 1) * value,
    )

    def arm(member: Flags) -> ArmSums:
        return ArmSums(*(np.cumsum(np.where(member, step, 0.0), axis=1) for step in steps))

    return arm(~treated), arm(treated)
