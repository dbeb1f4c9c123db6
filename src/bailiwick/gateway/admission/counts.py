"""What keys asked and were refused, as Prometheus families. Labels are ids of keys, never what a client sent."""

from __future__ import annotations

from collections import Counter

from bailiwick.gateway.admission.model import Used
from bailiwick.metrics.prometheus import Family, Sample

MOST_KEYS = 1_000
OTHERS = "others"


class AccessCounts:
    """Counts of one process."""

    def __init__(self) -> None:
        self._named: set[str] = set()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._refusals: Counter[tuple[str, str]] = Counter()
        self._keyless = 0

    def answered(self, key: str, status: int, used: Used) -> None:
        """Count a request that was let in."""
        label = self._label(key)
        self._requests[(label, status)] += 1
        self._tokens[(label, "prompt")] += used.prompt_tokens
        self._tokens[(label, "completion")] += used.completion_tokens

    def keyless(self) -> None:
        """Count a request that came, and was let in, without a key."""
        self._keyless += 1

    def refused(self, key: str, reason: str) -> None:
        """Count a request that was not let in; the key is empty where none is known."""
        self._refusals[(self._label(key) if key else "", reason)] += 1

    def families(self) -> list[Family]:
        """For Prometheus."""
        requests = [
            Sample(number, {"key": key, "status": str(status)})
            for (key, status), number in sorted(self._requests.items())
        ]
        tokens = [Sample(number, {"key": key, "type": kind}) for (key, kind), number in sorted(self._tokens.items())]
        refusals = [
            Sample(number, {"key": key, "reason": reason}) for (key, reason), number in sorted(self._refusals.items())
        ]
        return [
            Family("bailiwick_gateway_key_requests_total", "counter", "Requests that were let in, by key.", requests),
            Family("bailiwick_gateway_key_tokens_total", "counter", "Tokens that a key has used.", tokens),
            Family("bailiwick_gateway_key_refusals_total", "counter", "Requests that were not let in.", refusals),
            Family(
                "bailiwick_gateway_keyless_requests_total",
                "counter",
                "Requests that were let in without a key.",
                [Sample(self._keyless, {})],
            ),
        ]

    def _label(self, key: str) -> str:
        """The key's id; from the thousandth key on a common label, so that the number of series stays bounded."""
        if key in self._named:
            return key
        if len(self._named) >= MOST_KEYS:
            return OTHERS
        self._named.add(key)
        return key
