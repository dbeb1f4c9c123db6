"""A small bank: domains with keywords, and examples made of a few words each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pytest

from bailiwick.detection.learn import Learned, learn
from bailiwick.domains.model import Domain
from bailiwick.models.model import LabelledText

DOMAINS = {
    "cards": Domain("cards", "Cards", "cards-agent", keywords=("card", "pin"), tags=("plastic",)),
    "loans": Domain("loans", "Loans", "loans-agent", keywords=("loan", "mortgage")),
    "treasury": Domain("treasury", "Treasury", "treasury-agent", keywords=("liquidity ratio", "overnight repo")),
}
_WORDS = {
    "cards": {
        "blocked": (("my", "the", "our"), ("card", "pin"), ("was blocked", "got refused", "is locked", "declined")),
        "order": (("order", "send me", "want"), ("a new", "another"), ("card", "plastic one", "contactless card")),
    },
    "loans": {
        "rate": (
            ("what", "which", "tell me"),
            ("interest", "rate"),
            ("for a loan", "on a mortgage", "to borrow"),
        ),
        "repay": (("repay", "pay back", "settle"), ("my", "the whole"), ("loan", "mortgage", "debt", "instalment")),
    },
}
EXAMPLES = {
    domain: [LabelledText(" ".join(parts), label) for label, blocks in labels.items() for parts in product(*blocks)]
    for domain, labels in _WORDS.items()
}


@pytest.fixture
def domains() -> Mapping[str, Domain]:
    return DOMAINS


@pytest.fixture
def examples() -> Mapping[str, list[LabelledText]]:
    return EXAMPLES


@pytest.fixture(scope="session")
def learned() -> Learned:
    """Learned once from the examples of cards and loans; treasury has none."""
    return learn(list(DOMAINS.values()), EXAMPLES, seed=7)
