from __future__ import annotations

from collections.abc import Mapping

import pytest

from bailiwick.detection.asset_detector import AssetDetector
from bailiwick.detection.detector import Detector
from bailiwick.detection.learn import Learned
from bailiwick.detection.model import CLASSIFIER, KEYWORD, Detection
from bailiwick.domains.model import Domain


@pytest.fixture
def detector(domains: Mapping[str, Domain], learned: Learned) -> AssetDetector:
    return AssetDetector(Detector(domains, learned, threshold=0.5))


def detect(detector: AssetDetector, text: str) -> Detection:
    found = detector.detect_all([text])[0]
    assert detector.explain(text).detection == found
    return found


def test_detect_all__keyword__stands_against_the_classifier(detector: AssetDetector) -> None:
    found = detect(detector, "repay the whole debt instalment card")
    assert (found.domain, found.method) == ("cards", KEYWORD)


def test_detect_all__few_words_without_keyword__are_left_alone(detector: AssetDetector) -> None:
    assert detect(detector, "whole debt").domain is None


def test_detect_all__several_words_without_keyword__are_classified(detector: AssetDetector) -> None:
    found = detect(detector, "repay pay back the whole debt")
    assert (found.domain, found.method) == ("loans", CLASSIFIER)


def test_detect_all__nothing__nothing(detector: AssetDetector) -> None:
    assert detector.detect_all([]) == []
    assert detect(detector, "").domain is None
