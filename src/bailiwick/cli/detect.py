"""`bailiwick detect`: tag the graph, or a text, with domains."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import TaskID

from bailiwick.cli.console import print_json, progress_bar
from bailiwick.cli.context import Flags, flags
from bailiwick.cli.detect_views import print_asset, print_detections, print_explanation, print_learning, print_run
from bailiwick.datasets.model import Split
from bailiwick.detection.model import LearningReport
from bailiwick.detection.service import DomainsFrom, domains_at
from bailiwick.errors import InvalidInput
from bailiwick.models.model import EpochLoss, LabelledText

app = typer.Typer(add_completion=False, help="Tag the graph, or a text, with domains.")

_MOST_LINES = 1_000_000


@app.command()
def detect(
    ctx: typer.Context,
    text: Annotated[str | None, typer.Argument(help="A text to detect; without one, the graph is tagged.")] = None,
    file: Annotated[Path | None, typer.Option(help="Detect every line of a file; - reads standard input.")] = None,
    asset: Annotated[str | None, typer.Option(help="Explain the tags of this asset, by qualified name.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why: words, classifier, threshold.")] = False,
    learn_from: Annotated[
        str | None, typer.Option(help="First learn from the training and validation rows of this data set.")
    ] = None,
    relearn: Annotated[bool, typer.Option("--relearn", help="Learn even where the examples did not change.")] = False,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score to reach; default: fitted for texts, 0.5 for assets."),
    ] = None,
    domains_url: Annotated[str | None, typer.Option(help="Take the domains from another Bailiwick.")] = None,
) -> None:
    """Say which domain assets or texts belong to; abstain where none is likely enough.

    Examples:
      bailiwick detect
      bailiwick detect "my card was swallowed by the machine" --explain
      bailiwick detect --learn-from queries
      bailiwick detect --asset core.card
    """
    root = flags(ctx)
    if sum(each is not None for each in (text, file, asset)) > 1:
        raise InvalidInput(
            "give a text, a file or an asset, not several", what="TEXT", remedy="bailiwick detect --help"
        )
    domains = None if domains_url is None else domains_at(domains_url)
    learned = _learn(root, learn_from, relearn, domains)
    if learned is not None and not root.json:
        print_learning(learned)
    if asset is not None:
        found = root.platform.detection.explain_asset(asset, domains=domains, threshold=threshold)
        print_json(found) if root.json else print_asset(found)
    elif text is not None and explain:
        explanation = root.platform.detection.detector(domains, threshold=threshold).explain(text)
        print_json(explanation) if root.json else print_explanation(explanation)
    elif text is not None or file is not None:
        _detect_texts(root, [text] if text is not None else _lines(file or Path("-")), text is None, domains, threshold)
    else:
        _tag_graph(root, domains, threshold, learned)


def _learn(root: Flags, dataset: str | None, relearn: bool, domains: DomainsFrom | None) -> LearningReport | None:
    """What was learned before the detection, if anything."""
    service = root.platform.detection
    examples: Mapping[str, Sequence[LabelledText]] = {}
    if dataset is not None:
        examples = _examples(root, dataset)
    with progress_bar() as bar:
        tasks: dict[int, TaskID] = {}

        def epoch(member: int, members: int, loss: EpochLoss) -> None:
            if member not in tasks:
                tasks[member] = bar.add_task("", total=loss.epochs)
            said = f"Learning {member}/{members}, loss {loss.training_loss:.3f}"
            if loss.validation_loss is not None:
                said += f", held out {loss.validation_loss:.3f}"
            bar.update(tasks[member], completed=loss.epoch, total=loss.epochs, description=said)

        if dataset is not None or relearn:
            return service.learn(examples, root.actor(), domains=domains, origin=dataset, again=relearn, progress=epoch)
        return service.learn_own(
            root.actor(), domains=domains, given=lambda origin: _examples(root, origin), progress=epoch
        )


def _examples(root: Flags, dataset: str) -> dict[str, list[LabelledText]]:
    """The rows of a data set that may be learned from, by domain: the test rows stay unseen."""
    found: dict[str, list[LabelledText]] = {}
    for split in (Split.TRAIN, Split.VALIDATION):
        for row in root.platform.datasets.rows(dataset, split):
            found.setdefault(row.domain, []).append(LabelledText(row.text, row.label, row.unit))
    return found


def _lines(file: Path) -> list[str]:
    """The lines that say something. Bytes that are not UTF-8 are replaced, not refused."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read the file: {error.strerror}", what="--file", where=str(file)) from error
    lines = [line for line in data.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    if not lines or len(lines) > _MOST_LINES:
        raise InvalidInput(
            f"the file has {len(lines):,} lines that say something",
            what="--file",
            where=str(file),
            allowed=f"1 to {_MOST_LINES:,}",
        )
    return lines


def _detect_texts(
    root: Flags, texts: Sequence[str], several: bool, domains: DomainsFrom | None, threshold: float | None
) -> None:
    found = root.platform.detection.detector(domains, threshold=threshold).detect_all(texts)
    if root.json:
        print_json([{"text": t, **asdict(d)} for t, d in zip(texts, found, strict=True)] if several else found[0])
        return
    print_detections(texts, found)


def _tag_graph(
    root: Flags, domains: DomainsFrom | None, threshold: float | None, learned: LearningReport | None
) -> None:
    service = root.platform.detection
    with progress_bar() as bar:
        task = bar.add_task("Detecting", total=None)
        report = service.detect_graph(
            root.actor(),
            domains=domains,
            threshold=threshold,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if root.json:
        print_json({"learned": learned, **asdict(report), "abstained": report.abstained})
        return
    print_run(report)
