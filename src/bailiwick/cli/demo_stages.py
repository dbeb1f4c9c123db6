"""The stages of the demo: each calls the services that the commands call, and returns what it found and measured."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bailiwick.cli.demo_material import Labelled, Material
from bailiwick.datasets.model import Dataset, Row, Split
from bailiwick.delivery.model import Deployment
from bailiwick.detection.model import DetectionReport, LearningReport
from bailiwick.domains.model import Lifecycle
from bailiwick.errors import BailiwickError, InvalidInput
from bailiwick.evaluation.model import Comparison, Evaluation
from bailiwick.extraction.report import ExtractionReport
from bailiwick.governance.audit import Actor
from bailiwick.graph.lineage import flow_of
from bailiwick.graph.model import EdgeKind, NodeKind
from bailiwick.models.model import LabelledText
from bailiwick.platform import Platform
from bailiwick.training.model import TrainingRun
from bailiwick.training.service import TrainingService

CANARY_SHARE = 2_000
"""Basis points that the second version takes first."""

Tell = Callable[[str, int, int], None]
"""Called with what is being done, how far it is, and how far it goes."""


@dataclass(frozen=True, slots=True)
class Routed:
    """How detection does on queries that it never saw.

    Args:
        right: share of the queries that went to their domain, of ``queries``.
        abstained: share that went to no domain.
        cpu_us: processor time of one query, in microseconds.
    """

    queries: int
    right: float
    abstained: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained version, its figures on unseen texts, and whether it went live."""

    run: TrainingRun
    evaluation: Evaluation
    deployment: Deployment


@dataclass(frozen=True, slots=True)
class Challenger:
    """A second version beside the first."""

    domain: str
    champion: str
    trained: Trained
    comparison: Comparison


def import_domains(platform: Platform, material: Material, actor: Actor) -> list[str]:
    """Create the domains, or bring them up to date; returns the active ones."""
    platform.domains.import_document(material.domains, actor)
    return [each.domain.id for each in platform.domains.list_domains((Lifecycle.ACTIVE,))]


def extract(platform: Platform, material: Material, actor: Actor, tell: Tell) -> list[ExtractionReport]:
    """Read the estates into the graph, each as a source of its own."""
    return [platform.extraction.extract([path], actor=actor, progress=tell) for path in material.estate]


def import_labelled(platform: Platform, labelled: Sequence[Labelled], actor: Actor) -> list[Dataset]:
    """Snapshot the labelled files."""
    return [
        platform.datasets.import_file(
            each.path,
            actor=actor,
            name=each.name,
            columns=each.columns,
            domain=each.domain,
            test=each.test,
            validation=each.validation,
        )
        for each in labelled
    ]


def learn_domains(platform: Platform, datasets: Sequence[Dataset], actor: Actor, tell: Tell) -> LearningReport:
    """Teach detection which words and phrases belong to which domain, from training rows only."""
    examples: dict[str, list[LabelledText]] = {}
    for dataset in datasets:
        for row in platform.datasets.rows(dataset.id, Split.TRAIN):
            examples.setdefault(row.domain, []).append(LabelledText(row.text, row.label, row.unit))

    def show(step: int, steps: int, loss: object) -> None:
        tell("learning the domains", step, steps)

    return platform.detection.learn(examples, actor, progress=show)


def tag_graph(platform: Platform, actor: Actor, tell: Tell) -> DetectionReport:
    """Tag every asset and relation with its domains."""
    return platform.detection.detect_graph(actor, progress=lambda done, total: tell("tagging the graph", done, total))


def unseen(platform: Platform, datasets: Sequence[Dataset]) -> list[Row]:
    """Every row that is kept for judging."""
    return [row for dataset in datasets for row in platform.datasets.rows(dataset.id, Split.TEST)]


