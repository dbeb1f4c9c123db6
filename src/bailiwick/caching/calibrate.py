"""The threshold of a semantic cache, from labelled examples: chosen on one half of them, proven on the other. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from bailiwick.caching.lexical import gate_of
from bailiwick.caching.similarity import Similarity
from bailiwick.models.model import LabelledText

LEVEL = 0.95
FEWEST = 40
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_CAUTION = 0.8
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the held-out half showed at a threshold.

    Args:
        threshold: the lowest that keeps to the budget with something to spare on the half that it was chosen on; None:
            there is none.
        max_wrong: the budget, as a share of the hits.
        questions: of the held-out half that were asked, each once.
        hits: of them that another question's answer would have been given to.
        wrong: of the hits where that question has another label.
        at_most: upper bound of the share of hits that are wrong, at 95 % (Clopper and Pearson, one-sided).
    """

    threshold: float | None
    max_wrong: float
    questions: int = 0
    hits: int = 0
    wrong: int = 0
    at_most: float = 1.0

    @property
    def holds(self) -> bool:
        """Whether the threshold keeps to the budget, as far as the held-out half can tell."""
        return self.threshold is not None and self.at_most <= self.max_wrong


def calibrate(
    examples: Sequence[LabelledText], similarity: Similarity, *, max_wrong: float, seed: int = 0
) -> Calibration:
    """Choose a threshold and judge it on examples that had no part in the choice.

    In each half a part of the examples stands for questions whose answers are kept, the rest for questions that come; a
    hit is wrong when the labels differ. The same text asked again is no hit here: the exact cache has it.

    Args:
        examples: that the similarity was not learned from.
        similarity: of two texts.
        max_wrong: the share of hits that may be wrong, above 0.
        seed: of the division into halves.
    """
    distinct = list({_plain(each.text): each for each in examples}.values())
    if len(distinct) < FEWEST:
        return Calibration(None, max_wrong, len(distinct))
    Random(seed).shuffle(distinct)  # noqa: S311 - a division into halves, no secret
    middle = len(distinct) // 2
    alike, wrong = asked_against_kept(distinct[:middle], similarity)
    threshold = _lowest(alike, wrong, _CAUTION * max_wrong)
    if threshold is None:
        return Calibration(None, max_wrong, len(distinct) - middle)
    alike, wrong = asked_against_kept(distinct[middle:], similarity)
    hit = alike >= threshold
    hits, mistaken = int(hit.sum()), int(wrong[hit].sum())
    return Calibration(threshold, max_wrong, len(alike), hits, mistaken, upper_bound(mistaken, hits))


@dataclass(frozen=True, slots=True)
class Measured:
    """What a threshold would give on examples that had no part in its choice.

    Args:
        questions: that were asked, each once.
        hits: of them that another question's answer would have been given to.
        wrong: of the hits where that question has another label.
        low, high: 95 % interval of the share of hits that are wrong (Clopper and Pearson, two-sided).
    """

    threshold: float
    questions: int
    hits: int
    wrong: int
    low: float
    high: float


def measure(
    examples: Sequence[LabelledText],
    similarity: Similarity,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    seed: int = 0,
) -> list[Measured]:
    """Hits and wrong hits at stated thresholds: one half of the examples is kept, the other asked. None is chosen.

    Args:
        examples: that the similarity was not learned from.
        similarity: of two texts.
        thresholds: likenesses from which two questions would be taken for the same.
        seed: of the division into halves.
    """
    distinct = list({_plain(each.text): each for each in examples}.values())
    Random(seed).shuffle(distinct)  # noqa: S311 - a division into halves, no secret
    alike, wrong = asked_against_kept(distinct, similarity)
    found = []
    for threshold in thresholds:
        hit = alike >= threshold
        hits, mistaken = int(hit.sum()), int(wrong[hit].sum())
        spare = (1 - LEVEL) / 2
        low = 0.0 if not mistaken else float(betaincinv(mistaken, hits - mistaken + 1, spare))
        found.append(Measured(threshold, len(alike), hits, mistaken, low, upper_bound(mistaken, hits, 1 - spare)))
    return found


def upper_bound(wrong: int, hits: int, level: float = LEVEL) -> float:
    """The one-sided exact upper bound of a share (Clopper and Pearson, Biometrika 26, 1934).

    >>> round(upper_bound(0, 299), 4), upper_bound(3, 3)
    (0.01, 1.0)
    """
    return 1.0 if wrong >= hits else float(betaincinv(wrong + 1, hits - wrong, level))


def asked_against_kept(
    examples: Sequence[LabelledText], similarity: Similarity
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The first half kept, the second asked: each question's likeness to the nearest kept one that passes the gate.

    Returns:
        The likenesses, 0 where none passes, and whether the labels differ, both of shape ``(asked,)``.
    """
    middle = len(examples) // 2
    kept, asked = examples[:middle], examples[middle:]
    rows = similarity.vectors([each.text for each in kept])
    gates: dict[tuple[str, ...], list[int]] = {}
    for position, each in enumerate(kept):
        gates.setdefault(gate_of(each.text), []).append(position)
    rows_of = {gate: rows[positions] for gate, positions in gates.items()}
    alike, wrong = np.zeros(len(asked)), np.zeros(len(asked), bool)
    for begin in range(0, len(asked), _BLOCK):
        block = asked[begin : begin + _BLOCK]
        for number, vector in enumerate(similarity.vectors([each.text for each in block]), begin):
            gate = gate_of(asked[number].text)
            if gate not in gates:
                continue
            found = similarity.alike(rows_of[gate], vector)
            best = int(found.argmax())
            alike[number] = found[best]
            wrong[number] = kept[gates[gate][best]].label != asked[number].label
    return alike, wrong


def _lowest(alike: NDArray[np.float64], wrong: NDArray[np.bool_], most: float) -> float | None:
    """The lowest likeness from which on at most that share is wrong, by its upper bound; None where there is none."""
    order = np.argsort(-alike, kind="stable")
    order = order[alike[order] > 0]
    hits, mistaken = np.arange(1, len(order) + 1), np.cumsum(wrong[order])
    bounds = betaincinv(mistaken + 1, np.maximum(hits - mistaken, 1e-9), LEVEL)
    good = np.flatnonzero((mistaken < hits) & (bounds <= most))
    return None if not len(good) else float(np.float32(alike[order[good[-1]]]))


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
