"""What the cache counts of itself, as Prometheus families."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bailiwick.caching.lru import BoundedStore
from bailiwick.metrics.prometheus import Family, Sample

_WORDS = {
    "requests": "Requests for a domain that keeps answers, by what the cache did.",
    "joined": "Hits that waited for an identical request that was being answered.",
    "shared_hits": "Hits that came from the shared cache.",
    "semantic_hits": "Hits that were given to a similar question.",
    "saved_tokens": "Tokens of answers that no model had to give again.",
}


class CacheCounters:
    """Counts of one process, by domain."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in _WORDS}

    def add(self, name: str, domain: str, outcome: str = "", number: int = 1) -> None:
        """Count something of a domain."""
        self._counts[name][domain, outcome] += number

    def of(self, name: str, domain: str, outcome: str = "") -> int:
        """What was counted."""
        return self._counts[name][domain, outcome]

    def families(self, stores: Mapping[str, BoundedStore], failures: int, dropped: int) -> list[Family]:
        """The counts and the sizes of the stores; nothing while no domain keeps answers."""
        if not stores:
            return []
        found = [
            Family(
                f"bailiwick_cache_{name}_total",
                "counter",
                words,
                [
                    Sample(number, {"domain": domain, **({"outcome": outcome} if outcome else {})})
                    for (domain, outcome), number in sorted(self._counts[name].items())
                ],
            )
            for name, words in _WORDS.items()
        ]
        sizes = {
            "bytes": ("gauge", "Bytes that kept answers take, about.", {d: s.bytes for d, s in stores.items()}),
            "entries": ("gauge", "Kept answers.", {d: len(s) for d, s in stores.items()}),
            "evictions_total": (
                "counter",
                "Answers that made room for others before their time was over.",
                {d: s.evictions for d, s in stores.items()},
            ),
        }
        for name, (kind, words, values) in sizes.items():
            samples = [Sample(value, {"domain": domain}) for domain, value in sorted(values.items())]
            found.append(Family(f"bailiwick_cache_{name}", "gauge" if kind == "gauge" else "counter", words, samples))
        found += [
            Family(
                "bailiwick_cache_shared_failures_total",
                "counter",
                "Calls of Redis that failed.",
                [Sample(failures, {})],
            ),
            Family(
                "bailiwick_cache_shared_dropped_total", "counter", "Answers not copied to Redis.", [Sample(dropped, {})]
            ),
        ]
        return found
