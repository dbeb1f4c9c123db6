"""Questions that may be asked of the rows of a data set, each as a calibrated mechanism. Pure but for the noise."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bailiwick.datasets.model import Row
from bailiwick.errors import InvalidInput
from bailiwick.privacy.contributions import BoundedRows, NumericColumn, bound
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.local import NOT_PROTECTED, LocalRandomisation
from bailiwick.privacy.mechanisms.counts import Count
from bailiwick.privacy.mechanisms.histograms import Histogram
from bailiwick.privacy.mechanisms.means import Mean, share_of
from bailiwick.privacy.mechanisms.model import Calibrated
from bailiwick.privacy.mechanisms.noisy_max import MostFrequent
from bailiwick.privacy.mechanisms.partition_selection import PartitionSelection
from bailiwick.privacy.mechanisms.quantiles import Quantiles
from bailiwick.privacy.terms import Adjacency, Categories, ReleaseTerms

LENGTH = "text_length"
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_BINS = 10
_LONGEST_WORD = 40
_WORD = re.compile(r"[^\W_]+", re.UNICODE)


class Statistic(StrEnum):
    """What can be asked."""

    ROWS = "rows"
    UNITS = "units"
    LABELS = "labels"
    TOP_LABELS = "top-labels"
    DOMAINS = "domains"
    LENGTH_MEAN = "text-length"
    LENGTH_QUANTILES = "text-length-quantiles"
    LENGTH_DISTRIBUTION = "text-length-distribution"
    VOCABULARY = "vocabulary"
    LOCAL_LABELS = "local-labels"


MEANINGS: Mapping[Statistic, str] = {
    Statistic.ROWS: "how many rows",
    Statistic.UNITS: "how many units",
    Statistic.LABELS: "rows per label",
    Statistic.TOP_LABELS: "the most frequent labels",
    Statistic.DOMAINS: "rows per domain",
    Statistic.LENGTH_MEAN: "mean length of a text, in characters",
    Statistic.LENGTH_QUANTILES: "quantiles of the length",
    Statistic.LENGTH_DISTRIBUTION: "rows per range of lengths",
    Statistic.VOCABULARY: "units per word, for words that enough units use",
    Statistic.LOCAL_LABELS: "every record's label, randomised by itself (local mode)",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Public choices beside the terms.

    Args:
        words_per_unit: at most so many different words of one unit are counted.
        top: how many labels `Statistic.TOP_LABELS` names.
    """

    words_per_unit: int = 5
    top: int = 3


@dataclass(frozen=True, slots=True)
class Question:
    """One statistic, ready to be asked.

    Args:
        statistic: which.
        mechanism: calibrated before any data is touched.
        gather: from rows to what the mechanism takes.
        numeric, categorical: columns for which the terms must state bounds or categories.
    """

    statistic: Statistic
    mechanism: Calibrated
    gather: Callable[[Sequence[Row]], BoundedRows]
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()


def questions(
    statistics: Sequence[Statistic], terms: ReleaseTerms, cost: Cost, settings: Settings | None = None
) -> tuple[Question, ...]:
    """The statistics as questions; epsilon is shared equally, delta among those that need one.

    Raises:
        InvalidInput: none or one twice, a term that is missing, or local and central statistics in one release.
    """
    if not statistics or len(set(statistics)) != len(statistics):
        raise InvalidInput("name each statistic once", what="statistics", requested=list(statistics))
    if Statistic.LOCAL_LABELS in statistics and len(statistics) > 1:
        raise InvalidInput(
            "local randomisation is a mode of its own", what="statistics", remedy="ask for it in a release of its own"
        )
    if not cost.epsilon_nano:
        raise InvalidInput("state an epsilon for the release", what="epsilon", requested=cost.words)
    each = share_of(cost.epsilon, len(statistics))
    chosen = settings or Settings()
    return tuple(_BUILDERS[statistic](terms, each, cost.delta, chosen) for statistic in statistics)


def not_protected(statistics: Sequence[Statistic], terms: ReleaseTerms) -> tuple[str, ...]:
    """What these statistics leave visible beside what every release does."""
    local = NOT_PROTECTED if Statistic.LOCAL_LABELS in statistics else ()
    replaced = ("that a unit is in the data set",) if terms.adjacency is Adjacency.REPLACE and not local else ()
    return (*local, *replaced)


def words(text: str) -> list[str]:
    """The different words of a text, lower-case, sorted; very long ones are left out.

    >>> words("Block my card, BLOCK it!")
    ['block', 'card', 'it', 'my']
    """
    return sorted({word for word in _WORD.findall(text.casefold()) if len(word) <= _LONGEST_WORD})


def _units(rows: Sequence[Row]) -> list[str | None]:
    return [row.unit for row in rows]


def _rows(terms: ReleaseTerms, epsilon: float, _delta: float, _settings: Settings) -> Question:
    return Question(Statistic.ROWS, Count(terms, epsilon), lambda rows: bound(terms, _units(rows)))


def _unit_count(terms: ReleaseTerms, epsilon: float, _delta: float, _settings: Settings) -> Question:
    mechanism = Count(terms, epsilon, units=True)
    return Question(Statistic.UNITS, mechanism, lambda rows: bound(terms, _units(rows)))


