"""What detection reaches on HWU64: 18 domains, 64 intents, 8,954 training texts, tested on 1,076 unseen ones."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bailiwick.detection.detector import Detector
from bailiwick.detection.evaluate import quality
from bailiwick.detection.learn import Learned, learn
from bailiwick.detection.telling_words import telling_words
from bailiwick.domains.model import Domain
from bailiwick.models.model import LabelledText

pytestmark = pytest.mark.corpora

Split = dict[str, list[LabelledText]]


def read(corpora: Path, split: str) -> Split:
    found: Split = {}
    with (corpora / "hwu64" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["domain"], []).append(LabelledText(row["text"], row["intent"]))
    return found


def judged(detector: Detector, split: Split) -> tuple[float, float]:
    """Accuracy, and the share turned away."""
    pairs = [(each.text, domain) for domain, texts in split.items() for each in texts]
    found = quality(detector.detect_all([text for text, _ in pairs]), [domain for _, domain in pairs])
    return found.accuracy, found.abstained


def test_hwu64__learned_from_training_texts__reaches_the_goal(corpora: Path) -> None:
    training = read(corpora, "train")
    domains = {name: Domain(name, name, "agent") for name in training}
    learned = learn(list(domains.values()), training, seed=20260101, validation=read(corpora, "valid"))
    accuracy, rejected = judged(Detector(domains, learned), read(corpora, "test"))
    assert accuracy >= 0.92
    assert rejected <= 0.10  # the threshold aims at 5 % on the validation texts
    assert learned.classifier is not None
    assert learned.classifier.labels == 64


def test_hwu64__words_alone__reach_the_goal(corpora: Path) -> None:
    training = read(corpora, "train")
    words = telling_words((each.text, domain) for domain, texts in training.items() for each in texts)
    assert max(map(len, words.values())) <= 200
    detector = Detector({name: Domain(name, name, "agent") for name in training}, Learned("", words=words))
    assert judged(detector, read(corpora, "test"))[0] >= 0.80
