"""The detector: from a text to its domain, or to an abstention. Immutable, safe to share between threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np

from bailiwick.detection.combine import (
    DEFAULT_OPERATING_POINT,
    KEYWORD_THRESHOLD,
    Candidate,
    Floats,
    candidates,
    keyword_probabilities,
    posteriors,
)
from bailiwick.detection.keywords import KeywordMatcher, vocabulary_of
from bailiwick.detection.learn import Learned
from bailiwick.detection.model import CLASSIFIER, KEYWORD, NONE, Detection, Explanation
from bailiwick.domains.model import Domain

_RANKED = 5
_NOTHING = Detection(None, 0.0, NONE, ())


class Detector:
    """Says which of some domains a text belongs to.

    Args:
        domains: that may be detected, by id.
        learned: from examples; None: keywords alone. What it knows of other domains is left aside.
        revision: of the state that it was built from.
        threshold: score that the best candidate must reach, whatever decided; None: the operating point of 5 % false
            rejection for the classifier, 0.5 for keywords.
    """

    def __init__(
        self,
        domains: Mapping[str, Domain],
        learned: Learned | None = None,
        *,
        revision: int = 0,
        threshold: float | None = None,
    ) -> None:
        self.domains = dict(domains)
        self.learned = learned
        self.revision = revision
        words = learned.words if learned else {}
        self._keywords = KeywordMatcher(
            vocabulary_of(domain, words.get(domain.id)) for _, domain in sorted(self.domains.items())
        )
        classifier = learned.classifier if learned else None
        columns = [] if classifier is None else [n for n, d in enumerate(classifier.domains) if d in self.domains]
        # One domain left to choose from is no choice: the classifier would be sure of it whatever the text.
        self._classifier = classifier if len(columns) > 1 else None
        self._columns = np.array(columns, int)
        self._names = [] if self._classifier is None else [self._classifier.domains[column] for column in columns]
        self._at = {name: position for position, name in enumerate(self._names)}
        self._set_threshold(threshold)

    def with_threshold(self, threshold: float | None) -> Detector:
        """The same detector with another threshold, at no cost."""
        other = copy(self)
        other._set_threshold(threshold)
        return other

    def _set_threshold(self, threshold: float | None) -> None:
        points = self.learned.thresholds if self.learned else {}
        fitted = points.get(f"{DEFAULT_OPERATING_POINT:g}", KEYWORD_THRESHOLD)
        self.classifier_threshold = fitted if threshold is None else threshold
        self.keyword_threshold = KEYWORD_THRESHOLD if threshold is None else threshold

    def detect(self, text: str) -> Detection:
        """The detection of one text; ``domain`` is None where the detector abstains. Never raises."""
        return self.detect_all([text])[0]

    def detect_all(self, texts: Sequence[str]) -> list[Detection]:
        """The detections of many texts, cheaper than one by one."""
        heard = [self._keywords.evidence(text) for text in texts]
        if self._classifier is None or not texts:
            return [self._decide(candidates(declared, every, {}, (), 0.0, _RANKED)) for every, declared in heard]
        probabilities, familiarity = self._classify(self._classifier.predict(texts), [every for every, _ in heard])
        return [
            self._decide(candidates(declared, every, self._likely(row), self._at, float(known), _RANKED))
            for (every, declared), row, known in zip(heard, probabilities, familiarity, strict=True)
        ]

    def explain(self, text: str) -> Explanation:
        """Why the text is detected as it is."""
        every, _ = self._keywords.evidence(text)
        by_keywords = sorted(keyword_probabilities(every).items(), key=lambda each: (-each[1], each[0]))
        by_classifier: tuple[tuple[str, float], ...] = ()
        familiarity = None
        if self._classifier is not None:
            probabilities, known = self._classifier.predict([text])
            row = self._own(probabilities)[0]
            best = np.argsort(-row, kind="stable")[:_RANKED]
            by_classifier = tuple((self._names[position], float(row[position])) for position in best)
            familiarity = float(known[0])
        detection = self.detect(text)
        threshold = self._threshold(detection.method == CLASSIFIER)
        return Explanation(
            detection=detection,
            matches=self._keywords.matches(text),
            keyword_ranking=tuple(by_keywords[:_RANKED]),
            classifier_ranking=by_classifier,
            familiarity=familiarity,
            threshold=threshold,
            reason=_reason(detection, threshold, familiarity),
        )

    def _classify(self, answer: tuple[Floats, Floats], heard: Sequence[Mapping[str, float]]) -> tuple[Floats, Floats]:
        probabilities, familiarity = self._own(answer[0]), answer[1]
        evidence = np.zeros_like(probabilities)
        for row, by_domain in enumerate(heard):
            for domain, nats in by_domain.items():
                position = self._at.get(domain)
                if position is not None:
                    evidence[row, position] = nats
        assert self.learned is not None
        return posteriors(probabilities, evidence, self.learned.combination), familiarity

    def _own(self, probabilities: Floats) -> Floats:
        """The probabilities of the domains that are still here, rows sum to 1."""
        if len(self._columns) == probabilities.shape[1]:
            return probabilities
        kept = probabilities[:, self._columns]
        return np.asarray(kept / np.maximum(kept.sum(axis=1, keepdims=True), 1e-12))

    def _likely(self, row: Floats) -> dict[str, float]:
        """The classifier's best domains: as many as are ranked."""
        best = row.argsort()[-_RANKED:].tolist()
        return {self._names[position]: float(row[position]) for position in best}

    def _decide(self, found: Sequence[Candidate]) -> Detection:
        if not found:
            return _NOTHING
        best = found[0]
        ranking = tuple((each.domain, round(each.score, 6)) for each in found)
        method = CLASSIFIER if best.by_classifier else KEYWORD
        domain = best.domain if best.score >= self._threshold(best.by_classifier) else None
        return Detection(domain, ranking[0][1], method, ranking)

    def _threshold(self, by_classifier: bool) -> float:
        return self.classifier_threshold if by_classifier else self.keyword_threshold


def _reason(detection: Detection, threshold: float, familiarity: float | None) -> str:
    if detection.method == NONE:
        return "no word of the text speaks for any domain"
    best, score = detection.ranking[0]
    if detection.domain is not None:
        return f"{best!r} has {score:.2f} by {detection.method}; {threshold:.2f} is needed"
    unlike = ", and the text is unlike the examples" if familiarity is not None and familiarity < 0.05 else ""
    return f"abstained: the best candidate {best!r} has {score:.2f}; {threshold:.2f} is needed{unlike}"
