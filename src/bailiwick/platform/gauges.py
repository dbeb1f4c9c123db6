"""What a platform shows of its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from bailiwick.delivery.gauges import delivery_families
from bailiwick.errors import Unavailable
from bailiwick.metrics.privacy_gauges import privacy_families
from bailiwick.metrics.prometheus import Family
from bailiwick.metrics.webhook_gauges import webhook_families

if TYPE_CHECKING:
    from bailiwick.platform.platform import Platform


def gauges(platform: Platform) -> list[Family]:
    """Budgets, weights, rollouts and webhooks, for Prometheus; none while the database does not answer."""
    told = platform.notifications
    try:
        return [
            *privacy_families(balance for _, balance in platform.privacy.ledger.accounts()),
            *delivery_families(platform.traffic.plans().values(), platform.rollouts.list(active=True, limit=10_000)),
            *webhook_families([each.name for each in told.endpoints()], told.counts(), told.oldest_waiting_s()),
        ]
    except (Unavailable, SQLAlchemyError):
        return []
