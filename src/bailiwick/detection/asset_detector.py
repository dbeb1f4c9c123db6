"""Detection of assets: declared keywords first, the classifier only where an asset says enough.

A classifier learns from what people ask. The name of a column is no question: learned from a bank's queries, it is sure
that every ``delivery_date`` is about the delivery of cards. So what an asset's words name by keyword stands, and the
classifier is asked only about assets of several words that no keyword decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.detection.detector import Detector
from bailiwick.detection.model import Detection, Explanation

FEWEST_WORDS = 5
"""An asset with fewer different words is left to keywords, and to the tags that lineage carries to it."""


class AssetDetector:
    """Says which domain assets belong to. Immutable; safe to call from several threads.

    Args:
        detector: for texts, with the threshold that assets need.
    """

    def __init__(self, detector: Detector) -> None:
        self._full = detector
        self._named = Detector(detector.domains, threshold=detector.keyword_threshold)

    def detect_all(self, texts: Sequence[str]) -> list[Detection]:
        """The detections of assets, from their words separated by spaces."""
        found = self._named.detect_all(texts)
        open_ones = [number for number, text in enumerate(texts) if found[number].domain is None and _speaks(text)]
        heard = self._full.detect_all([texts[number] for number in open_ones])
        for number, detection in zip(open_ones, heard, strict=True):
            found[number] = detection
        return found

    def explain(self, text: str) -> Explanation:
        """Why an asset is detected as it is."""
        named = self._named.explain(text)
        return self._full.explain(text) if named.detection.domain is None and _speaks(text) else named


def _speaks(text: str) -> bool:
    return len(set(text.split())) >= FEWEST_WORDS
