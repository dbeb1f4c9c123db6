"""Hot reload: one atomic reference to the newest catalogue, kept fresh by polling one number."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping

from bailiwick.domains.catalogue import Catalogue, build_catalogue
from bailiwick.domains.model import CatalogueVersion
from bailiwick.domains.sources import SourceChain
from bailiwick.errors import BailiwickError

EMPTY = Catalogue(CatalogueVersion("none", 0))

_log = logging.getLogger(__name__)


class CatalogueWatch:
    """Holds the newest catalogue of this process.

    Reading `current` takes no lock and does no I/O: a request uses one snapshot from beginning to end, and the swap is
    one assignment. A source that fails, or holds what cannot be read, leaves the last good snapshot in place.

    Args:
        sources: where catalogues come from.
        interval_s: seconds between two looks; a change is seen at most that long, and one read, after its commit.
        environment: for ``enabled_env_var``; default: this process's.
    """

    def __init__(self, sources: SourceChain, interval_s: float, environment: Mapping[str, str] | None = None) -> None:
        self._sources = sources
        self._interval_s = interval_s
        self._environment = os.environ if environment is None else environment
        self._current = EMPTY
        self._callbacks: list[Callable[[Catalogue], None]] = []
        self._stepping = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def current(self) -> Catalogue:
        """The newest catalogue that was seen; empty before the first `step`."""
        return self._current

    def subscribe(self, callback: Callable[[Catalogue], None]) -> None:
        """Call back with each new catalogue, in the thread that saw it, after `current` has become it."""
        self._callbacks.append(callback)

    def step(self) -> bool:
        """Look once; whether a new catalogue was swapped in.

        Raises:
            Unavailable: no source answers, and there is no earlier catalogue to go on with.
        """
        with self._stepping:
            known = None if self._current is EMPTY else self._current.version
            state = self._sources.load(known)
            if state is None:
                return False
            catalogue = build_catalogue(state, self._environment)
            self._current = catalogue
            for callback in self._callbacks:
                self._notify(callback, catalogue)
            return True

    def start(self) -> None:
        """Look now, then again and again in a daemon thread, until `close`.

        Raises:
            Unavailable: as `step`, for the first look.
        """
        if self._thread is not None:
            return
        self.step()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="domain-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and wait for it."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self.step()
            except BailiwickError as error:
                _log.warning("domains: %s", error)

    @staticmethod
    def _notify(callback: Callable[[Catalogue], None], catalogue: Catalogue) -> None:
        try:
            callback(catalogue)
        except Exception:  # noqa: BLE001 - one listener's fault must not keep the others from the news
            _log.exception("domains: a listener failed on revision %s", catalogue.version)
