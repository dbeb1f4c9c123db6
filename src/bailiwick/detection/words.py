"""From a text or an identifier to the words that are matched: lower case, any script, identifiers split."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

MAX_CHARACTERS = 20_000
"""Detection reads a text up to here; what it is about shows long before."""

_CAMEL = re.compile(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_IDENTIFIER = re.compile(r"[A-Za-z\d]+")
_ASCII_WORD = re.compile(r"[a-z]+|[0-9]+")

# Scripts that write no spaces between words: every character is a word, and a keyword is a phrase of them.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"


def words(text: str) -> list[str]:
    """The words of a text, in order.

    An identifier counts as its parts: ``fct_card_txn``, ``fctCardTxn`` and ``FCT-CARD-TXN`` are three words each.

    >>> words("Discard fct_cardTxn2, HTTPServer!")
    ['discard', 'fct', 'card', 'txn', '2', 'http', 'server']
    >>> words("Überweisung на счёт 信用卡")
    ['überweisung', 'на', 'счёт', '信', '用', '卡']
    """
    return _split(_CAMEL.sub(" ", text[:MAX_CHARACTERS]))


def matchable(text: str) -> str:
    r"""The words with a space before, between and after them, so that ``" card "`` is found only as a whole word.

    What an identifier in mixed case would be without splitting is appended, so that the keyword ``paypal`` still meets
    ``PayPal``; a line break keeps phrases from reaching across.

    >>> matchable("PayPal fee")
    ' pay pal fee \n paypal '
    """
    text = text[:MAX_CHARACTERS]
    parts = [" ".join(words(text))]
    if _CAMEL.search(text):
        mixed = (found for found in dict.fromkeys(_IDENTIFIER.findall(text)) if _CAMEL.search(found))
        parts.extend(" ".join(_split(found)) for found in mixed)
    return " " + " \n ".join(parts) + " "


def phrases(keyword: str) -> tuple[str, ...]:
    """The ways in which a keyword may be written, each as words joined by spaces; empty for one without words.

    The last word's plural and singular count too, in English only.

    >>> phrases("PayPal")
    ('pay pal', 'pay pals', 'paypal', 'paypals')
    >>> phrases("credit cards"), phrases("news"), phrases("policies")
    (('credit cards', 'credit card'), ('news',), ('policies', 'policy'))
    """
    written = (" ".join(words(keyword)), " ".join(_split(keyword[:MAX_CHARACTERS])))
    found: dict[str, None] = {}
    for one in written:
        if one:
            found.update(dict.fromkeys((one, *_other_number(one))))
    return tuple(found)


def _split(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _any_word().findall(unicodedata.normalize("NFKC", text).casefold())


@cache
def _any_word() -> re.Pattern[str]:
    """One character of an unspaced script, or a run of letters with their marks, or a run of digits."""
    marks = "".join(re.escape(chr(c)) for c in range(0x300, sys.maxunicode) if unicodedata.category(chr(c))[0] == "M")
    return re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W\d_][{marks}]*)+|\d+")


def _other_number(phrase: str) -> tuple[str, ...]:
    last = phrase.rpartition(" ")[2]
    if not (last.isascii() and last.isalpha()) or len(last) < 3:
        return ()
    if last.endswith("ies") and len(last) > 5:
        return (phrase[:-3] + "y",)
    if last.endswith("s") and not last.endswith(("ss", "us", "is")):
        return (phrase[:-1],) if len(last) > 4 else ()  # "news" is not many new
    if last.endswith(("s", "x", "ch", "sh")):
        return (phrase + "es",)
    if last.endswith("y") and last[-2] not in "aeiou":
        return (phrase[:-1] + "ies",)
    return (phrase + "s",)