def _by_label(terms: ReleaseTerms, rows: Sequence[Row]) -> BoundedRows:
    return bound(terms, _units(rows), categorical={"label": [row.label for row in rows]})


def _labels(terms: ReleaseTerms, epsilon: float, _delta: float, _settings: Settings) -> Question:
    mechanism = Histogram(terms, ("label",), epsilon)
    return Question(Statistic.LABELS, mechanism, lambda rows: _by_label(terms, rows), categorical=("label",))


def _top_labels(terms: ReleaseTerms, epsilon: float, _delta: float, settings: Settings) -> Question:
    mechanism = MostFrequent(terms, "label", epsilon, settings.top)
    return Question(Statistic.TOP_LABELS, mechanism, lambda rows: _by_label(terms, rows), categorical=("label",))


def _local_labels(terms: ReleaseTerms, epsilon: float, _delta: float, _settings: Settings) -> Question:
    mechanism = LocalRandomisation(terms, "label", epsilon)
    listed = terms.categories["label"].values

    def gather(rows: Sequence[Row]) -> BoundedRows:
        # A record with an unlisted label must not vanish: that it does would say what the record says.
        labels = [row.label if row.label in listed else listed[0] for row in rows]
        return bound(terms, _units(rows), categorical={"label": labels})

    return Question(Statistic.LOCAL_LABELS, mechanism, gather, categorical=("label",))


def _domains(terms: ReleaseTerms, epsilon: float, _delta: float, _settings: Settings) -> Question:
    mechanism = Histogram(terms, ("domain",), epsilon)

    def gather(rows: Sequence[Row]) -> BoundedRows:
        return bound(terms, _units(rows), categorical={"domain": [row.domain for row in rows]})

    return Question(Statistic.DOMAINS, mechanism, gather, categorical=("domain",))


def _by_length(terms: ReleaseTerms, column: NumericColumn, rows: Sequence[Row]) -> BoundedRows:
    return bound(terms, _units(rows), numeric={column: [len(row.text) for row in rows]})


def _length_mean(terms: ReleaseTerms, epsilon: float, _delta: float, _settings: Settings) -> Question:
    column = NumericColumn.of(terms, LENGTH)
    mechanism = Mean(terms, column, epsilon)
    return Question(Statistic.LENGTH_MEAN, mechanism, lambda rows: _by_length(terms, column, rows), numeric=(LENGTH,))


def _length_quantiles(terms: ReleaseTerms, epsilon: float, _delta: float, _settings: Settings) -> Question:
    column = NumericColumn.of(terms, LENGTH)
    mechanism = Quantiles(terms, column, _QUANTILES, epsilon)
    return Question(
        Statistic.LENGTH_QUANTILES, mechanism, lambda rows: _by_length(terms, column, rows), numeric=(LENGTH,)
    )


def _length_distribution(terms: ReleaseTerms, epsilon: float, _delta: float, _settings: Settings) -> Question:
    column = NumericColumn.of(terms, LENGTH)
    width = -(-(column.upper - column.lower + 1) // _BINS)
    starts = range(column.lower, column.upper + 1, width)
    names = tuple(f"{start}-{min(start + width - 1, column.upper)}" for start in starts)
    ranged = replace(terms, categories={**terms.categories, LENGTH: Categories(names)})

    def gather(rows: Sequence[Row]) -> BoundedRows:
        lengths = (min(max(len(row.text), column.lower), column.upper) for row in rows)
        return bound(
            ranged,
            _units(rows),
            categorical={LENGTH: [names[(length - column.lower) // width] for length in lengths]},
        )

    mechanism = Histogram(ranged, (LENGTH,), epsilon)
    return Question(Statistic.LENGTH_DISTRIBUTION, mechanism, gather, numeric=(LENGTH,))


def _vocabulary(terms: ReleaseTerms, epsilon: float, delta: float, settings: Settings) -> Question:
    terms.check()
    capped = replace(terms, contribution_cap=settings.words_per_unit)

    def gather(rows: Sequence[Row]) -> BoundedRows:
        # The cap on rows holds here too, before that on words.
        used = bound(terms, _units(rows), categorical={"text": [row.text for row in rows]}, open_columns=["text"])
        texts = zip(used.units, used.categories["text"], strict=True)
        pairs = [(unit, word) for unit, text in texts for word in words(text)]
        return bound(
            capped,
            [unit for unit, _ in pairs],
            categorical={"word": [word for _, word in pairs]},
            open_columns=["word"],
            distinct=True,
        )

    return Question(Statistic.VOCABULARY, PartitionSelection(capped, "word", epsilon, delta), gather)


_BUILDERS: Mapping[Statistic, Callable[[ReleaseTerms, float, float, Settings], Question]] = {
    Statistic.ROWS: _rows,
    Statistic.UNITS: _unit_count,
    Statistic.LABELS: _labels,
    Statistic.TOP_LABELS: _top_labels,
    Statistic.DOMAINS: _domains,
    Statistic.LENGTH_MEAN: _length_mean,
    Statistic.LENGTH_QUANTILES: _length_quantiles,
    Statistic.LENGTH_DISTRIBUTION: _length_distribution,
    Statistic.VOCABULARY: _vocabulary,
    Statistic.LOCAL_LABELS: _local_labels,
}
