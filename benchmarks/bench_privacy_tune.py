"""Choosing the settings of private training: on a part of Banking77's training texts, never on its test texts.

Every fifth training text (by a hash of it) is held out; the settings are those that do best there on average of epsilon
8, 4 and 1. What is within the noise of the best is decided by cost: fewer noisy numbers. Then the way that the weights
may go is varied around its usual value, with the chosen settings.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from bailiwick.models.catalogue import private_family
from bailiwick.models.model import LabelledText
from bailiwick.models.private_linear_text.features import features
from bailiwick.models.private_linear_text.fit import USUAL_REACH, Reach, fit, unit_examples
from bailiwick.privacy.training_noise import Integers
from benchmarks.bench_training import banking77

DELTA = 1e-5
EPSILONS = (8.0, 4.0, 1.0)
FEATURES = (1024, 2048, 4096)
STEPS_AND_CLIPS = ((8, 0.35), (12, 0.25), (12, 0.35), (12, 0.5), (12, 0.7), (16, 0.35), (16, 0.5), (24, 0.25))
REACHES = (Reach(60, 1.1), Reach(200, 1.1), Reach(120, 0.7), Reach(120, 1.6))
DRAWS = 3
WITHIN_NOISE = 0.004
"""How far two means of nine runs on 2,000 texts may differ by chance: about one standard error of their difference."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is chosen from."""

    features: int
    steps: int
    clip: float
    reach: Reach = USUAL_REACH

    @property
    def numbers(self) -> int:
        """Noisy numbers per label: what training costs."""
        return self.features * self.steps


@dataclass(frozen=True, slots=True)
class Tried:
    """A choice and its accuracy on the held-out texts, by epsilon."""

    choice: Choice
    accuracy: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over epsilons."""
        return float(np.mean(self.accuracy))


class HeldOut:
    """Trains on four fifths of the training texts and judges on the other fifth."""

    def __init__(self) -> None:
        train, validation, _ = banking77()
        own = [LabelledText(each.text, each.label, f"text-{n}") for n, each in enumerate([*train, *validation])]
        self.held = [each for each in own if _held_out(each.text)]
        self.learned = [each for each in own if not _held_out(each.text)]
        self.labels = sorted({each.label for each in own})
        self.truth = np.array([self.labels.index(each.label) for each in self.held])

    def measure(self, choice: Choice) -> Tried:
        """The mean accuracy of several draws of the noise, at every epsilon."""
        given = unit_examples(self.learned, self.labels, 1, choice.features)
        judged = features([each.text for each in self.held], choice.features)
        shares = []
        for epsilon in EPSILONS:
            plan = private_family().plan(epsilon, DELTA, 1, {"steps": choice.steps, "clip": choice.clip})
            draws = [fit(given, len(self.labels), plan, noise=_simulated, reach=choice.reach) for _ in range(DRAWS)]
            shares.append(float(np.mean([(np.asarray(judged @ w).argmax(axis=1) == self.truth).mean() for w in draws])))
        found = Tried(choice, tuple(shares))
        print(f"  {found}", file=sys.stderr, flush=True)
        return found


def tune() -> None:
    """Print every choice, and the one to freeze."""
    held_out = HeldOut()
    found = [held_out.measure(Choice(size, *each)) for size in FEATURES for each in STEPS_AND_CLIPS]
    chosen = cheapest_of_the_best(found).choice
    found += [held_out.measure(Choice(chosen.features, chosen.steps, chosen.clip, reach)) for reach in REACHES]
    table = Table(title="Accuracy on held-out training texts", title_justify="left")
    for column in ("features", "steps", "clip", "reach", *(f"epsilon {epsilon:g}" for epsilon in EPSILONS), "mean", ""):
        table.add_column(column)
    for each in sorted(found, key=lambda each: -each.mean):
        shares = (f"{share:.3f}" for share in (*each.accuracy, each.mean))
        made = each.choice
        reach = f"{made.reach.per_label:g}, {made.reach.score_noise:g}"
        mark = "chosen" if made == chosen else ""
        table.add_row(str(made.features), str(made.steps), f"{made.clip:g}", reach, *shares, mark)
    Console().print(table)


def cheapest_of_the_best(found: Sequence[Tried]) -> Tried:
    """Of what is within the noise of the best, what draws the fewest numbers; of those, the best."""
    best = max(each.mean for each in found)
    good = [each for each in found if each.mean >= best - WITHIN_NOISE]
    return min(good, key=lambda each: (each.choice.numbers, -each.mean))


def _held_out(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[0] % 5 == 0


_GENERATOR = np.random.default_rng(20261123)


def _simulated(values: Integers, scale: float) -> Integers:
    """Noise of the same size, drawn fast: the corpus is public, nothing here protects anybody."""
    return values + np.rint(_GENERATOR.normal(0.0, scale, values.shape)).astype(np.int64)
