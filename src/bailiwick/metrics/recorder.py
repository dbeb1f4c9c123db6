"""Takes observations in without ever waiting, and hands them on in batches from a thread of its own.

Under overload something must give: here it is observations, never requests, and what was given up is counted.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from bailiwick.clock import Clock
from bailiwick.errors import BailiwickError
from bailiwick.metrics.events import ExposureEvent, is_exposure
from bailiwick.metrics.model import RecorderCounts
from bailiwick.metrics.observations import (
    SHADOW_ARM,
    Exposed,
    Observation,
    ServedRequest,
    is_exposed,
    is_placed,
    is_request_id,
    measured,
)
from bailiwick.metrics.window import Gathered, Row, Window

_log = logging.getLogger(__name__)

_MAX_ROWS = 20_000
_AHEAD = timedelta(hours=1)

Item = Observation | ServedRequest | Exposed


class Recorder:
    """A bounded queue and the thread that empties it. The thread starts with the first item.

    Args:
        write: stores rows (to be overwritten by their part), requests and exposures (which keep their part); raises
            `BailiwickError` when it cannot, and then gets the same again, with what has come since.
        clock: says which minutes are over.
        capacity: items that wait at most; also requests and exposures that are kept for a store that is away.
        interval_s: pause between two batches.
        oldest: observations from before are refused or, where the store was away for so long, dropped.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Row], Sequence[ServedRequest], Sequence[ExposureEvent]], None],
        clock: Clock,
        *,
        capacity: int = 100_000,
        interval_s: float = 1.0,
        oldest: timedelta = timedelta(days=2),
    ) -> None:
        self._oldest = oldest
        self._write = write
        self._clock = clock
        self._capacity = capacity
        self._interval_s = interval_s
        self._queue: deque[Item] = deque()
        self._window = Window()
        self._requests: list[ServedRequest] = []
        self._exposures: list[ExposureEvent] = []
        self._parts = 0
        self._accepted = self._dropped = self._refused = self._failures = 0
        self._totals: dict[tuple[str, str, str], tuple[int, float]] = {}
        self._count_lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def offer(self, item: Item) -> bool:
        """Take an item, or count it as dropped. Returns at once."""
        if self._closed or len(self._queue) >= self._capacity:
            with self._count_lock:
                self._dropped += 1
            return False
        self._queue.append(item)
        if self._thread is None:
            self._start()
        return True

    def flush(self) -> bool:
        """Write everything that was taken until now. False when the store did not take it; nothing is lost by that."""
        with self._flush_lock:
            self._take_in([self._queue.popleft() for _ in range(len(self._queue))])
            with self._count_lock:
                self._dropped += self._window.forget(self._clock.now() - self._oldest)
            rows, requests, exposures = self._window.dirty(), self._requests, self._exposures
            if not rows and not requests and not exposures:
                return True
            try:
                self._write(rows, requests, exposures)
            except (BailiwickError, OSError) as error:
                self._failures += 1
                self._give_up_oldest()
                _log.warning("observations are kept back, the store does not take them: %s", error)
                return False
            self._requests, self._exposures = [], []
            self._window.written(self._clock.now())
            return True

    def is_timely(self, at: datetime) -> bool:
        """Whether observations of an instant are taken."""
        oldest, latest = self._timely()
        return oldest <= at <= latest

    def _timely(self) -> tuple[datetime, datetime]:
        now = self._clock.now()
        return now - self._oldest, now + _AHEAD

    def counts(self) -> RecorderCounts:
        """What became of the items so far."""
        queued = len(self._queue)
        return RecorderCounts(self._accepted + queued, self._dropped, self._refused, queued, self._failures)

    def totals(self) -> dict[tuple[str, str, str], tuple[int, float]]:
        """Count and sum of the values by (domain, version, metric), since the start of the process."""
        with self._flush_lock:
            return dict(self._totals)

    def close(self) -> None:
        """Take nothing more, write what there is, and end the thread."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if not self.flush():
            lost = len(self._requests), len(self._window.dirty()), len(self._exposures)
            _log.error("lost at the end: %d requests and %d rows of observations, %d exposures", *lost)

    def _take_in(self, items: Sequence[Item]) -> None:
        gathered = Gathered()
        oldest, latest = self._timely()
        for item in items:
            self._accepted += 1
            if isinstance(item, Exposed):
                if is_exposed(item):
                    self._take_exposures(item, measured(item.values))
                else:
                    self._refused += 1
                continue
            offered = item.values if isinstance(item, ServedRequest) else {item.metric: item.value}
            values = measured(offered)
            placed = is_placed(item)
            if placed and oldest <= item.at <= latest:
                gathered.add(item, values)
                self._refused += len(offered) - len(values)
            else:
                self._refused += len(offered)
            if isinstance(item, ServedRequest):
                self._take_request(item, values, placed=placed)
        for key, numbers in gathered.series():
            self._window.add(key, numbers)
            if key.arm != SHADOW_ARM:
                count, total = self._totals.get((key.domain, key.version, key.metric), (0, 0.0))
                self._totals[key.domain, key.version, key.metric] = (count + len(numbers), total + math.fsum(numbers))

    def _take_request(self, request: ServedRequest, values: Mapping[str, float], *, placed: bool) -> None:
        if placed and isinstance(request.request_id, str) and is_request_id(request.request_id):
            self._requests.append(request)
            if request.exposures:
                self._take_exposures(request, values)
        else:
            self._refused += 1

    def _take_exposures(self, item: ServedRequest | Exposed, outcomes: Mapping[str, float]) -> None:
        """What is beyond the capacity is dropped here, before it has a part: a batch that is repeated stays whole."""
        fitting = [each for each in item.exposures if is_exposure(each)]
        self._refused += len(item.exposures) - len(fitting)
        room = max(0, self._capacity - len(self._exposures))
        if len(fitting) > room:
            with self._count_lock:
                self._dropped += len(fitting) - room
        for each in fitting[:room]:
            self._parts += 1
            self._exposures.append(
                ExposureEvent(
                    part=self._parts,
                    at=item.at,
                    experiment=each.experiment,
                    epoch=each.epoch,
                    arm=each.arm,
                    unit=each.unit,
                    request_id=item.request_id,
                    domain=item.domain,
                    version=item.version,
                    propensity=float(each.propensity),
                    outcomes=outcomes,
                )
            )

    def _give_up_oldest(self) -> None:
        """Keep memory bounded while the store is away."""
        surplus = max(0, len(self._requests) - self._capacity)
        del self._requests[:surplus]
        with self._count_lock:
            self._dropped += surplus + self._window.trim(_MAX_ROWS)

    def _start(self) -> None:
        with self._count_lock:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name="metrics-recorder", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while not self._wake.wait(self._interval_s):
            try:
                self.flush()
            except Exception:  # noqa: BLE001 - logged with its trace; without its thread nothing would ever be written
                self._failures += 1
                _log.exception("observations are kept back")
