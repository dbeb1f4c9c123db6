"""The nouns of detection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

KEYWORD, CLASSIFIER, LINEAGE, MANUAL, NONE = "keyword", "classifier", "lineage", "manual", "none"


@dataclass(frozen=True, slots=True)
class Detection:
    """Which domain a text belongs to.

    Args:
        domain: the detected domain, or None where the detector abstains.
        score: probability of the best candidate, 0 to 1; lowered for texts unlike any example.
        method: what decided: ``keyword``, ``classifier``, or ``none`` where nothing spoke for any domain.
        ranking: the best candidates with their scores, best first; at most five.
    """

    domain: str | None
    score: float
    method: str
    ranking: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class WordMatch:
    """One word or phrase of a text that speaks for a domain.

    Args:
        domain: the domain it speaks for.
        word: as detection matched it: lower case, identifiers split.
        weight: log odds in nats that it adds.
        source: ``keyword`` where the domain names it, ``examples`` where it was learned.
    """

    domain: str
    word: str
    weight: float
    source: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a text was detected as it was.

    Args:
        detection: the answer explained.
        matches: what spoke for which domain, heaviest first.
        keyword_ranking: domains by keywords alone, with probabilities.
        classifier_ranking: domains by the learned classifier alone; empty without one.
        familiarity: share of known texts that look less familiar than this one, 0 to 1; None without a classifier.
        threshold: the score that the best candidate had to reach.
        reason: one sentence for people.
    """

    detection: Detection
    matches: tuple[WordMatch, ...]
    keyword_ranking: tuple[tuple[str, float], ...]
    classifier_ranking: tuple[tuple[str, float], ...]
    familiarity: float | None
    threshold: float
    reason: str


@dataclass(frozen=True, slots=True)
class AssetTag:
    """A tag of an asset, with the name of the asset that it was carried from."""

    domain: str
    score: float
    method: str
    carried_from: str | None
    run: str


@dataclass(frozen=True, slots=True)
class AssetExplanation:
    """Why an asset carries its tags: those it has, the words that were read of it, and what they say on their own."""

    asset: str
    kind: str
    text: str
    tags: tuple[AssetTag, ...]
    own: Explanation


@dataclass(frozen=True, slots=True)
class LearningReport:
    """What learning from examples gave.

    Args:
        revision: of the learned state that is now current.
        fingerprint: of the examples and the recipe; the same examples give the same one.
        changed: false where the current state had been learned from the same examples already.
        examples: texts by domain.
        labels: finer labels that the classifier tells apart; 0 where only words were learned.
        skipped: domains whose examples could not be used, with the reason.
        held_out_accuracy: share of held-out texts that went to the right domain, without abstaining; None without
            a classifier.
        thresholds: score threshold by the share of in-scope texts that it rejects, such as ``{"0.05": 0.31}``.
        cpu_s: processor seconds spent.
    """

    revision: int
    fingerprint: str
    changed: bool
    examples: Mapping[str, int]
    labels: int
    skipped: Mapping[str, str] = field(default_factory=dict)
    held_out_accuracy: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DomainSummary:
    """What belongs to one domain after a run: elements by kind and by method, and the names of one to three.

    An element that carries several tags counts for the domain of its best one only.
    """

    domain: str
    by_kind: Mapping[str, int]
    by_method: Mapping[str, int]
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DetectionReport:
    """One run over the graph.

    Args:
        run: its identifier, carried by every tag that it set.
        started_at: when it began.
        finished_at: when its tags were stored.
        domains_source: where the domains came from: ``local`` or an address.
        learned_revision: of the learned state that it used; 0 without one.
        threshold: the score that a tag needs.
        nodes: assets looked at.
        edges: relations looked at.
        tagged_nodes: assets with at least one tag, manual ones included.
        tagged_edges: relations with at least one tag.
        domains: by domain, most elements first.
    """

    run: str
    started_at: datetime
    finished_at: datetime
    domains_source: str
    learned_revision: int
    threshold: float
    nodes: int
    edges: int
    tagged_nodes: int
    tagged_edges: int
    domains: tuple[DomainSummary, ...] = ()

    @property
    def abstained(self) -> float:
        """Share of the assets that carry no tag, 0 to 1."""
        return 1 - self.tagged_nodes / self.nodes if self.nodes else 0.0
