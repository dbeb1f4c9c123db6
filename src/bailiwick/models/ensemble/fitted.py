"""An ensemble of models in this process as a model of its own: measured, compared and gated like any other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bailiwick.errors import InvalidInput
from bailiwick.models.ensemble import pool
from bailiwick.models.ensemble.cascade import NEVER, stops_at
from bailiwick.models.ensemble.quality import Quality
from bailiwick.models.ensemble.selection import NO_LIMITS, Candidate, Limits, ranked
from bailiwick.models.ensemble.spec import LABELS, NAME, EnsembleSpec, MemberSpec, Strategy
from bailiwick.models.model import ModelCard
from bailiwick.models.ports import FittedModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Course:
    """How an ensemble that asks in turn went about some texts.

    Args:
        asked: whether each member was asked, shape ``(members, texts)``.
        decided: the position of the member whose answer stands, shape ``(texts,)``.
    """

    asked: NDArray[np.bool_]
    decided: NDArray[np.int64]


class EnsembleModel:
    """The model of a version that is an ensemble. Its members are loaded when it is first asked for a prediction.

    Args:
        spec: what it is.
        quality: of ``select``, else None.
        load: the model of a member; raises where there is none in this process.
    """

    def __init__(self, spec: EnsembleSpec, quality: Quality | None, load: Callable[[MemberSpec], FittedModel]) -> None:
        if (spec.strategy is Strategy.SELECT) != (quality is not None):
            raise InvalidInput("an ensemble that selects has learned qualities, and no other", what="quality")
        if quality is not None and len(quality.bias) != len(spec.members):
            raise InvalidInput("the qualities are not those of the members", what="quality")
        self.spec = spec
        self.quality = quality
        self._find = load
        self._models: dict[str, FittedModel] = {}
        settings = {"strategy": spec.strategy.value, "members": len(spec.members)}
        self._card = ModelCard(NAME, spec.labels, 0 if quality is None else quality.weights.size, settings)

    @property
    def card(self) -> ModelCard:
        """What the ensemble says of itself."""
        return self._card

    def predict(self, texts: Sequence[str]) -> Floats:
        """The ensemble's probabilities of its labels, shape ``(len(texts), len(card.labels))``.

        Raises:
            InvalidInput: a member is not a fixed version with a model in this process, or a judge decides.
        """
        spec = self.spec
        if spec.strategy in LABELS:
            weights = np.array([member.weight for member in spec.members])
            return pool.pool(
                spec.strategy, self.said(texts), pool.present_weights(weights, np.ones(len(weights), bool))
            )
        if spec.strategy is Strategy.AGREE:
            return pool.pool(Strategy.MAJORITY, self.said(texts), np.ones(len(spec.members)))
        if spec.strategy is Strategy.BEST_OF:
            raise InvalidInput(
                "a judge decides over whole answers; they cannot be predicted",
                what="strategy",
                requested=spec.strategy.value,
                remedy="serve the version as a shadow or in an experiment",
            )
        return self._in_turn(texts)[0]

    def familiarity(self, texts: Sequence[str]) -> Floats:
        """The mean of the members' familiarity."""
        return np.asarray(np.mean([self._load(member).familiarity(texts) for member in self.spec.members], axis=0))

    def said(self, texts: Sequence[str]) -> Floats:
        """What each member says, shape ``(members, texts, labels)``."""
        return np.stack([self._one(index, texts) for index in range(len(self.spec.members))])

    def course(self, texts: Sequence[str], limits: Limits = NO_LIMITS) -> Course:
        """Who would be asked, and whose answer would stand. Where all are asked, everybody decides: position -1."""
        if self.spec.strategy in (Strategy.CASCADE, Strategy.SELECT, Strategy.FIRST_GOOD):
            return self._in_turn(texts, limits)[1]
        everybody = np.ones((len(self.spec.members), len(texts)), bool)
        return Course(everybody, np.full(len(texts), -1))

    def candidates(self, text: str) -> list[Candidate]:
        """What ``select`` expects of each member for a text, costs counted for the question alone."""
        assert self.quality is not None
        return candidates(self.spec, self.quality, text)

    def _load(self, member: MemberSpec) -> FittedModel:
        """The model of a member, kept: a fixed version never changes."""
        found = self._models.get(member.name)
        if found is None:
            found = self._models[member.name] = self._find(member)
        return found

    def _in_turn(self, texts: Sequence[str], limits: Limits = NO_LIMITS) -> tuple[Floats, Course]:
        members = self.spec.members
        asked = np.zeros((len(members), len(texts)), bool)
        found = np.zeros((len(texts), len(self.spec.labels)))
        decided = np.zeros(len(texts), np.int64)
        if self.spec.strategy is Strategy.SELECT:
            weight = self.spec.cost_weight
            decided = np.array([ranked(self.candidates(text), limits, weight)[0] for text in texts], np.int64)
            asked[decided, np.arange(len(texts))] = True
            for index in range(len(members)):
                own = np.flatnonzero(decided == index)
                if len(own):
                    found[own] = self._one(index, [texts[place] for place in own.tolist()])
            return found, Course(asked, decided)
        left = np.arange(len(texts))
        for index in range(len(members)):
            if not len(left):
                break
            said = self._one(index, [texts[place] for place in left.tolist()])
            asked[index, left] = True
            stands = np.ones(len(left), bool)
            if self.spec.strategy is Strategy.CASCADE and index < len(members) - 1:
                confidence = np.vstack([said.max(axis=1), np.ones(len(left))])
                stands = stops_at(confidence, [_threshold(members[index])]) == 0
            found[left[stands]], decided[left[stands]] = said[stands], index
            left = left[~stands]
        return found, Course(asked, decided)

    def _one(self, index: int, texts: Sequence[str]) -> Floats:
        """What a member says of the ensemble's labels; what it gives to other labels is left out."""
        model = self._load(self.spec.members[index])
        said = model.predict(texts)
        if model.card.labels == self.spec.labels:
            return said
        at = {label: place for place, label in enumerate(self.spec.labels)}
        known = [column for column, label in enumerate(model.card.labels) if label in at]
        aligned = np.zeros((len(texts), len(self.spec.labels)))
        aligned[:, [at[model.card.labels[column]] for column in known]] = said[:, known]
        return aligned


def candidates(spec: EnsembleSpec, quality: Quality, text: str, tokens: float | None = None) -> list[Candidate]:
    """What is expected of each member for a text before it has been seen in service.

    Args:
        spec: of the ensemble.
        quality: what was learned.
        text: of the query.
        tokens: of question and answer together; by default the words of the question.
    """
    likely = 1 / (1 + np.exp(-quality.log_odds(text)))
    counted = len(text.split()) if tokens is None else tokens
    return [
        Candidate(member.name, float(chance), member.cost * counted / 1000, member.latency_ms)
        for member, chance in zip(spec.members, likely, strict=True)
    ]


def _threshold(member: MemberSpec) -> float:
    return NEVER if member.threshold is None else member.threshold
