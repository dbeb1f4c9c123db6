"""How `bailiwick detect` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.markup import escape

from bailiwick.cli.console import out, print_table
from bailiwick.detection.model import (
    CLASSIFIER,
    KEYWORD,
    LINEAGE,
    MANUAL,
    AssetExplanation,
    Detection,
    DetectionReport,
    DomainSummary,
    Explanation,
    LearningReport,
)

_SHOWN_CHARACTERS = 60
_SHOWN_WORDS = 15
_SHOWN_KINDS = {"tables": ("table", "view"), "columns": ("column",), "statements": ("statement",)}
_METHODS = (MANUAL, KEYWORD, CLASSIFIER, LINEAGE)


def print_learning(report: LearningReport) -> None:
    """What learning gave."""
    if not report.changed:
        out.print(f"Learned from the same examples already (revision {report.revision}).")
        return
    total = sum(report.examples.values())
    out.print(
        f"Learned from {total:,} examples of {len(report.examples)} domains with {report.labels} finer labels "
        f"in {report.cpu_s:.1f} CPU s (revision {report.revision})."
    )
    if report.held_out_accuracy is not None:
        out.print(f"Of texts held out, {report.held_out_accuracy:.1%} went to the right domain.")
    for domain, why in report.skipped.items():
        out.print(f"  Not learned: {domain}: {why}")


def print_detections(texts: Sequence[str], found: Sequence[Detection]) -> None:
    """One line per text."""
    print_table(
        "Detection",
        ("text", "domain", "score", "by", "other candidates"),
        [
            (
                _shortened(text),
                each.domain or "(none)",
                each.score,
                each.method,
                ", ".join(
                    f"{name} {score:.2f}" for name, score in each.ranking[each.domain is not None :] if score >= 0.01
                ),
            )
            for text, each in zip(texts, found, strict=True)
        ],
    )
    if len(texts) == 1:
        out.print("\nWhy: add [bold]--explain[/]")


def print_explanation(explanation: Explanation) -> None:
    """The answer and what it rests on."""
    found = explanation.detection
    out.print(f"[bold]{found.domain or 'no domain'}[/]: {explanation.reason}.")
    if explanation.matches:
        matches = explanation.matches[:_SHOWN_WORDS]
        rows = [(m.word, m.domain, m.weight, "keyword" if m.source == "keyword" else "learned") for m in matches]
        print_table("\nWords that speak for a domain", ("word", "domain", "nats", "from"), rows)
        if len(explanation.matches) > _SHOWN_WORDS:
            out.print(f"... and {len(explanation.matches) - _SHOWN_WORDS} more")
    else:
        out.print("No word of it is a keyword of a domain, or was learned as telling.")
    by_word, by_classifier = dict(explanation.keyword_ranking), dict(explanation.classifier_ranking)
    together = dict(found.ranking)
    names = list(dict.fromkeys([*together, *by_classifier, *by_word]))[:5]
    print_table(
        "\nCandidates",
        ("domain", "by words", "by classifier", "together"),
        [(n, _score(by_word, n), _score(by_classifier, n), _score(together, n)) for n in names],
    )
    if explanation.familiarity is not None:
        out.print(f"Familiarity: {explanation.familiarity:.1%} of known texts look less familiar.")
    else:
        out.print("No classifier: [bold]bailiwick detect --learn-from DATASET[/] learns one from labelled texts.")


def print_asset(explanation: AssetExplanation) -> None:
    """An asset's tags, and what its own words say."""
    out.print(f"[bold]{escape(explanation.asset)}[/] ({explanation.kind})")
    if explanation.tags:
        print_table(
            "Tags",
            ("domain", "score", "by", "carried from"),
            [(tag.domain, tag.score, tag.method, tag.carried_from) for tag in explanation.tags],
        )
    else:
        out.print("It carries no tag.")
    out.print(f"\nOwn words: {_shortened(explanation.text, 400)}", markup=False)
    print_explanation(explanation.own)


def print_run(report: DetectionReport) -> None:
    """What a run tagged."""
    if not report.nodes:
        out.print("The graph is empty, so nothing was tagged. Next: [bold]bailiwick extract PATH[/]")
        return
    print_table(
        "Assets by the domain that they belong to most",
        ("domain", "assets", "relations", *_SHOWN_KINDS, "other"),
        [(each.domain, *_by_kind(each)) for each in report.domains],
    )
    width = max((len(each.domain) for each in report.domains), default=0)
    for each in report.domains:
        if each.examples:
            out.print(f"  {each.domain:<{width}}  such as {', '.join(each.examples)}", markup=False, soft_wrap=True)
    out.print(
        f"Tagged {report.tagged_nodes:,} of {report.nodes:,} assets ({report.abstained:.1%} belong to no domain) "
        f"and {report.tagged_edges:,} of {report.edges:,} relations, by {_methods(report)}."
    )
    shown = next((each.examples[0] for each in report.domains if each.examples), None)
    if shown is not None:
        out.print(f"Why: [bold]bailiwick detect --asset {escape(shown)}[/]")


def _methods(report: DetectionReport) -> str:
    together: Counter[str] = Counter()
    for each in report.domains:
        together.update(each.by_method)
    return ", ".join(f"{method} {together[method]:,}" for method in _METHODS if together[method]) or "nothing"


def _by_kind(summary: DomainSummary) -> list[int]:
    """Counts of assets, of relations, of the kinds that have a column, and of the other assets."""
    counts = dict(summary.by_kind)
    relations = counts.pop("relation", 0)
    assets = sum(counts.values())
    shown = [sum(counts.pop(kind, 0) for kind in kinds) for kinds in _SHOWN_KINDS.values()]
    return [assets, relations, *shown, sum(counts.values())]


def _score(scores: dict[str, float], name: str) -> str:
    return f"{scores[name]:.3f}" if name in scores else ""


def _shortened(text: str, most: int = _SHOWN_CHARACTERS) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"
