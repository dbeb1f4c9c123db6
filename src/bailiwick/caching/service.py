"""What people do about kept answers: switch them on, look at their use, forget them, let similar questions share.

All of it is a change of the domain's section ``cache``: audited, in its history, and followed by every gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from threadpoolctl import threadpool_limits

from bailiwick.caching.calibrate import FEWEST, LEVEL, Calibration, Measured, calibrate, measure
from bailiwick.caching.model import HIT_METRIC, SIMILAR_METRIC
from bailiwick.caching.similarity import Similarity
from bailiwick.clock import Clock
from bailiwick.domains.cache import MAX_GENERATION, AnswerCaching, SemanticCache
from bailiwick.domains.model import Domain, DomainRevision
from bailiwick.domains.service import DomainService
from bailiwick.errors import Conflict, GateFailed, InvalidInput
from bailiwick.governance.audit import Actor
from bailiwick.metrics.model import MetricSummary
from bailiwick.models.model import LabelledText
from bailiwick.models.ports import FittedModel
from bailiwick.registry.model import ModelVersion

_TRIES = 5

Summaries = Callable[[str, datetime, datetime], Sequence[MetricSummary]]
Examples = Callable[[str, str, ModelVersion | None], Sequence[LabelledText]]


@dataclass(frozen=True, slots=True)
class CacheReport:
    """How a domain's answers are kept, and what of that was used.

    Args:
        settings: the section; None: nothing is kept.
        requests: that the cache took part in, in all gateways together.
        hits: of them that needed no model.
        similar: of the hits that another question's answer served.
        hours: of the span that was looked at.
    """

    domain: str
    settings: AnswerCaching | None
    requests: int
    hits: int
    similar: int
    hours: float

    @property
    def hit_rate(self) -> float | None:
        """Hits by request; None while there was none."""
        return self.hits / self.requests if self.requests else None

    def document(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self) | {"hit_rate": self.hit_rate}


class CachingService:
    """The cache of every domain.

    Args:
        domains: where the sections are kept.
        summaries: what was measured of a domain in a span.
        clock: for the end of the span.
        examples: rows of a data set for a domain, less those that a version was trained with.
        version: a registered version by its reference.
        model: the loaded model of a version.
    """

    def __init__(
        self,
        domains: DomainService,
        summaries: Summaries,
        clock: Clock,
        examples: Examples,
        version: Callable[[str], ModelVersion],
        model: Callable[[str], FittedModel],
    ) -> None:
        self._domains = domains
        self._summaries = summaries
        self._clock = clock
        self._examples = examples
        self._version = version
        self._model = model

    def show(self, domain: str, hours: float = 24.0) -> CacheReport:
        """How a domain's answers are kept, and their use.

        Raises:
            NotFound: there is no such domain.
        """
        return self._report(self._domains.get(domain).domain, hours)

    def show_all(self, hours: float = 24.0) -> list[CacheReport]:
        """The domains that have a section ``cache``, by id."""
        found = (each.domain for each in self._domains.list_domains())
        return [self._report(domain, hours) for domain in found if domain.cache is not None]

    def change(self, domain: str, values: Mapping[str, Any], actor: Actor) -> AnswerCaching:
        """Set fields of the section, which begins with its defaults where there is none.

        Raises:
            NotFound: there is no such domain.
            InvalidInput: a field is unknown, or a value out of bounds.
            Conflict: somebody else kept changing the domain.
        """
        unknown = sorted(set(values) - {"enabled", "ttl_s", "max_entries", "max_bytes", *_MORE_FIELDS})
        if unknown:
            raise InvalidInput(f"the cache has no setting {unknown[0]!r}", what=unknown[0])
        return self._changed(domain, lambda present: replace(present or AnswerCaching(), **values), actor)

    def clear(self, domain: str, actor: Actor) -> AnswerCaching:
        """Let no gateway serve an answer that was kept before. Each follows as soon as it sees the change.

        Raises:
            NotFound: there is no such domain.
            Conflict: the domain keeps no answers, or somebody else kept changing it.
        """

        def cleared(present: AnswerCaching | None) -> AnswerCaching:
            kept = _present(domain, present)
            return replace(kept, generation=kept.generation % MAX_GENERATION + 1)

        return self._changed(domain, cleared, actor)

    def similar(
        self, domain: str, dataset: str, actor: Actor, *, max_wrong: float = 0.02, model: str | None = None
    ) -> Calibration:
        """Let similar questions share answers, at a threshold that is proven on the domain's labelled examples.

        Args:
            domain: that keeps answers of an upstream model.
            dataset: with labelled questions of the domain.
            actor: who asks.
            max_wrong: the share of such hits that may be wrong, above 0.
            model: a version whose labels say what a question means; None: only the wording is compared.

        Raises:
            NotFound: there is no such domain, data set or version.
            InvalidInput: the budget is out of bounds, the domain's model is local: asking it costs less, or the data
                set has too few questions of the domain that the model has not seen.
            GateFailed: no threshold keeps to the budget, as far as the examples can tell. Nothing has changed.
            Conflict: the domain keeps no answers, or somebody else kept changing it.
        """
        if not 0 < max_wrong <= 0.5:
            raise InvalidInput("the budget must be above 0 and at most 50 %", what="max_wrong", requested=max_wrong)
        present = self._domains.get(domain).domain
        _present(domain, present.cache)
        if present.backend.kind == "local":
            raise InvalidInput(
                f"the model of {domain!r} runs in this process: asking it costs less than comparing questions",
                what="domain",
                requested=domain,
                remedy="`bailiwick cache on` gives the same question the same answer; that is enough here",
            )
        version, similarity, examples = self._compared(dataset, domain, model)
        with threadpool_limits(limits=1):  # threads that wait for each other cost more than such small products
            found = calibrate(examples, similarity, max_wrong=max_wrong)
        if not found.holds or found.threshold is None:
            raise _no_threshold(domain, found)
        name = None if version is None else version.id
        semantic = SemanticCache(found.threshold, max_wrong, name, dataset, found.questions, found.hits, found.wrong)
        self._changed(domain, lambda kept: replace(_present(domain, kept), semantic=semantic), actor)
        return found

    def measure(self, domain: str, dataset: str, *, model: str | None = None) -> list[Measured]:
        """How often similar questions would share an answer at which threshold, and how often wrongly. Changes nothing.

        Args:
            domain: that keeps answers, or does not yet.
            dataset: with labelled questions of the domain.
            model: as for `similar`.

        Raises:
            NotFound: there is no such domain, data set or version.
            InvalidInput: the data set has too few questions of the domain that the model has not seen.
        """
        self._domains.get(domain)
        _, similarity, examples = self._compared(dataset, domain, model)
        with threadpool_limits(limits=1):
            return measure(examples, similarity)

    def _compared(
        self, dataset: str, domain: str, model: str | None
    ) -> tuple[ModelVersion | None, Similarity, Sequence[LabelledText]]:
        """What questions are compared by, and those to compare."""
        version = None if model is None else self._version(model)
        examples = self._examples(dataset, domain, version)
        if len(examples) < FEWEST:
            raise InvalidInput(
                f"the data set {dataset!r} has {len(examples)} labelled questions for {domain!r} to compare",
                what="dataset",
                requested=dataset,
                allowed=f"{FEWEST} or more",
                remedy=f"import questions of {domain!r}, or name with --model a version of the domain that they are of",
            )
        return version, Similarity(None if version is None else self._model(version.id).predict), examples

    def exact(self, domain: str, actor: Actor) -> AnswerCaching:
        """Give kept answers to the same question only.

        Raises:
            NotFound, Conflict: as `clear`.
        """
        return self._changed(domain, lambda present: replace(_present(domain, present), semantic=None), actor)

    def _changed(
        self, domain: str, change: Callable[[AnswerCaching | None], AnswerCaching], actor: Actor
    ) -> AnswerCaching:
        """Change the section as it is now; again, where somebody else changed the domain in between."""
        for turn in range(_TRIES):
            present: DomainRevision = self._domains.get(domain)
            section = change(present.domain.cache)
            if section == present.domain.cache:
                return section
            try:
                self._domains.update(replace(present.domain, cache=section), actor, expected_revision=present.revision)
            except Conflict:
                if turn == _TRIES - 1:
                    raise
            else:
                return section
        raise AssertionError("the last try returns or raises")

    def _report(self, domain: Domain, hours: float) -> CacheReport:
        until = self._clock.now() + timedelta(microseconds=1)
        counts = {HIT_METRIC: [0, 0.0], SIMILAR_METRIC: [0, 0.0]}
        for each in self._summaries(domain.id, until - timedelta(hours=hours), until):
            if each.metric in counts:
                counts[each.metric][0] += each.count
                counts[each.metric][1] += each.count * each.mean
        requests, hits = counts[HIT_METRIC]
        similar = counts[SIMILAR_METRIC][1]
        return CacheReport(domain.id, domain.cache, int(requests), round(hits), round(similar), hours)


_MORE_FIELDS = ("max_answer_bytes", "sampled", "scope", "shared")


def _present(domain: str, section: AnswerCaching | None) -> AnswerCaching:
    if section is None:
        raise Conflict(
            f"the domain {domain!r} keeps no answers",
            what="domain",
            requested=domain,
            remedy=f"bailiwick cache on {domain}",
        )
    return section


def _no_threshold(domain: str, found: Calibration) -> GateFailed:
    if found.threshold is None:
        why = f"on {found.questions:,} questions, none could be chosen"
    else:
        why = (
            f"the best, {found.threshold:.3f}, gave {found.hits:,} hits on {found.questions:,} questions,"
            f" {found.wrong:,} of them wrong: up to {100 * found.at_most:.1f} % ({100 * LEVEL:.0f} % bound)"
        )
    return GateFailed(
        f"no threshold keeps wrong hits of {domain!r} to {100 * found.max_wrong:g} %: {why}",
        what="max_wrong",
        requested=found.max_wrong,
        remedy="allow more, give more labelled questions, or name a model that knows the labels (--model)",
    )
