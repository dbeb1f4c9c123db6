"""Training: accuracy and CPU seconds on Banking77 beside a TF-IDF SVM, fine-tuning, speed and size."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

from bailiwick.datasets.cleaning import clean, without_leaks
from bailiwick.datasets.model import Split
from bailiwick.datasets.readers import Columns, open_file, read_rows
from bailiwick.datasets.splitting import Shares, assign
from bailiwick.models.catalogue import family
from bailiwick.models.model import EpochLoss, LabelledText
from bailiwick.statistics.calibration import expected_calibration_error, reliability_bins
from benchmarks.records import CORPORA, publish, record

SEEDS = (20260101, 1, 2)
PEER = "scikit-learn TF-IDF word 1-2 + char 2-5, LinearSVC"


def run() -> list[dict[str, Any]]:
    """Every figure, as records. Test texts are judged once per seed; the median over the seeds is reported."""
    train, validation, test = banking77()
    texts, truth = [e.text for e in test], np.array([e.label for e in test])
    accuracies, seconds, errors = [], [], []
    for seed in SEEDS:
        model, spent = timed(lambda seed=seed: family().train(train, validation, seed=seed))
        probabilities = model.predict(texts)
        labels = np.array(model.card.labels)
        correct = labels[probabilities.argmax(axis=1)] == truth
        accuracies.append(float(correct.mean()))
        seconds.append(spent)
        errors.append(expected_calibration_error(reliability_bins(probabilities.max(axis=1), correct)))
    peer_accuracy, peer_seconds, peer_query = peer([*train, *validation], test)
    size = sum(map(len, family().save(model).values()))
    return [
        record(
            "Banking77 test accuracy",
            statistics.median(accuracies),
            "share",
            better="higher",
            goal=0.92,
            peer=PEER,
            peer_value=peer_accuracy,
            runs=len(SEEDS),
        ),
        record(
            "Banking77 training",
            statistics.median(seconds),
            "CPU s",
            better="lower",
            goal=60,
            peer=PEER,
            peer_value=peer_seconds,
            runs=len(SEEDS),
        ),
        record("Banking77 calibration error", statistics.median(errors), "ECE", better="lower", runs=len(SEEDS)),
        record(
            "Banking77 single query",
            query_seconds(lambda text: model.predict([text]), texts) * 1e6,
            "CPU us",
            better="lower",
            peer=PEER,
            peer_value=peer_query * 1e6,
        ),
        record("Banking77 artefact", size / 1e6, "MB", better="lower"),
        *fine_tuning(train, validation, test),
    ]


def banking77() -> tuple[list[LabelledText], list[LabelledText], list[LabelledText]]:
    """Training, validation and test texts, cleaned and split as `bailiwick dataset import` does."""
    folder = CORPORA / "banking77"
    found = [
        read
        for name, split in (("train.csv", Split.TRAIN), ("test.csv", Split.TEST))
        for read in read_rows(open_file(folder / name, split), Columns(), domain="banking")
    ]
    rows, findings = clean(found)
    rows, _ = without_leaks(assign(rows, Shares(), "banking77"), findings)
    rows.sort(key=lambda row: (row.label, row.text))
    return tuple([LabelledText(r.text, r.label) for r in rows if r.split is split] for split in Split)  # type: ignore[return-value]


def peer(train: list[LabelledText], test: list[LabelledText]) -> tuple[float, float, float]:
    """Accuracy, CPU seconds of training, CPU seconds of a query of the peer, which gets the validation texts too."""
    pipeline = make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2),
        ),
        LinearSVC(C=1.0),
    )
    _, spent = timed(lambda: pipeline.fit([e.text for e in train], [e.label for e in train]))
    texts = [e.text for e in test]
    accuracy = float(np.mean(pipeline.predict(texts) == np.array([e.label for e in test])))
    return accuracy, spent, query_seconds(lambda text: pipeline.predict([text]), texts[:300])


def fine_tuning(
    train: list[LabelledText], validation: list[LabelledText], test: list[LabelledText]
) -> list[dict[str, Any]]:
    """A model of 60 of the 77 labels is fine-tuned on all of them; the peer is training from scratch."""
    early = set(sorted({example.label for example in train})[:60])
    start = family().train(
        [e for e in train if e.label in early], [e for e in validation if e.label in early], seed=SEEDS[0]
    )
    curves: dict[str, list[EpochLoss]] = {"warm": [], "cold": []}
    warm, warm_s = timed(
        lambda: family().train(train, validation, seed=SEEDS[0], start=start, progress=curves["warm"].append)
    )
    cold, cold_s = timed(lambda: family().train(train, validation, seed=SEEDS[0], progress=curves["cold"].append))
    texts, truth = [e.text for e in test], np.array([e.label for e in test])
    scores = [float(np.mean(np.array(m.card.labels)[m.predict(texts).argmax(axis=1)] == truth)) for m in (warm, cold)]
    losses = {name: [loss.validation_loss or 0.0 for loss in curve] for name, curve in curves.items()}
    return [
        record("Fine-tuning, 60 to 77 labels", warm_s, "CPU s", better="lower", peer="from scratch", peer_value=cold_s),
        record(
            "Fine-tuning, test accuracy", scores[0], "share", better="higher", peer="from scratch", peer_value=scores[1]
        ),
        record(
            "Fine-tuning, validation loss after one epoch",
            losses["warm"][0],
            "nats",
            better="lower",
            peer="from scratch",
            peer_value=losses["cold"][0],
        ),
    ]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What the work gives, and the CPU seconds that it took."""
    begun = time.process_time()
    given = work()
    return given, time.process_time() - begun


def query_seconds(ask: Callable[[str], Any], texts: list[str]) -> float:
    """Mean CPU seconds of one query, each text once, the first ten for warming up."""
    for text in texts[:10]:
        ask(text)
    begun = time.process_time()
    for text in texts:
        ask(text)
    return (time.process_time() - begun) / len(texts)


def main() -> None:
    """Print the table and write the results."""
    publish("training", run())


if __name__ == "__main__":
    main()
