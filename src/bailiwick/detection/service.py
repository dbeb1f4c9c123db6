"""What others call: learn from examples, give the current detector, tag the graph."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from bailiwick.clock import Clock
from bailiwick.detection import store
from bailiwick.detection.artefact import from_files, to_files
from bailiwick.detection.asset_detector import AssetDetector
from bailiwick.detection.assets import asset_text, column_names
from bailiwick.detection.detector import Detector
from bailiwick.detection.learn import Examples, Learned, cpu_seconds, fingerprint_of, learn, merged, own_examples
from bailiwick.detection.model import (
    AssetExplanation,
    AssetTag,
    Detection,
    DetectionReport,
    LearningReport,
)
from bailiwick.detection.reports import detection_report, learning_report
from bailiwick.detection.tagging import ASSET_THRESHOLD, is_manual, summarise, tags_of_run
from bailiwick.domains.catalogue import Catalogue, build_catalogue
from bailiwick.domains.model import Domain
from bailiwick.domains.remote import RemoteDomains
from bailiwick.errors import InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.graph.model import EdgeKind
from bailiwick.graph.ports import GraphStore
from bailiwick.models.model import EpochLoss
from bailiwick.storage.database import Database
from bailiwick.storage.ids import new_id

LearningProgress = Callable[[int, int, EpochLoss], None]
"""Called with the member's number from 1, the number of members, and the losses of an epoch."""

LOCAL = "local"
_CHUNK = 1_024


@dataclass(frozen=True, slots=True)
class DomainsFrom:
    """Domains to detect, and where they came from: ``local`` or an address."""

    catalogue: Catalogue
    source: str = LOCAL


def domains_at(url: str) -> DomainsFrom:
    """The domains of another Bailiwick, as they are now.

    Raises:
        InvalidInput: the URL or the answer cannot be read.
        NotFound: there is no Bailiwick at that address, or it has no domains.
        Unavailable: it does not answer.
    """
    state = RemoteDomains(url).load()
    if state is None:
        raise NotFound(f"the Bailiwick at {url!r} has no domains", what="domains_url", requested=url)
    return DomainsFrom(build_catalogue(state, os.environ), url)


