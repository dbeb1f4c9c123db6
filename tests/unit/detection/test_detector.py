from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from bailiwick.detection.detector import Detector
from bailiwick.detection.learn import Learned
from bailiwick.detection.model import CLASSIFIER, KEYWORD, NONE, Detection
from bailiwick.domains.model import Domain

HOSTILE = [
    "",
    " \n\t ",
    "\x00\xff\x7fELF\x02",
    "\ud800 half a pair",
    "card " * 200_000,
    "x" * 2_000_000,
    "信用卡 карта कार्ड 💳💳",
    "'; DROP TABLE cards; --",
    bytes(range(256)).decode("latin-1") * 50,
    "\u202e\u0301\u200d" * 1000,
]


@pytest.fixture
def detector(domains: Mapping[str, Domain], learned: Learned) -> Detector:
    return Detector(domains, learned, revision=3)


def test_detect__keywords_only__finds_abstains_and_ranks(domains: Mapping[str, Domain]) -> None:
    detector = Detector(domains)
    assert detector.detect("my card").domain == "cards"
    assert detector.detect("my card").method == KEYWORD
    assert detector.detect("the overnight repo desk").domain == "treasury"
    assert detector.detect("bake some bread") == Detection(None, 0.0, NONE, ())
    torn = detector.detect("a card or a loan")
    assert torn.domain is None
    assert {name for name, _ in torn.ranking} == {"cards", "loans"}


def test_detect__learned__finds_texts_without_keywords(detector: Detector) -> None:
    found = detector.detect("repay the whole debt")
    assert (found.domain, found.method) == ("loans", CLASSIFIER)
    assert found.ranking[0] == ("loans", found.score)


def test_detect__domain_without_examples__is_still_found(detector: Detector) -> None:
    found = detector.detect("liquidity ratio of the overnight repo")
    assert (found.domain, found.method) == ("treasury", KEYWORD)


@pytest.mark.parametrize("text", ["how do i bake sourdough bread", "weather tomorrow", "zzz qqq"])
def test_detect__unknown_topic__abstains(detector: Detector, text: str) -> None:
    assert detector.detect(text).domain is None


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_detect__hostile_text__answers_within_bounds(detector: Detector, text: str) -> None:
    found = detector.detect(text)
    assert 0 <= found.score <= 1
    assert sum(score for _, score in found.ranking) <= 1 + 1e-6
    assert detector.explain(text).detection == found


def test_detect_all__same_as_one_by_one(detector: Detector) -> None:
    texts = ["my card was blocked", "interest for a loan", "bread", "", "overnight repo"]
    for one, many in zip([detector.detect(text) for text in texts], detector.detect_all(texts), strict=True):
        assert (one.domain, one.method) == (many.domain, many.method)
        assert one.score == pytest.approx(many.score, abs=1e-4)
    assert detector.detect_all([]) == []


def test_detect__threshold__is_obeyed(detector: Detector) -> None:
    assert detector.with_threshold(1.0).detect("repay the whole debt").domain is None
    assert detector.with_threshold(0.0).detect("weather card").domain is not None
    assert detector.detect("repay the whole debt").domain == "loans"


def test_detect__learned_domain_that_is_gone__is_never_answered(
    learned: Learned, domains: Mapping[str, Domain]
) -> None:
    left = {name: domain for name, domain in domains.items() if name != "loans"}
    detector = Detector(left, learned)
    assert "loans" not in dict(detector.detect("repay the whole loan").ranking)
    # With one learned domain left, a classifier would be sure of it whatever the text.
    assert detector.detect("weather tomorrow").domain is None


def test_detect__three_learned_one_gone__others_still_classified(
    learned: Learned, domains: Mapping[str, Domain]
) -> None:
    assert learned.classifier is not None
    wider = replace(learned.classifier, domains=("cards", "gone", "loans"))
    found = Detector(domains, replace(learned, classifier=wider)).detect("repay the whole debt")
    assert (found.domain, found.method) == ("loans", CLASSIFIER)


def test_explain__says_words_classifier_and_threshold(detector: Detector) -> None:
    found = detector.explain("my card was blocked")
    assert found.detection.domain == "cards"
    assert ("card", "cards") in {(match.word, match.domain) for match in found.matches}
    assert found.classifier_ranking[0][0] == "cards"
    assert found.threshold == detector.classifier_threshold
    assert found.familiarity is not None
    assert "abstained" in detector.explain("weather tomorrow").reason


def test_detect__many_threads__same_answers(detector: Detector) -> None:
    texts = [f"my card {number} was blocked" for number in range(200)]
    expected = [detector.detect(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(detector.detect, texts)) == expected


def test_detect__thousand_other_domains__answers_stay(learned: Learned, domains: Mapping[str, Domain]) -> None:
    generator = np.random.default_rng(0)
    letters = list("bcdfghklmnprstvz")
    others = {
        f"other-{number}": Domain(
            f"other-{number}", "", "a", keywords=tuple("".join(generator.choice(letters, 7)) for _ in range(20))
        )
        for number in range(1_000)
    }
    few, many = Detector(domains, learned), Detector({**domains, **others}, learned)
    for text in ("my card was blocked", "repay the whole debt", "overnight repo and liquidity ratio"):
        assert many.detect(text).domain == few.detect(text).domain
    assert many.detect(f"about {others['other-7'].keywords[0]} and {others['other-7'].keywords[1]}").domain == "other-7"
