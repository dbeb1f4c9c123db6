"""Collects what the gates of a domain's policy look at, and asks them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bailiwick.clock import Clock
from bailiwick.delivery.degradation import Rate
from bailiwick.delivery.gates import GateEvidence, judge_all
from bailiwick.delivery.live import Live
from bailiwick.delivery.model import Verdict
from bailiwick.delivery.policies import GatePolicies
from bailiwick.delivery.policy import GatePolicy
from bailiwick.domains.model import DomainRevision
from bailiwick.errors import Conflict, InvalidInput, NotFound, PolicyDenied
from bailiwick.evaluation.model import Comparison
from bailiwick.registry.model import ModelVersion
from bailiwick.traffic.service import TrafficService

Compare = Callable[[str, str, str | None], Comparison]
"""Champion, version and data set (None: what the version was trained on) to both on the same test rows."""


class Judge:
    """Judges versions by the policy in force. Changes nothing.

    Args:
        traffic: knows what is in service.
        policies: of this environment.
        clock: says what is recent.
        versions: the registered version of an id; raises `NotFound`.
        domains: the current revision of a domain; raises `NotFound`.
        live: live numbers; None: there are none.
        compare: see `Compare`; None: nobody can.
    """

    def __init__(
        self,
        traffic: TrafficService,
        policies: GatePolicies,
        clock: Clock,
        versions: Callable[[str], ModelVersion],
        domains: Callable[[str], DomainRevision],
        live: Live | None,
        compare: Compare | None,
    ) -> None:
        self._traffic = traffic
        self._policies = policies
        self._clock = clock
        self._versions = versions
        self._domains = domains
        self._live = live
        self._compare = compare

    def judge(self, domain: str, version: str) -> Verdict:
        """See `DeliveryService.judge`."""
        found = self.version(domain, version)
        thresholds = self._domains(domain).domain.thresholds
        record = self._policies.current(domain)
        champion = self._champion(domain, version)
        comparison, obstacle = self._comparison(record.policy, champion, version)
        evidence = GateEvidence(
            metrics=found.metrics,
            card=found.card,
            failed=self._failed(record.policy, domain, version),
            champion=champion,
            comparison=comparison,
            no_comparison=obstacle,
        )
        return Verdict(found, judge_all(evidence, thresholds, record.policy), record, champion)

    def version(self, domain: str, version: str) -> ModelVersion:
        """The registered version, which must be one of the domain's.

        Raises:
            NotFound: there is no such version.
            InvalidInput: it belongs to another domain.
        """
        found = self._versions(version)
        if found.domain != domain:
            raise InvalidInput(
                f"{version!r} is a version of {found.domain!r}, not of {domain!r}",
                what="version",
                requested=version,
                remedy=f"list the versions of {domain!r} with `bailiwick model list`",
            )
        return found

    def _champion(self, domain: str, version: str) -> str | None:
        plan = self._traffic.plan(domain)
        return champion_of(plan.weights if plan else {}, version)

    def _failed(self, policy: GatePolicy, domain: str, version: str) -> Rate:
        if self._live is None or policy.max_error_rate is None:
            return Rate()
        now = self._clock.now()
        since = now - timedelta(seconds=policy.live_window_s)
        return self._live.observed(domain, version, since, now).failed

    def _comparison(
        self, policy: GatePolicy, champion: str | None, version: str
    ) -> tuple[Comparison | None, str | None]:
        """A comparison that cannot be made is an answer of its own, not an error of the deployment."""
        if policy.regression_margin is None or champion is None:
            return None, None
        if self._compare is None:
            return None, "nobody here can compare versions"
        try:
            return self._compare(champion, version, policy.regression_dataset), None
        except (NotFound, InvalidInput, PolicyDenied, Conflict) as error:
            return None, error.message


def champion_of(weights: dict[str, int], version: str) -> str | None:
    """The version with the most traffic, other than this one; None where nothing else serves.

    >>> champion_of({"v1": 8000, "v2": 2000}, "v2")
    'v1'
    """
    others = {name: weight for name, weight in weights.items() if name != version}
    return max(others, key=lambda name: others[name]) if others else None
