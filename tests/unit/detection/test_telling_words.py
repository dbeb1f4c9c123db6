from __future__ import annotations

from bailiwick.detection.telling_words import telling_words


def test_telling_words__word_of_one_domain__is_heavier_than_one_of_both() -> None:
    texts = [("the card", "cards")] * 5 + [("the loan", "loans")] * 5 + [("the the fee", "loans")] * 2
    found = telling_words(texts)
    assert found["cards"]["card"] > 1
    assert found["cards"].get("the", 0.0) < 0.5
    assert "card" not in found["loans"]


def test_telling_words__limit__keeps_the_most_telling() -> None:
    texts = [(f"card word{n} word{n}", "cards") for n in range(300) for _ in range(2)] + [("loan", "loans")] * 600
    found = telling_words(texts, most=10)
    assert len(found["cards"]) == 10
    assert "card" in found["cards"]


def test_telling_words__order_of_examples__does_not_matter() -> None:
    texts = [("my card", "cards"), ("card fee", "cards"), ("a loan", "loans"), ("loan fee", "loans")]
    assert telling_words(texts) == telling_words(texts[::-1])


def test_telling_words__nothing__nothing() -> None:
    assert telling_words([]) == {}
