"""The learned classifier: a few models over finer labels, whose probabilities are summed by domain and averaged.

Finer labels help: over the intents of HWU64 the domain is found more often than over the domains themselves, and
unknown topics are told apart better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bailiwick.detection.combine import Floats
from bailiwick.errors import InvalidInput
from bailiwick.models.catalogue import family
from bailiwick.models.model import EpochLoss, LabelledText
from bailiwick.models.ports import FittedModel

FEWEST_EXAMPLES = 4
"""A finer label with fewer joins the rest of its domain; a domain with fewer is left to its keywords."""

SEPARATOR = "/"

_FEW = 2_000
_FOLDS_WHEN_FEW = 3
_MEMBERS_WHEN_MANY = 2
_SHARE_HELD_OUT = 10


@dataclass(frozen=True, slots=True)
class TextClassifier:
    """Fitted models that answer together.

    Args:
        members: over labels ``domain/finer label``.
        domains: in the order of the probabilities.
    """

    members: tuple[FittedModel, ...]
    domains: tuple[str, ...]
    _groups: tuple[Floats, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_groups", tuple(_grouping(each.card.labels, self.domains) for each in self.members))

    def predict(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Probabilities, shape ``(texts, domains)``, and familiarity, shape ``(texts,)``: means over the members."""
        answers = [
            member_answer(member, group, texts) for member, group in zip(self.members, self._groups, strict=True)
        ]
        if len(answers) == 1:
            return answers[0]
        probabilities, familiarity = answers[0]
        for more_probabilities, more_familiarity in answers[1:]:
            probabilities, familiarity = probabilities + more_probabilities, familiarity + more_familiarity
        return probabilities / len(answers), familiarity / len(answers)

    @property
    def labels(self) -> int:
        """How many finer labels are told apart."""
        return len({label for member in self.members for label in member.card.labels})


def member_answer(member: FittedModel, group: Floats, texts: Sequence[str]) -> tuple[Floats, Floats]:
    """One member's probabilities by domain, and familiarity."""
    both = getattr(member, "predict_with_familiarity", None)
    probabilities, familiarity = both(texts) if both else (member.predict(texts), member.familiarity(texts))
    return np.asarray(probabilities @ group), familiarity


def _grouping(labels: Sequence[str], domains: Sequence[str]) -> Floats:
    """The matrix, shape ``(labels, domains)``, that sums probabilities by domain."""
    at = {domain: position for position, domain in enumerate(domains)}
    group = np.zeros((len(labels), len(domains)))
    for row, label in enumerate(labels):
        position = at.get(label.partition(SEPARATOR)[0])
        if position is None:
            raise InvalidInput(f"the classifier's label {label!r} belongs to none of its domains", what="labels")
        group[row, position] = 1
    return group


@dataclass(frozen=True, slots=True)
class Sample:
    """One example: its text, its domain, its label ``domain/finer label``, and its unit."""

    text: str
    domain: str
    label: str
    unit: str | None


def samples(examples: Mapping[str, Sequence[LabelledText]]) -> tuple[list[Sample], dict[str, str]]:
    """The examples that can be learned from, each once, and the domains left out with the reason.

    Args:
        examples: by domain; a text's label is its finer label, empty where it has none.
    """
    kept: list[Sample] = []
    skipped: dict[str, str] = {}
    for domain in sorted(examples):
        distinct = {(each.text, each.label): each for each in examples[domain] if each.text.strip()}
        if len(distinct) < FEWEST_EXAMPLES:
            skipped[domain] = f"{len(distinct)} distinct examples; {FEWEST_EXAMPLES} are needed"
            continue
        counts = Counter(each.label for each in distinct.values())
        rest = sum(count for count in counts.values() if count < FEWEST_EXAMPLES)
        # Too few to stand apart, and together still too few: they join the domain's most frequent label.
        common = "" if rest >= FEWEST_EXAMPLES or not rest else counts.most_common(1)[0][0]
        for each in distinct.values():
            finer = each.label if counts[each.label] >= FEWEST_EXAMPLES else common
            kept.append(Sample(each.text, domain, f"{domain}{SEPARATOR}{finer}", each.unit))
    if len({each.domain for each in kept}) < 2:
        for one in kept:
            skipped[one.domain] = "no other domain has examples to tell it apart from"
        kept = []
    return kept, skipped


def held_out_parts(found: Sequence[Sample], seed: int) -> list[NDArray[np.bool_]]:
    """Which samples each member does not see in training.

    Few samples: three members, each without another third, so that everything is judged by a member that did not see
    it. Many: two members without the same tenth. A unit is not split.

    Returns:
        One mask per member, shape ``(samples,)``.
    """
    few = len(found) < _FEW
    parts = _FOLDS_WHEN_FEW if few else _SHARE_HELD_OUT
    units: dict[str, set[str]] = {}
    for each in found:
        units.setdefault(each.domain, set()).add(each.unit or each.text)
    part = np.empty(len(found), int)
    of_unit: dict[str, int] = {}
    next_part: Counter[str] = Counter()
    for index in np.random.default_rng(seed).permutation(len(found)):
        each = found[index]
        # A domain whose examples come from a few units only would be left without any: there units are passed over.
        unit = each.unit if len(units[each.domain]) >= parts else None
        chosen = None if unit is None else of_unit.get(unit)
        if chosen is None:
            chosen = next_part[each.label] % parts
            next_part[each.label] += 1
            if unit is not None:
                of_unit[unit] = chosen
        part[index] = chosen
    if few:
        return [part == number for number in range(_FOLDS_WHEN_FEW)]
    # Parts start with 0 for each label, so a label's tenth is its last part: none of a label with less than ten.
    return [part == _SHARE_HELD_OUT - 1] * _MEMBERS_WHEN_MANY


def train_member(
    training: Sequence[Sample],
    validation: Sequence[Sample],
    seed: int,
    progress: Callable[[EpochLoss], None] | None = None,
) -> FittedModel:
    """One member. Labels that are left with one sample (because their unit is held out) are left out."""
    counts = Counter(each.label for each in training)
    return family().train(
        [_labelled(each) for each in training if counts[each.label] > 1],
        [_labelled(each) for each in validation],
        seed=seed,
        progress=progress,
    )


def _labelled(sample: Sample) -> LabelledText:
    return LabelledText(sample.text, sample.label, sample.unit)


def only(classifier: TextClassifier, member: int) -> TextClassifier:
    """The classifier of one member alone, for judging what it did not see."""
    return replace(classifier, members=(classifier.members[member],))
