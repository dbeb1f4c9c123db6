from __future__ import annotations

import time

import pytest

from bailiwick.detection.words import MAX_CHARACTERS, matchable, phrases, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fct_card_txn", ["fct", "card", "txn"]),
        ("fctCardTxn", ["fct", "card", "txn"]),
        ("CARD-TXN.csv", ["card", "txn", "csv"]),
        ("HTTPServerError", ["http", "server", "error"]),
        ("iban2", ["iban", "2"]),
        ("Straße Überweisung", ["strasse", "überweisung"]),
        ("ＦＵＬＬ width", ["full", "width"]),
        ("प्रतिभूति खाता", ["प्रतिभूति", "खाता"]),
        ("信用卡 lost", ["信", "用", "卡", "lost"]),
        ("", []),
        ("\x00\x01\n", []),
    ],
)
def test_words__any_script_and_identifiers__split(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_matchable__mixed_case__joined_form_is_there_too() -> None:
    assert " paypal " in matchable("the PayPal fee")
    assert " pay pal fee " in matchable("the PayPal fee")


def test_matchable__phrase__does_not_reach_across_forms() -> None:
    assert " fee paypal " not in matchable("PayPal fee")


def test_phrases__plural_and_singular__both() -> None:
    assert set(phrases("credit card")) == {"credit card", "credit cards"}
    assert "policy" in phrases("policies")
    assert phrases("status") == ("status", "statuses")


@pytest.mark.parametrize("blob", ["a" * 5_000_000, "aB" * 3_000_000, "\ufdfa" * 100_000, "é" * 1_000_000])
def test_matchable__huge_text__is_read_up_to_a_limit(blob: str) -> None:
    began = time.process_time()
    found = matchable(blob)
    assert len(found) < 20 * MAX_CHARACTERS + 100
    assert time.process_time() - began < 20  # a quadratic pattern would take minutes
