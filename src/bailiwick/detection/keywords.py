"""Keyword matching: every keyword, tag and learned word of every domain is looked for in one pass over the text.

The pass is an Aho-Corasick automaton over whole words (Aho and Corasick, "Efficient string matching", CACM 18(6),
1975): its time depends on the length of the text and on what is found, not on how many domains there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import ahocorasick

from bailiwick.detection.model import WordMatch
from bailiwick.detection.words import matchable, phrases
from bailiwick.domains.model import Domain

UNIQUE_KEYWORD = 3.0
"""Nats that a keyword adds which only one domain names."""

MOST_DOMAINS_PER_WORD = 50
"""A word that more domains claim tells nothing, and would make the pass slower with each of them."""

_Posting = tuple[str, float, float]  # domain, nats because it was declared, nats because it was learned


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of one domain.

    Args:
        domain: its id.
        declared: what the domain names, as written, with the factor that it counts by (1.0 unless it says otherwise).
        learned: telling words with their log odds in nats.
    """

    domain: str
    declared: Mapping[str, float] = field(default_factory=dict)
    learned: Mapping[str, float] = field(default_factory=dict)


def vocabulary_of(domain: Domain, learned: Mapping[str, float] | None = None) -> Vocabulary:
    """The words of a domain: keywords, tags, name and id, with its attention weights."""
    factors = {" ".join(phrases(word)[:1]): factor for word, factor in domain.attention_weights.items()}
    declared: dict[str, float] = {}
    for word in (*domain.keywords, *domain.tags, domain.name, domain.id):
        written = " ".join(phrases(word)[:1])
        if written:
            declared.setdefault(word, factors.get(written, 1.0))
    return Vocabulary(domain.id, declared, learned or {})


class KeywordMatcher:
    """Finds what speaks for which domain. Immutable; safe to call from several threads.

    A declared keyword adds ``UNIQUE_KEYWORD`` nats times how telling it is (1 where only one domain of many names it,
    towards 0 where all do: its inverse domain frequency over the highest possible one) times its factor. A learned word
    adds its log odds. A word counts once per text, and where it is both declared and learned, the heavier counts.

    Args:
        vocabularies: one per domain.
    """

    def __init__(self, vocabularies: Iterable[Vocabulary]) -> None:
        self._automaton = ahocorasick.Automaton()
        self._postings: list[tuple[str, tuple[_Posting, ...]]] = []
        for word, postings in sorted(_postings(list(vocabularies)).items()):
            self._automaton.add_word(f" {word} ", len(self._postings))
            self._postings.append((word, postings))
        self.size = len(self._postings)
        if self._postings:
            self._automaton.make_automaton()

    def evidence(self, text: str) -> tuple[dict[str, float], dict[str, float]]:
        """Nats of evidence by domain: from all words, and from declared ones only. Domains without any are left out."""
        every: dict[str, float] = {}
        declared_only: dict[str, float] = {}
        for number in self._found(text):
            for domain, declared, learned in self._postings[number][1]:
                every[domain] = every.get(domain, 0.0) + max(declared, learned)
                if declared:
                    declared_only[domain] = declared_only.get(domain, 0.0) + declared
        return every, declared_only

    def matches(self, text: str) -> tuple[WordMatch, ...]:
        """What was found and what it adds, heaviest first."""
        found = [
            WordMatch(domain, word, max(declared, learned), "keyword" if declared >= learned else "examples")
            for word, postings in (self._postings[number] for number in self._found(text))
            for domain, declared, learned in postings
        ]
        return tuple(sorted(found, key=lambda match: (-match.weight, match.domain, match.word)))

    def _found(self, text: str) -> Iterable[int]:
        if not self._postings:
            return ()
        return dict.fromkeys(number for _, number in self._automaton.iter(matchable(text)))


def _postings(vocabularies: list[Vocabulary]) -> dict[str, tuple[_Posting, ...]]:
    factors: dict[str, dict[str, float]] = {}
    for vocabulary in vocabularies:
        for word, factor in vocabulary.declared.items():
            for phrase in phrases(word):
                of_phrase = factors.setdefault(phrase, {})
                of_phrase[vocabulary.domain] = max(factor, of_phrase.get(vocabulary.domain, 0.0))
    log_odds: dict[str, dict[str, float]] = {}
    for vocabulary in vocabularies:
        for word, weight in vocabulary.learned.items():
            log_odds.setdefault(word, {})[vocabulary.domain] = weight
    found: dict[str, tuple[_Posting, ...]] = {}
    for word in factors.keys() | log_odds.keys():
        declared, learned = factors.get(word, {}), log_odds.get(word, {})
        claimed_by = sorted(declared.keys() | learned.keys())
        if len(claimed_by) > MOST_DOMAINS_PER_WORD:
            continue
        unit = UNIQUE_KEYWORD * _telling(max(1, len(declared)), len(vocabularies))
        found[word] = tuple((each, unit * declared.get(each, 0.0), learned.get(each, 0.0)) for each in claimed_by)
    return found


def _telling(domains_with_word: int, domains: int) -> float:
    """Inverse domain frequency, 1 for a word of one domain, towards 0 for a word of all.

    >>> _telling(1, 10), round(_telling(5, 10), 2), round(_telling(10, 10), 2)
    (1.0, 0.33, 0.04)
    """
    return math.log((1 + domains) / domains_with_word) / math.log(1 + domains)
