"""Private training on Banking77: accuracy and CPU seconds at epsilon 8, 4 and 1 beside the same way without noise."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from bailiwick.models.catalogue import family, private_family
from bailiwick.models.model import LabelledText
from bailiwick.models.ports import FittedModel
from bailiwick.models.private_linear_text.features import FEATURE_GRID, features
from bailiwick.models.private_linear_text.fit import fit, unit_examples
from bailiwick.training.privacy_audit import no_noise
from benchmarks.bench_training import banking77
from benchmarks.records import publish, record

DELTA = 1e-5
FEATURES = 2048


def run() -> list[dict[str, Any]]:
    """Every figure. Each text is its own unit; the private family learns from training and validation texts."""
    train, validation, test = banking77()
    own = [LabelledText(each.text, each.label, f"text-{n}") for n, each in enumerate([*train, *validation])]
    labels = sorted({each.label for each in own})
    private = private_family()
    begun = time.process_time()
    plain = family().train(train, validation, seed=20260101)
    plain_seconds = time.process_time() - begun
    begun = time.process_time()
    weights = fit(unit_examples(own, labels, 1, FEATURES), len(labels), private.plan(8.0, DELTA, 1), noise=no_noise)
    bare_seconds = time.process_time() - begun
    guesses = np.asarray(features([each.text for each in test], FEATURES) @ weights / FEATURE_GRID).argmax(axis=1)
    bare = float(np.mean([labels[g] == each.label for g, each in zip(guesses, test, strict=True)]))
    peer = {"peer": "linear-text, not private"}
    records = [
        record(
            "DP Banking77 accuracy, same model without noise",
            bare,
            "share",
            better="higher",
            **peer,
            peer_value=accuracy(plain, test),
        ),
        record(
            "DP Banking77 training, same model without noise",
            bare_seconds,
            "CPU s",
            better="lower",
            **peer,
            peer_value=plain_seconds,
        ),
    ]
    peer = {"peer": "same model without noise"}
    report("no noise", bare, bare_seconds)
    for epsilon in (8.0, 4.0, 1.0):
        begun = time.process_time()
        model = private.train_privately(own, labels, private.plan(epsilon, DELTA, 1))
        seconds = time.process_time() - begun
        share = accuracy(model, test)
        report(f"epsilon {epsilon:g}", share, seconds)
        records += [
            record(
                f"DP Banking77 accuracy, epsilon {epsilon:g}",
                share,
                "share",
                better="higher",
                **peer,
                peer_value=bare,
            ),
            record(
                f"DP Banking77 training, epsilon {epsilon:g}",
                seconds,
                "CPU s",
                better="lower",
                **peer,
                peer_value=bare_seconds,
            ),
        ]
    return records


def report(step: str, share: float, seconds: float) -> None:
    """Progress, while the rest still runs."""
    print(f"  {step}: accuracy {share:.3f} in {seconds:.1f} CPU s", file=sys.stderr, flush=True)


def accuracy(model: FittedModel, test: list[LabelledText]) -> float:
    """Share of right answers."""
    guesses = model.predict([each.text for each in test]).argmax(axis=1)
    return float(np.mean([model.card.labels[g] == each.label for g, each in zip(guesses, test, strict=True)]))


if __name__ == "__main__":
    publish("privacy-training", run())