class DetectionService:
    """Detection over this Bailiwick's graph, with its own domains or those of another.

    Args:
        database: keeps what was learned, and the reports.
        audit: where changes are recorded.
        clock: dates runs.
        graph: gives the graph store; asked for only when the graph is tagged.
        domains: gives the domains as they are now.
        seed: of every random choice in learning.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        graph: Callable[[], GraphStore],
        domains: Callable[[], DomainsFrom],
        seed: int,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._graph = graph
        self._domains = domains
        self._seed = seed
        self._loaded: tuple[int, Learned] | None = None
        self._loading = threading.Lock()
        self._built: tuple[Any, Detector] | None = None

    # The detector

    def revision(self) -> int:
        """The revision of what was learned; 0: nothing. A detector is out of date when this or the domains change."""
        with self._database.read() as connection:
            return store.newest_revision(connection)

    def current(self, domains: DomainsFrom | None = None, *, threshold: float | None = None) -> Detector | None:
        """The newest detector; None where there is no domain to detect.

        Args:
            domains: default: as they are now.
            threshold: score that the best candidate must reach; None: the fitted operating point.

        Raises:
            InvalidInput: the threshold is not within 0 to 1, or what is stored cannot be read.
        """
        if threshold is not None and not 0 <= threshold <= 1:
            raise InvalidInput(
                f"a threshold is a score, got {threshold!r}", what="threshold", requested=threshold, allowed="0 to 1"
            )
        catalogue = (domains or self._domains()).catalogue
        if not catalogue.domains:
            return None
        revision, learned = self._learned()
        key = (catalogue.version, frozenset(catalogue.domains), revision)
        built = self._built
        if built is None or built[0] != key:
            built = self._built = (key, Detector(catalogue.domains, learned, revision=revision))
        return built[1].with_threshold(threshold)

    def _learned(self) -> tuple[int, Learned | None]:
        with self._loading, self._database.read() as connection:
            revision = store.newest_revision(connection)
            if revision == 0:
                return 0, None
            if self._loaded is None or self._loaded[0] != revision:
                self._loaded = (revision, from_files(store.state_files(connection, revision)))
            return self._loaded

    # Learning

    def learn(
        self,
        examples: Examples,
        actor: Actor,
        *,
        domains: DomainsFrom | None = None,
        origin: str | None = None,
        again: bool = False,
        progress: LearningProgress | None = None,
    ) -> LearningReport:
        """Learn from these examples and from those that the domains carry themselves.

        Args:
            examples: by domain; a text's label is its finer label inside the domain, empty where it has none.
            actor: who asks.
            domains: default: as they are now.
            origin: what the examples can be had by again, such as the id of a data set; see `learn_own`.
            again: learn even if the current state was learned from the same examples.
            progress: called after each epoch: the member's number, the number of members, the losses.

        Raises:
            InvalidInput: a domain is unknown, or there are no examples at all.
        """
        known = (domains or self._domains()).catalogue.domains
        strange = sorted(set(examples) - set(known))
        if strange:
            raise InvalidInput(
                f"there are examples of {strange[0]!r}, which is no active domain",
                what="examples",
                requested=strange[:20],
                allowed=sorted(known)[:50],
                remedy=f"create it first: bailiwick domain create {strange[0]} --activate",
            )
        if not any(examples.values()) and not own_examples(known.values()):
            raise InvalidInput(
                "there are no examples to learn from",
                what="examples",
                remedy="give domains examples, or learn from labelled texts with --learn-from",
            )
        return self._learn(known, examples, actor, origin=origin, again=again, progress=progress)

    def _learn(
        self,
        known: Mapping[str, Domain],
        examples: Examples,
        actor: Actor,
        *,
        origin: str | None,
        again: bool = False,
        progress: LearningProgress | None,
    ) -> LearningReport:
        own = own_examples(known.values())
        together = merged(own, examples)
        fingerprint = fingerprint_of(together, self._seed)
        present = self._state()
        if present is not None and present["fingerprint"] == fingerprint and not again:
            return learning_report(present, changed=False)
        began = cpu_seconds()
        learned = learn(list(known.values()), together, seed=self._seed, progress=progress)
        classifier = learned.classifier
        report = {
            "examples": dict(learned.examples),
            "labels": classifier.labels if classifier else 0,
            "skipped": dict(learned.skipped),
            "held_out_accuracy": learned.held_out_accuracy,
            "thresholds": dict(learned.thresholds),
            "cpu_s": round(cpu_seconds() - began, 3),
            "own_fingerprint": fingerprint_of(own, self._seed),
            "given": sum(len(found) for found in examples.values()),
            "origin": origin,
        }
        files = to_files(learned)
        values = {
            "fingerprint": fingerprint,
            "created_at": self._clock.now(),
            "created_by": actor.name,
            "report": report,
        }
        with self._database.write() as connection:
            before = store.newest_revision(connection)
            revision = store.add_state(connection, values, files)
            self._audit.record(
                connection,
                actor,
                "detector.learn",
                f"detector:{revision}",
                before={"revision": before} if before else None,
                after={"revision": revision, "fingerprint": fingerprint, **report},
            )
        return learning_report({"revision": revision, "fingerprint": fingerprint, "report": report}, changed=True)

    def learn_own(
        self,
        actor: Actor,
        *,
        domains: DomainsFrom | None = None,
        given: Callable[[str], Examples] | None = None,
        progress: LearningProgress | None = None,
    ) -> LearningReport | None:
        """Keep up with the examples that the domains carry themselves: learn if they changed since the last time.

        Examples that are gone are forgotten, even when none is left. What was learned from given examples too is
        learned again with them; where they cannot be had any more it is left as it is, for learning without them would
        forget them.

        Args:
            actor: who asks.
            domains: default: as they are now.
            given: the examples of an origin that `learn` was told; may raise NotFound.
            progress: as for `learn`.

        Returns:
            The report if something was learned or forgotten, else None.
        """
        known = (domains or self._domains()).catalogue.domains
        own = own_examples(known.values())
        present = self._state()
        before = fingerprint_of({}, self._seed) if present is None else present["report"]["own_fingerprint"]
        if before == fingerprint_of(own, self._seed):
            return None
        examples: Examples = {}
        origin = None
        if present is not None and present["report"]["given"]:
            origin = present["report"].get("origin")
            if origin is None or given is None:
                return None
            try:
                examples = {domain: found for domain, found in given(origin).items() if domain in known}
            except NotFound:
                return None
        return self._learn(known, examples, actor, origin=origin, progress=progress)

    def _state(self) -> Mapping[str, Any] | None:
        with self._database.read() as connection:
            return store.state(connection, store.newest_revision(connection))

    # The graph

    def detect_graph(
        self,
        actor: Actor,
        *,
        domains: DomainsFrom | None = None,
        threshold: float | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> DetectionReport:
        """Tag every asset and relation of the graph anew; manual tags stay and win.

        All other tags are computed from nothing, so what is no longer justified goes.

        Args:
            actor: who asks.
            domains: default: as they are now.
            threshold: score that a detected tag needs; default 0.5.
            progress: called with the assets done and their number.

        Raises:
            InvalidInput: no domain is active, or the threshold is not within 0 to 1; no tag is changed.
        """
        chosen = domains or self._domains()
        level = ASSET_THRESHOLD if threshold is None else threshold
        detector = self._required(chosen, level)
        graph = self._graph()
        started = self._clock.now()
        run = new_id("detection", started)
        nodes = {node.id: node for node in graph.nodes()}
        edges = list(graph.edges())
        columns = column_names(nodes, edges)
        texts = {key: asset_text(node, columns.get(key, ())) for key, node in nodes.items()}
        detections = _detect_each(AssetDetector(detector), texts, progress)
        manual = [tag for tag in graph.tags() if is_manual(tag)]
        agents = {key: domain.agent_id for key, domain in chosen.catalogue.domains.items()}
        tags = tags_of_run(nodes, edges, detections, manual, agents, run)
        graph.set_tags(tags)
        every = [*manual, *tags]
        tagged = {tag.element_id for tag in every}
        report = DetectionReport(
            run=run,
            started_at=started,
            finished_at=self._clock.now(),
            domains_source=chosen.source,
            learned_revision=detector.revision,
            threshold=level,
            nodes=len(nodes),
            edges=len(edges),
            tagged_nodes=len(tagged & nodes.keys()),
            tagged_edges=len(tagged & {edge.id for edge in edges}),
            domains=summarise(nodes, edges, every),
        )
        self._keep(report, actor)
        return report

    def explain_asset(
        self, qualified_name: str, *, domains: DomainsFrom | None = None, threshold: float | None = None
    ) -> AssetExplanation:
        """Why an asset carries the tags it has.

        Raises:
            NotFound: the graph has no asset of that name.
            InvalidInput: no domain is active.
        """
        detector = self._required(domains or self._domains(), ASSET_THRESHOLD if threshold is None else threshold)
        graph = self._graph()
        named = [each for each in graph.find(text=qualified_name, limit=1_000) if each.qualified_name == qualified_name]
        if not named:
            near = [each.qualified_name for each in graph.find(text=qualified_name, limit=5)]
            raise NotFound(
                f"the graph has no asset {qualified_name!r}",
                what="asset",
                requested=qualified_name,
                allowed=near or None,
                remedy="give the qualified name, such as core.card or core.card.card_id",
            )
        node = named[0]
        around = graph.neighbours([node.id], depth=1, direction="out", kinds=[EdgeKind.HAS])
        columns = column_names({each.id: each for each in around.nodes}, around.edges)
        text = asset_text(node, columns.get(node.id, ()))
        tags = graph.tags([node.id])
        causes = {each.id: each.qualified_name for each in graph.get([tag.cause for tag in tags if tag.cause])}
        return AssetExplanation(
            asset=node.qualified_name,
            kind=str(node.kind),
            text=text,
            tags=tuple(
                AssetTag(tag.domain, tag.score, tag.method, causes.get(tag.cause) if tag.cause else None, tag.run)
                for tag in tags
            ),
            own=AssetDetector(detector).explain(text),
        )

    def _required(self, domains: DomainsFrom, threshold: float | None) -> Detector:
        detector = self.current(domains, threshold=threshold)
        if detector is None:
            raise InvalidInput(
                "no domain is active, so there is nothing to detect",
                what="domains",
                remedy="bailiwick domain import FILE, or bailiwick domain create NAME --activate",
            )
        return detector

    def detector(self, domains: DomainsFrom | None = None, *, threshold: float | None = None) -> Detector:
        """`current` for callers that cannot go on without one.

        Raises:
            InvalidInput: no domain is active.
        """
        return self._required(domains or self._domains(), threshold)

    def report(self, run: str | None = None) -> DetectionReport:
        """The report of a run, or of the latest.

        Raises:
            NotFound: there is none.
        """
        with self._database.read() as connection:
            found = store.run_report(connection, run)
        if found is None:
            raise NotFound(
                f"there is no detection run {run!r}" if run else "nothing was detected yet",
                what="run",
                requested=run,
                remedy="bailiwick detect",
            )
        return detection_report(found)

    def _keep(self, report: DetectionReport, actor: Actor) -> None:
        plain = json.loads(json.dumps(asdict(report), default=datetime.isoformat))
        with self._database.write() as connection:
            values = {
                "run": report.run,
                "finished_at": report.finished_at,
                "created_by": actor.name,
                "tagged_nodes": report.tagged_nodes,
                "report": plain,
            }
            store.add_run(connection, values)
            after = {key: value for key, value in plain.items() if key != "domains"}
            after["domains"] = {each.domain: sum(each.by_kind.values()) for each in report.domains}
            self._audit.record(connection, actor, "graph.detect", f"detection:{report.run}", after=after)


def _detect_each(
    detector: AssetDetector, texts: Mapping[str, str], progress: Callable[[int, int], None] | None
) -> dict[str, Detection]:
    """The detection of every asset. Equal texts (the columns ``id`` of every table) are looked at once."""
    sharing: dict[str, list[str]] = {}
    for key, text in texts.items():
        if text:
            sharing.setdefault(text, []).append(key)
    distinct = list(sharing)
    found: dict[str, Detection] = {}
    done = len(texts) - sum(len(keys) for keys in sharing.values())
    for begin in range(0, len(distinct), _CHUNK):
        chunk = distinct[begin : begin + _CHUNK]
        for text, detection in zip(chunk, detector.detect_all(chunk), strict=True):
            found.update(dict.fromkeys(sharing[text], detection))
            done += len(sharing[text])
        if progress:
            progress(done, len(texts))
    return found
