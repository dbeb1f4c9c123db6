"""How keywords and classifier become one score, and when the score is too low to answer. Pure.

Keywords give every domain a probability, with a share left for "none of them". The classifier gives probabilities to
the domains that have examples. It is believed as far as the text looks like those examples; what it is not believed
for, and every domain without examples, is left to declared keywords.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NONE_EVIDENCE = 2.0
"""Nats in favour of "none of the domains": one telling keyword (3 nats) alone gives its domain 0.73, two give 0.98."""

FULL_BELIEF = 0.2
"""A text more familiar than a fifth of the known ones is as good as known.

Measured with each of the 18 domains of HWU64 held out in turn, on its validation set: the product of this and of the
classifier's probability tells unknown topics apart as well as familiarity alone (AUROC 0.940 beside 0.939; the
probability alone 0.931), and leaves the probability of four texts in five as it is.
"""

KEYWORD_THRESHOLD = 0.5
"""Score that keywords alone must reach."""

OPERATING_POINTS = (0.01, 0.02, 0.05, 0.1)
DEFAULT_OPERATING_POINT = 0.05
"""Share of known topics that may be turned away so that unknown ones are."""

_PRIOR = (1.0, 0.3)
_PRIOR_STRENGTH = 1.0
_SMALLEST = 1e-9


@dataclass(frozen=True, slots=True)
class Combination:
    """What the classifier's log probabilities and the nats of keywords are multiplied by before they are added."""

    classifier: float = _PRIOR[0]
    keywords: float = _PRIOR[1]


def keyword_probabilities(evidence: Mapping[str, float]) -> dict[str, float]:
    """Probabilities of the domains with evidence; what is missing to 1 belongs to none of them.

    >>> {domain: round(p, 2) for domain, p in keyword_probabilities({"cards": 3.0}).items()}
    {'cards': 0.73}
    """
    highest = max(NONE_EVIDENCE, *evidence.values()) if evidence else NONE_EVIDENCE
    odds = {domain: math.exp(nats - highest) for domain, nats in evidence.items()}
    total = math.exp(NONE_EVIDENCE - highest) + sum(odds.values())
    return {domain: each / total for domain, each in odds.items()}


def belief(familiarity: float) -> float:
    """How far the classifier is believed, 0 to 1.

    Args:
        familiarity: share of known texts that look less familiar, 0 to 1.
    """
    return min(1.0, familiarity / FULL_BELIEF)


def posteriors(probabilities: Floats, evidence: Floats, combination: Combination) -> Floats:
    """The classifier's probabilities after the keywords were heard, rows sum to 1.

    Args:
        probabilities: of the classifier, shape ``(texts, domains)``.
        evidence: nats of keywords, same shape.
        combination: the weights of both.
    """
    logits = combination.classifier * np.log(np.maximum(probabilities, _SMALLEST)) + combination.keywords * evidence
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def fit_combination(probabilities: Floats, evidence: Floats, truth: NDArray[np.integer]) -> Combination:
    """The weights that minimise the log loss of `posteriors`, drawn towards the default where there is little to learn.

    Args:
        probabilities: of texts that the classifier was not trained on, shape ``(texts, domains)``.
        evidence: nats of keywords learned without those texts, same shape.
        truth: domain positions, shape ``(texts,)``.
    """
    if not len(truth):
        return Combination()
    log_probabilities = np.log(np.maximum(probabilities, _SMALLEST))
    rows = np.arange(len(truth))
    prior = np.array(_PRIOR)

    from scipy.optimize import minimize  # slow to load, and needed for learning only

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = weights[0] * log_probabilities + weights[1] * evidence
        highest = logits.max(axis=1, keepdims=True)
        odds = np.exp(logits - highest)
        sums = odds.sum(axis=1, keepdims=True)
        value = float((np.log(sums) + highest).sum() - logits[rows, truth].sum())
        error = odds / sums
        error[rows, truth] -= 1
        away = weights - prior
        gradient = np.array([(error * log_probabilities).sum(), (error * evidence).sum()])
        return value + _PRIOR_STRENGTH * float(away @ away), gradient + 2 * _PRIOR_STRENGTH * away

    found = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=((0.05, 10.0), (0.0, 10.0))).x
    return Combination(float(found[0]), float(found[1]))


def thresholds(scores: Floats) -> dict[str, float]:
    """The score threshold of every operating point: what that share of known texts falls below.

    Args:
        scores: of known texts that nothing was trained on, shape ``(texts,)``.
    """
    if not len(scores):
        return {}
    return {f"{share:g}": round(float(np.quantile(scores, share)), 6) for share in OPERATING_POINTS}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A domain's score, and whether the classifier (rather than keywords) gave most of it."""

    domain: str
    score: float
    by_classifier: bool


def candidates(
    declared: Mapping[str, float],
    every: Mapping[str, float],
    classified: Mapping[str, float],
    covered: Collection[str],
    familiarity: float,
    most: int,
) -> list[Candidate]:
    """The domains with something to say for them, best first. Scores sum to at most 1.

    Args:
        declared: nats of declared keywords by domain.
        every: nats of declared and learned words by domain.
        classified: `posteriors` by domain; the least likely may be left out.
        covered: the domains that the classifier knows; empty without a classifier.
        familiarity: of the text, 0 to 1.
        most: how many to return.
    """
    heard = keyword_probabilities(every)
    found = [Candidate(domain, score, False) for domain, score in heard.items() if domain not in covered]
    if covered:
        rest = 1 - sum(each.score for each in found)
        trust = belief(familiarity)
        # Learned words say no more of an unfamiliar text than the classifier does: only declared ones count there.
        own = keyword_probabilities({domain: nats for domain, nats in declared.items() if domain in covered})
        for domain in classified.keys() | own.keys():
            learned, named = trust * classified.get(domain, 0.0), (1 - trust) * own.get(domain, 0.0)
            found.append(Candidate(domain, rest * (learned + named), learned >= named))
    return sorted(found, key=lambda each: (-each.score, each.domain))[:most]
