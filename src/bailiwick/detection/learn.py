"""Learning from labelled examples: telling words, classifier, how the two combine, and when to abstain."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bailiwick.detection.classifier import (
    Sample,
    TextClassifier,
    held_out_parts,
    only,
    samples,
    train_member,
)
from bailiwick.detection.combine import Combination, Floats, belief, fit_combination, posteriors, thresholds
from bailiwick.detection.keywords import KeywordMatcher, vocabulary_of
from bailiwick.detection.telling_words import telling_words
from bailiwick.domains.model import Domain
from bailiwick.models.model import EpochLoss, LabelledText

RECIPE = 1
"""Raised when the way of learning changes, so that the same examples are learned again."""

Examples = Mapping[str, Sequence[LabelledText]]


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned from examples. Immutable.

    Args:
        fingerprint: from `fingerprint_of`.
        words: telling words by domain, with log odds in nats.
        classifier: None where fewer than two domains have enough examples.
        combination: the weights of classifier and keywords.
        thresholds: score thresholds by the share of known texts that each turns away.
        examples: how many texts each domain gave.
        skipped: domains whose examples were not used, with the reason.
        held_out_accuracy: share of texts whose domain was found by members that had not seen them.
    """

    fingerprint: str
    words: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    classifier: TextClassifier | None = None
    combination: Combination = field(default_factory=Combination)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    examples: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    held_out_accuracy: float | None = None


def own_examples(domains: Iterable[Domain]) -> dict[str, list[LabelledText]]:
    """The examples that the domains themselves carry."""
    return {
        domain.id: [LabelledText(each.text, each.label or "") for each in domain.examples]
        for domain in domains
        if domain.examples
    }


def merged(*sets: Examples) -> dict[str, list[LabelledText]]:
    """All examples of all sets, by domain."""
    together: dict[str, list[LabelledText]] = {}
    for one in sets:
        for domain, examples in one.items():
            together.setdefault(domain, []).extend(examples)
    return together


def fingerprint_of(examples: Examples, seed: int) -> str:
    """A hash of the recipe, the seed, and the examples in any order."""
    digest = hashlib.sha256(f"{RECIPE}\0{seed}".encode())
    for line in sorted(
        json.dumps([domain, each.label, each.text, each.unit]) for domain, found in examples.items() for each in found
    ):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def learn(
    domains: Sequence[Domain],
    examples: Examples,
    *,
    seed: int,
    validation: Examples | None = None,
    progress: Callable[[int, int, EpochLoss], None] | None = None,
) -> Learned:
    """Learn from examples; the same arguments give the same result.

    Args:
        domains: whose keywords are heard beside the classifier.
        examples: by domain; a text's label is its finer label, empty where it has none.
        seed: of every random choice.
        validation: texts kept apart to calibrate on; None: some of the examples are kept apart.
        progress: called after each epoch with the member's number from 1, the number of members, and the losses.
    """
    found, skipped = samples(examples)
    fingerprint = fingerprint_of(examples, seed)
    counts = Counter(each.domain for each in found)
    if not found:
        return Learned(fingerprint, skipped=skipped)
    names = tuple(sorted(counts))
    if validation is not None:
        apart = [
            Sample(each.text, domain, f"{domain}/{each.label}", each.unit)
            for domain in names
            for each in validation.get(domain, ())
        ]
        found = [*found, *apart]
        held_out = [np.arange(len(found)) >= len(found) - len(apart)] * 2
    else:
        held_out = held_out_parts(found, seed)
    members = []
    for number, mask in enumerate(held_out):
        training, checks = _split(found, mask)
        report = _member_progress(progress, number + 1, len(held_out))
        members.append(train_member(training, checks, seed + number, report))
    classifier = TextClassifier(tuple(members), names)
    judged = _judge(domains, found, held_out, classifier)
    combination = fit_combination(judged.probabilities, judged.evidence, judged.truth)
    after = posteriors(judged.probabilities, judged.evidence, combination)
    scores = after.max(axis=1, initial=0.0) * np.array([belief(each) for each in judged.familiarity])
    words_from = [each for each, kept in zip(found, _never(held_out, validation is not None), strict=True) if kept]
    return Learned(
        fingerprint=fingerprint,
        words=telling_words((each.text, each.domain) for each in words_from),
        classifier=classifier,
        combination=combination,
        thresholds=thresholds(scores),
        examples=dict(counts),
        skipped=skipped,
        held_out_accuracy=float((after.argmax(axis=1) == judged.truth).mean()) if len(judged.truth) else None,
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """What members said of texts that they had not seen."""

    probabilities: Floats
    evidence: Floats
    familiarity: Floats
    truth: NDArray[np.integer]


def _judge(
    domains: Sequence[Domain],
    found: Sequence[Sample],
    held_out: Sequence[NDArray[np.bool_]],
    classifier: TextClassifier,
) -> _Judged:
    """Every held-out text, judged by all members that had not seen it and by keywords learned without it."""
    at = {domain: position for position, domain in enumerate(classifier.domains)}
    chosen = np.flatnonzero(np.any(held_out, axis=0))
    probabilities = np.zeros((len(found), len(at)))
    evidence = np.zeros((len(found), len(at)))
    familiarity = np.zeros(len(found))
    judges = np.maximum(1, np.sum(held_out, axis=0))
    for number, mask in enumerate(held_out):
        rows = np.flatnonzero(mask)
        texts = [each.text for each in _split(found, mask)[1]]
        said, known = only(classifier, number).predict(texts) if texts else (probabilities[rows], familiarity[rows])
        probabilities[rows] += said / judges[rows, None]
        familiarity[rows] += known / judges[rows]
        if number and np.array_equal(mask, held_out[0]):
            continue
        learned = telling_words((each.text, each.domain) for each in _split(found, mask)[0])
        matcher = KeywordMatcher(vocabulary_of(domain, learned.get(domain.id)) for domain in domains)
        for row, text in zip(rows.tolist(), texts, strict=True):
            for domain, nats in matcher.evidence(text)[0].items():
                if domain in at:
                    evidence[row, at[domain]] = nats
    truth = np.array([at[each.domain] for each in found])[chosen]
    return _Judged(probabilities[chosen], evidence[chosen], familiarity[chosen], truth)


def _split(found: Sequence[Sample], mask: NDArray[np.bool_]) -> tuple[list[Sample], list[Sample]]:
    seen = [each for each, apart in zip(found, mask, strict=True) if not apart]
    return seen, [each for each, apart in zip(found, mask, strict=True) if apart]


def _never(held_out: Sequence[NDArray[np.bool_]], keep_apart: bool) -> NDArray[np.bool_]:
    """Which texts the final words are learned from: all, unless some were given to be kept apart."""
    return ~held_out[0] if keep_apart else np.ones(len(held_out[0]), bool)


def _member_progress(
    progress: Callable[[int, int, EpochLoss], None] | None, number: int, members: int
) -> Callable[[EpochLoss], None] | None:
    if progress is None:
        return None
    return lambda loss: progress(number, members, loss)


def cpu_seconds() -> float:
    """Processor seconds that this process has used, all threads together."""
    return time.process_time()
