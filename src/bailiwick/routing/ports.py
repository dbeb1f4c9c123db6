"""What routing needs from detection."""

from __future__ import annotations

from typing import Protocol

from bailiwick.detection.model import Detection


class DomainDetector(Protocol):
    """Says which domain a text belongs to. Immutable, safe to share between threads, quick."""

    def detect(self, text: str) -> Detection:
        """The detection of one text; ``domain`` is None where the detector abstains. Never raises."""
        ...
