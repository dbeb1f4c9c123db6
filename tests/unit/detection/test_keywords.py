from __future__ import annotations

import pytest

from bailiwick.detection.keywords import (
    MOST_DOMAINS_PER_WORD,
    UNIQUE_KEYWORD,
    KeywordMatcher,
    Vocabulary,
    vocabulary_of,
)
from bailiwick.domains.model import Domain


def domain(name: str, *keywords: str, **more: float) -> Domain:
    return Domain(name, "", "agent", keywords=keywords, attention_weights=more)


def matcher(*domains: Domain) -> KeywordMatcher:
    return KeywordMatcher(vocabulary_of(each) for each in domains)


CARDS, LOANS = domain("d-cards", "card", "credit limit"), domain("d-loans", "loan", "mortgage")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("my card", {"d-cards"}),
        ("discard cardinal", set()),
        ("two cards", {"d-cards"}),
        ("raise the CREDIT limit", {"d-cards"}),
        ("credit my limit", set()),
        ("fct_card_txn", {"d-cards"}),
        ("fctCardTxn", {"d-cards"}),
        ("a card for a loan", {"d-cards", "d-loans"}),
        ("", set()),
    ],
)
def test_evidence__whole_words_only(text: str, found: set[str]) -> None:
    assert set(matcher(CARDS, LOANS).evidence(text)[0]) == found


def test_evidence__word_of_many_domains__tells_less() -> None:
    shared = [domain(f"d-{letter}", "account", f"only {letter}") for letter in "abcdef"]
    found = matcher(*shared)
    everywhere = found.evidence("account")[0]["d-a"]
    unique = found.evidence("only a")[0]["d-a"]
    assert 0 < everywhere < unique / 3
    assert unique == pytest.approx(UNIQUE_KEYWORD)


def test_evidence__attention_weight__multiplies() -> None:
    plain = matcher(CARDS, LOANS).evidence("card")[0]["d-cards"]
    heavy = matcher(domain("d-cards", "card", card=2.0), LOANS).evidence("card")[0]["d-cards"]
    assert heavy == pytest.approx(2 * plain)
    assert matcher(domain("d-cards", "card", card=0.0), LOANS).evidence("card")[1] == {}


def test_evidence__repeated_word__counts_once() -> None:
    found = matcher(CARDS, LOANS)
    assert found.evidence("card card card") == found.evidence("card")


def test_evidence__learned_and_declared__heavier_counts_and_declared_is_kept_apart() -> None:
    found = KeywordMatcher([vocabulary_of(CARDS, {"card": 5.0, "chip": 2.0}), vocabulary_of(LOANS)])
    every, declared = found.evidence("card chip")
    assert every == {"d-cards": pytest.approx(7.0)}
    assert declared == {"d-cards": pytest.approx(UNIQUE_KEYWORD)}


def test_evidence__word_that_too_many_claim__is_dropped() -> None:
    many = [Vocabulary(f"d{n}", {"total": 1.0}) for n in range(MOST_DOMAINS_PER_WORD + 1)]
    assert KeywordMatcher(many).evidence("total") == ({}, {})


def test_evidence__other_scripts__match() -> None:
    found = matcher(domain("d-cards", "信用卡", "карта"), LOANS)
    assert set(found.evidence("我的信用卡丢了")[0]) == {"d-cards"}
    assert set(found.evidence("моя КАРТА")[0]) == {"d-cards"}
    assert found.evidence("картавый")[0] == {}


def test_matcher__no_words__finds_nothing() -> None:
    assert matcher().evidence("card") == ({}, {})
    assert KeywordMatcher([Vocabulary("d")]).matches("card") == ()


def test_matcher__thousand_domains__same_answer_and_same_work() -> None:
    others = [domain(f"z{n}", f"kw{'abcdefghij'[n % 10]}x{n}") for n in range(1_000)]
    few, many = matcher(CARDS, LOANS), matcher(CARDS, LOANS, *others)
    text = "my card was refused"
    assert set(many.evidence(text)[0]) == set(few.evidence(text)[0])
    assert len(many.matches(text)) == len(few.matches(text)) == 1
