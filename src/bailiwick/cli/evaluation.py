"""How an evaluation is printed."""

from __future__ import annotations

from bailiwick.cli.console import out, print_table
from bailiwick.evaluation.model import Evaluation

_WEAKEST, _CONFUSIONS = 5, 5


def print_evaluation(made: Evaluation) -> None:
    """Metrics, the weakest labels, the commonest confusions, and how far confidence can be believed."""
    m = made.metrics
    rows = [
        ("accuracy", f"{m['accuracy']:.4f}", f"95 % interval {m['accuracy_low']:.4f} to {m['accuracy_high']:.4f}"),
        ("macro F1", f"{m['macro_f1']:.4f}", f"over {len(made.labels)} labels"),
        ("calibration error", f"{m['ece']:.4f}", f"Brier score {m['brier']:.4f}"),
        *(
            (f"{part} loss", f"{m[f'{part}_loss']:.4f}", "nats per text")
            for part in ("training", "validation", "test")
            if f"{part}_loss" in m
        ),
        (
            "latency p50",
            f"{m['latency_p50_ms']:.3f} ms",
            f"p95 {m['latency_p95_ms']:.3f}, p99 {m['latency_p99_ms']:.3f}",
        ),
        ("throughput", f"{m['throughput_per_s']:,.0f} /s", "texts in one batch"),
        ("size", f"{m['size_bytes'] / 1e6:.2f} MB", ""),
    ]
    excluded = int(m.get("excluded_examples", 0))
    note = f", {excluded} learned from and left out" if excluded else ""
    title = f"{made.version} on {int(m['test_examples'])} test texts of {made.dataset}{note}"
    print_table(title, ("metric", "value", ""), rows)
    weakest = sorted(made.labels, key=lambda score: (score.f1, score.label))[:_WEAKEST]
    print_table(
        "Weakest labels",
        ("label", "F1", "precision", "recall", "texts"),
        [(s.label, s.f1, s.precision, s.recall, s.support) for s in weakest],
    )
    confused = [cell for cell in made.confusion if cell.truth != cell.predicted][:_CONFUSIONS]
    if confused:
        rows_of = [(cell.truth, cell.predicted, cell.count) for cell in confused]
        print_table("Commonest confusions", ("true label", "taken for", "texts"), rows_of)
    bands = [(f"{b.lower:.1f} to {b.upper:.1f}", b.count, b.mean_confidence, b.accuracy) for b in made.reliability]
    print_table("Confidence and truth", ("confidence", "texts", "mean confidence", "right"), bands)
    out.print()