def judge_detection(platform: Platform, queries: Sequence[Row]) -> Routed:
    """Detect the domain of queries that detection never saw.

    Raises:
        InvalidInput: nothing was learned yet.
    """
    detector = platform.detection.current()
    if detector is None:
        raise InvalidInput("detection has nothing to go by", what="domains", remedy="bailiwick domain import FILE")
    start = time.process_time()
    found = [detector.detect(row.text).domain for row in queries]
    cpu_us = (time.process_time() - start) / len(queries) * 1e6
    right = sum(domain == row.domain for domain, row in zip(found, queries, strict=True))
    return Routed(len(queries), right / len(queries), found.count(None) / len(queries), cpu_us)


def train_all(
    platform: Platform, datasets: Sequence[Dataset], actor: Actor, tell: Tell
) -> tuple[list[Trained], dict[str, str]]:
    """Train, evaluate and, where the gates allow it, deploy a model for every domain of the data sets.

    Returns:
        What was trained, and the domains that could not be, with the reason.
    """
    trained: list[Trained] = []
    refused: dict[str, str] = {}
    todo = [(domain, dataset) for dataset in datasets for domain in dataset.domains]
    for done, (domain, dataset) in enumerate(todo):
        tell(f"training {domain}", done, len(todo))
        try:
            trained.append(_train(platform, domain, dataset.id, actor))
        except BailiwickError as error:
            refused[domain] = error.message
    tell("training", len(todo), len(todo))
    return trained, refused


def challenge(platform: Platform, champions: Sequence[Trained], actor: Actor) -> Challenger | None:
    """Fine-tune a second version where the first, live one makes most mistakes, and give it a fifth of the traffic.

    Returns:
        None when no domain is live.
    """
    live = [each for each in champions if each.deployment.plan_revision is not None]
    for champion in sorted(live, key=_mistakes, reverse=True):
        run, version = champion.run, champion.evaluation.version
        second = _train(platform, run.domain, run.dataset, actor, start=version, share=CANARY_SHARE)
        if second.deployment.plan_revision is not None:
            comparison = platform.evaluation.compare(version, second.evaluation.version)
            return Challenger(run.domain, version, second, comparison)
    return None


def _mistakes(each: Trained) -> float:
    metrics = each.evaluation.metrics
    return (1 - metrics["accuracy"]) * metrics["test_examples"]


def longest_lineage(platform: Platform) -> list[str]:
    """The columns of the longest way from a source to what is derived from it; empty without lineage."""
    names = {node.id: node.qualified_name for node in platform.graph.nodes(kinds=[NodeKind.COLUMN])}
    derived: dict[str, set[str]] = {}
    waiting_for: Counter[str] = Counter()
    for edge in platform.graph.edges(kinds=[EdgeKind.DERIVES]):
        ends = flow_of(edge)
        if ends is not None and names.keys() >= set(ends) and ends[1] not in derived.setdefault(ends[0], set()):
            derived[ends[0]].add(ends[1])
            waiting_for[ends[1]] += 1
    ready = sorted((column for column in derived if not waiting_for[column]), key=names.__getitem__)
    before: dict[str, str] = {}
    length = dict.fromkeys(ready, 1)
    while ready:  # in the order of the flow; what lies on a circle never gets ready and is left out
        here = ready.pop()
        for column in sorted(derived.get(here, ()), key=names.__getitem__):
            if length.get(column, 0) <= length[here]:
                before[column], length[column] = here, length[here] + 1
            waiting_for[column] -= 1
            if not waiting_for[column]:
                ready.append(column)
    if not length:
        return []
    chain = [min(length, key=lambda column: (-length[column], names[column]))]
    while chain[-1] in before:
        chain.append(before[chain[-1]])
    return [names[column] for column in reversed(chain)]


def _train(
    platform: Platform, domain: str, dataset: str, actor: Actor, *, start: str | None = None, share: int = 10_000
) -> Trained:
    service: TrainingService = platform.training
    seed = platform.settings.seed + (start is not None)
    run = service.train(domain, dataset, actor=actor, seed=seed, start_version=start)
    assert run.version is not None
    evaluation = platform.evaluation.evaluate(run.version, actor=actor)
    return Trained(run, evaluation, platform.delivery.deploy(domain, run.version, share=share, actor=actor))
