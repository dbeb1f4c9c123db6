"""What a server does in the background: each loop in one process of many, under a lease of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailiwick.governance.audit import Actor
from bailiwick.storage.upkeep import Chore, Upkeep

if TYPE_CHECKING:
    from bailiwick.platform.platform import Platform

WATCH_INTERVAL_S = 2.0
"""How often young deployments are looked at."""


class Background:
    """The loops of a platform. None waits for another.

    Args:
        platform: whose work it is.
    """

    def __init__(self, platform: Platform) -> None:
        self._loops = _loops(platform)

    def start(self) -> None:
        """Begin; `stop` ends it."""
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """End what was begun: running chores are finished."""
        for loop in self._loops:
            loop.close()


def _loops(platform: Platform) -> list[Upkeep]:
    settings, metrics, notifications = platform.settings, platform.metrics, platform.notifications

    def upkeep(name: str, *chores: Chore) -> Upkeep:
        return Upkeep(platform.leases, name, list(chores))

    return [
        # The lease of rollouts is the controller's own: its epoch is the fence of what it writes.
        Upkeep(
            None,
            "rollouts.upkeep",
            [Chore("rollouts", lambda: platform.rollout_controller.tick(platform.clock.now()), 1.0)],
        ),
        upkeep("delivery.watch", Chore("watch", platform.delivery.watch, WATCH_INTERVAL_S)),
        upkeep(
            "experiments.upkeep",
            Chore("tick", lambda: platform.experiment_keeper.tick(Actor("keeper")), settings.experiments_interval_s),
        ),
        upkeep(
            "metrics.upkeep",
            Chore("tally", metrics.experiments.tally_all, settings.metrics_interval_s),
            Chore("compact", metrics.compact, 60.0),
        ),
        upkeep("routing.upkeep", Chore("learn", lambda: platform.routing.step(), settings.routing_update_interval_s)),
        upkeep(
            "notifications.upkeep",
            Chore("fill", notifications.outbox.fill, 1.0),
            Chore("dispatch", notifications.dispatcher.dispatch, 1.0),
            Chore("forget", notifications.outbox.forget, 3600.0),
        ),
        upkeep("audit.upkeep", Chore("publish", lambda: platform.transparency.publish(), settings.audit_interval_s)),
        upkeep("access.upkeep", Chore("merge", platform.access.usage.merge, 3600.0)),
    ]
