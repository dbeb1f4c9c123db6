"""Takes decisions in without ever waiting, and writes them in batches from a thread of its own.

What does not fit into the queue is dropped and counted: a request never waits for its log.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence

from bailiwick.errors import BailiwickError
from bailiwick.metrics.prometheus import Family, Sample
from bailiwick.routing.logged import LoggedDecision

_log = logging.getLogger(__name__)
_BATCH = 5_000


class DecisionLog:
    """A bounded queue and the thread that empties it. The thread starts with the first decision.

    Args:
        write: stores a batch; raises `BailiwickError` when it cannot, and then gets the same again.
        capacity: decisions that wait at most.
        interval_s: pause between two batches.
    """

    def __init__(
        self, write: Callable[[Sequence[LoggedDecision]], None], *, capacity: int = 100_000, interval_s: float = 1.0
    ) -> None:
        self._write = write
        self._capacity = capacity
        self._interval_s = interval_s
        self._queue: deque[LoggedDecision] = deque()
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._explored = self._dropped = self._failures = 0
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def offer(self, decided: LoggedDecision) -> bool:
        """Take a decision; False where it was dropped. Returns at once; for one thread."""
        decision = decided.decision
        self._counts[(decision.domain, decision.method.value, decision.mode.value)] += 1
        if decision.propensity < 0.5:
            self._explored += 1
        if self._stop.is_set() or len(self._queue) >= self._capacity:
            self._dropped += 1
            return False
        self._queue.append(decided)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="routing-log", daemon=True)
            self._thread.start()
        return True

    def flush(self) -> bool:
        """Write what was taken until now; False where the store did not take it (it is tried again)."""
        with self._writing:
            while self._queue:
                batch = [self._queue[place] for place in range(min(_BATCH, len(self._queue)))]
                try:
                    self._write(batch)
                except (BailiwickError, OSError) as error:
                    self._failures += 1
                    _log.warning("decisions are kept back, the store does not take them: %s", error)
                    return False
                for _ in batch:
                    self._queue.popleft()
        return True

    def close(self) -> None:
        """Take nothing more, write what there is, and end the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if not self.flush():
            _log.error("lost at the end: %d decisions", len(self._queue))

    @property
    def dropped(self) -> int:
        """Decisions that found the queue full."""
        return self._dropped

    def families(self) -> list[Family]:
        """Counters of this process, for Prometheus."""
        samples = [
            Sample(number, {"domain": domain, "method": method, "mode": mode})
            for (domain, method, mode), number in sorted(dict(self._counts).items())
        ]
        counters = (
            ("explored_total", "Decisions whose choice was less likely than not.", self._explored),
            ("decisions_dropped_total", "Decisions that were not logged: the queue was full.", self._dropped),
            ("log_failures_total", "Batches of decisions the database did not take.", self._failures),
        )
        return [
            Family("bailiwick_routing_decisions_total", "counter", "Decisions by domain and method.", samples),
            *(Family(f"bailiwick_routing_{name}", "counter", text, [Sample(n, {})]) for name, text, n in counters),
            Family("bailiwick_routing_log_queued", "gauge", "Decisions waiting.", [Sample(len(self._queue), {})]),
        ]

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.flush()
            except Exception:  # noqa: BLE001 - logged with its trace; without its thread nothing would ever be written
                self._failures += 1
                _log.exception("decisions are kept back")
