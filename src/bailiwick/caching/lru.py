"""A least-recently-used store bounded in bytes and entries. No I/O, no lock: one event loop uses it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from bailiwick.caching.model import Entry

_SWEPT = 2
"""Old entries that are looked at, with each new one, for having expired."""


class BoundedStore:
    """Entries by key.

    Args:
        monotonic: seconds that only grow.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._entries: OrderedDict[bytes, tuple[Entry, float]] = OrderedDict()
        self.bytes = 0
        self.evictions = 0
        self.on_leave: Callable[[bytes], None] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Entry | None:
        """The entry, which becomes the most recently used one; None where it is absent or has expired."""
        found = self._entries.get(key)
        if found is None:
            return None
        if found[1] <= self._monotonic():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: bytes, entry: Entry, ttl_s: float, *, max_entries: int, max_bytes: int) -> bool:
        """Keep an entry for so long; the least recently used ones make room. False: it is larger than the whole store.

        Raises:
            ValueError: a time to live that is not positive.
        """
        if not ttl_s > 0:
            raise ValueError(f"a time to live must be positive, got {ttl_s!r}")
        if key in self._entries:
            self._drop(key)
        self._sweep()
        if entry.size > max_bytes:
            return False
        while self._entries and (len(self._entries) >= max_entries or self.bytes + entry.size > max_bytes):
            self._drop(next(iter(self._entries)))
            self.evictions += 1
        self._entries[key] = (entry, self._monotonic() + ttl_s)
        self.bytes += entry.size
        return True

    def clear(self) -> None:
        """Forget everything."""
        for key in list(self._entries):
            self._drop(key)

    def _sweep(self) -> None:
        now = self._monotonic()
        for _ in range(min(_SWEPT, len(self._entries))):
            oldest = next(iter(self._entries))
            if self._entries[oldest][1] > now:
                return
            self._drop(oldest)

    def _drop(self, key: bytes) -> None:
        entry, _ = self._entries.pop(key)
        self.bytes -= entry.size
        if self.on_leave is not None:
            self.on_leave(key)
