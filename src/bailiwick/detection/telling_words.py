"""Which words of examples tell one domain from the others: weighted log odds with a Dirichlet prior.

Source: Monroe, Colaresi and Quinn, "Fightin' Words: Lexical Feature Selection and Evaluation for Identifying the
Content of Political Conflict", Political Analysis 16(4), 2008, equations 16 to 22; over texts that hold a word, not
over occurrences.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from bailiwick.detection.words import words

MOST_WORDS = 200
_PRIOR_TEXTS = 20  # as many as these, spread like all texts, are added to each domain; fewer where there are few
_PRIOR_SHARE = 0.004
_FEWEST_TEXTS = 2
_DECIMALS = 4


def telling_words(examples: Iterable[tuple[str, str]], most: int = MOST_WORDS) -> dict[str, dict[str, float]]:
    """The words that speak for each domain, with their log odds in nats.

    Args:
        examples: ``(text, domain)`` pairs.
        most: words kept per domain: those with the highest z-score of their log odds.

    Returns:
        ``{domain: {word: log odds}}``, every weight positive; words found in one text only are left out.

    >>> texts = [("lost card", "cards"), ("card fee", "cards"), ("a loan", "loans"), ("my loan", "loans")]
    >>> found = telling_words(texts)
    >>> sorted(found["cards"]), sorted(found["loans"])
    (['card'], ['loan'])
    """
    texts: Counter[str] = Counter()
    holding: dict[str, Counter[str]] = {}
    for text, domain in examples:
        texts[domain] += 1
        for word in set(words(text)):
            holding.setdefault(word, Counter())[domain] += 1
    total = sum(texts.values())
    strength = min(_PRIOR_TEXTS, _PRIOR_SHARE * total)
    ranked: dict[str, list[tuple[float, str, float]]] = {domain: [] for domain in texts}
    for word, counts in holding.items():
        everywhere = counts.total()
        if everywhere < _FEWEST_TEXTS:
            continue
        prior = strength * everywhere / total + 0.01
        for domain, here in counts.items():
            elsewhere = everywhere - here
            log_odds = math.log((here + prior) / (texts[domain] + 1)) - math.log(
                (elsewhere + prior) / (total - texts[domain] + 1)
            )
            if log_odds > 0:
                z_score = log_odds / math.sqrt(1 / (here + prior) + 1 / (elsewhere + prior))
                ranked[domain].append((-z_score, word, round(log_odds, _DECIMALS)))
    return {domain: {word: weight for _, word, weight in sorted(found)[:most]} for domain, found in ranked.items()}
