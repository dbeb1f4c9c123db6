"""The family ``linear-text``: how its models are trained, saved and loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bailiwick.errors import InvalidInput
from bailiwick.models.linear_text.artefact import from_files, to_files
from bailiwick.models.linear_text.fit import Schedule, batch_by_size, epochs_by_size, fit, rate_by_batch
from bailiwick.models.linear_text.fitted import LinearTextModel
from bailiwick.models.linear_text.network import Floats, Weights, fresh_weights, warm_weights
from bailiwick.models.linear_text.vocabulary import Vocabulary, learn
from bailiwick.models.model import EpochLoss, LabelledText, ModelCard
from bailiwick.models.ports import FittedModel
from bailiwick.models.settings import Parameter, Value, resolve
from bailiwick.statistics.calibration import fit_temperature

NAME = "linear-text"
PARAMETERS = {
    "hidden": Parameter(256, 8, 2048, "size of the hidden layer"),
    "epochs": Parameter(0, 0, 1000, "passes over the examples; 0 chooses by their number"),
    "batch": Parameter(0, 0, 4096, "examples per step; 0 chooses by their number"),
    "learning_rate": Parameter(0.0, 0.0, 1.0, "highest step size of the schedule; 0 chooses by the batch"),
    "weight_decay": Parameter(1e-4, 0.0, 10.0, "pull of the term vectors towards zero"),
    "feature_dropout": Parameter(0.1, 0.0, 0.9, "share of features hidden in a step"),
    "hidden_dropout": Parameter(0.4, 0.0, 0.9, "share of the hidden layer hidden in a step"),
    "refit": Parameter(
        0, 0, 1, "1 trains once more, on examples and validation together, for the epochs that validation chose"
    ),
    "min_count": Parameter(0, 0, 1000, "texts that a term must be found in; 0 chooses by their number"),
    "shortest_piece": Parameter(2, 1, 8, "characters of the shortest piece of a word"),
    "longest_piece": Parameter(5, 1, 8, "characters of the longest piece of a word"),
}
_USUAL_EPOCHS, _WARM_EPOCHS = 9, 4
_RARE_TERMS_BELOW = 4_000
_FEWEST_FOR_TEMPERATURE = 15
_ENERGY_QUANTILES = 101


class LinearTextFamily:
    """Additive n-gram features, one hidden layer, softmax. No torch; trains 10,000 texts in CPU seconds."""

    @property
    def name(self) -> str:
        """The family's name in registry records."""
        return NAME

    def train(
        self,
        examples: Sequence[LabelledText],
        validation: Sequence[LabelledText],
        *,
        seed: int,
        settings: Mapping[str, Value] | None = None,
        start: FittedModel | None = None,
        progress: Callable[[EpochLoss], None] | None = None,
    ) -> LinearTextModel:
        """Fit on the examples; see `ModelFamily.train`.

        The labels of the model are those of the examples. From a start, terms and labels that it knows keep what they
        had learned, new ones begin afresh; its hidden size and sizes of pieces are kept. Calibration and familiarity
        rest on the validation texts, before any refit; without 15 of them on what the start had, else on the examples,
        which flatters.
        """
        chosen = resolve(NAME, PARAMETERS, settings)
        labels = _labels(examples)
        earlier = _as_start(start, chosen, settings or {})
        held_out = [example for example in validation if example.label in set(labels)]
        schedule = _schedule(chosen, len(examples), earlier)
        refit = bool(chosen["refit"] and held_out)
        tell = _numbered(progress, 0, schedule.epochs * (1 + refit)) if progress else None
        learned = _fit(examples, held_out, labels, chosen, schedule, earlier, seed, tell)
        calibration = _calibrate(learned, held_out, examples, labels, earlier)
        if refit:
            tell = _numbered(progress, schedule.epochs, schedule.epochs * 2) if progress else None
            again = replace(schedule, stop_after=learned.best_epoch)
            learned = _fit([*examples, *held_out], [], labels, chosen, again, earlier, seed, tell)
        card = ModelCard(NAME, labels, learned.weights.count, chosen)
        return LinearTextModel(card, learned.vocabulary, learned.weights, *calibration)

    def save(self, model: FittedModel) -> Mapping[str, bytes]:
        """The artefact of a model of this family.

        Raises:
            InvalidInput: the model is of another family.
        """
        return to_files(_own(model))

    def load(self, files: Mapping[str, bytes]) -> LinearTextModel:
        """The model of an artefact; see `ModelFamily.load`."""
        return from_files(files, NAME)


@dataclass(frozen=True, slots=True)
class _Learned:
    vocabulary: Vocabulary
    weights: Weights
    best_epoch: int


def _fit(
    examples: Sequence[LabelledText],
    held_out: Sequence[LabelledText],
    labels: tuple[str, ...],
    chosen: Mapping[str, Value],
    schedule: Schedule,
    earlier: LinearTextModel | None,
    seed: int,
    progress: Callable[[EpochLoss], None] | None,
) -> _Learned:
    generator = np.random.default_rng(seed)
    texts = [example.text for example in examples]
    vocabulary = learn(
        texts,
        min_count=int(chosen["min_count"]) or (1 if len(texts) < _RARE_TERMS_BELOW else 2),
        shortest=int(chosen["shortest_piece"]),
        longest=int(chosen["longest_piece"]),
        start=earlier.vocabulary if earlier else None,
    )
    weights = fresh_weights(len(vocabulary.terms), int(chosen["hidden"]), len(labels), generator)
    if earlier:
        at = {label: position for position, label in enumerate(labels)}
        shared = [(at[label], old) for old, label in enumerate(earlier.card.labels) if label in at]
        weights = warm_weights(weights, earlier.weights, shared)
    features = vocabulary.matrix(texts)
    checks = None
    if held_out:
        checks = (vocabulary.matrix([example.text for example in held_out]), _positions(held_out, labels))
    with threadpool_limits(1, "blas"):  # the matrices are small: more threads triple the CPU time for nothing
        weights, best = fit(weights, features, _positions(examples, labels), checks, schedule, generator, progress)
    # Artefacts keep half precision; so does the model from the start, or it would change when it is loaded.
    return _Learned(vocabulary, replace(weights, terms=weights.terms.astype(np.float16).astype(np.float32)), best)


def _calibrate(
    learned: _Learned,
    held_out: Sequence[LabelledText],
    examples: Sequence[LabelledText],
    labels: tuple[str, ...],
    earlier: LinearTextModel | None,
) -> tuple[float, Floats]:
    """The temperature, and the quantiles of the energy."""
    enough = len(held_out) >= _FEWEST_FOR_TEMPERATURE
    if earlier and not enough:
        return earlier.temperature, earlier.energies
    judge = held_out if enough else examples
    scores = learned.weights.scores(learned.vocabulary.matrix([example.text for example in judge]))
    temperature = fit_temperature(scores, _positions(judge, labels)) if enough else 1.0
    return temperature, _quantiles(scores.astype(np.float64) / temperature)


def _positions(examples: Sequence[LabelledText], labels: tuple[str, ...]) -> NDArray[np.int64]:
    at = {label: position for position, label in enumerate(labels)}
    return np.array([at[example.label] for example in examples], np.int64)


def _numbered(progress: Callable[[EpochLoss], None], before: int, epochs: int) -> Callable[[EpochLoss], None]:
    """The progress of one of two fits, told as part of the whole."""

    def tell(loss: EpochLoss) -> None:
        progress(replace(loss, epoch=before + loss.epoch, epochs=epochs))

    return tell


def _labels(examples: Sequence[LabelledText]) -> tuple[str, ...]:
    counts = Counter(example.label for example in examples)
    if len(counts) < 2:
        raise InvalidInput(
            f"training needs at least two labels, got {len(counts)}",
            what="examples",
            requested=sorted(counts),
            remedy="add examples of another label",
        )
    rare = sorted(label for label, count in counts.items() if count < 2)
    if rare:
        raise InvalidInput(
            f"label {rare[0]!r} has one example only",
            what="examples",
            requested=rare[:20],
            allowed="at least two examples of each label",
            remedy="add examples of it, or leave it out",
        )
    return tuple(sorted(counts))


def _own(model: FittedModel) -> LinearTextModel:
    if not isinstance(model, LinearTextModel):
        raise InvalidInput(
            f"the model is of family {model.card.family!r}, not {NAME!r}", what="family", requested=model.card.family
        )
    return model


def _as_start(
    start: FittedModel | None, chosen: dict[str, Value], given: Mapping[str, Value]
) -> LinearTextModel | None:
    """The start as a model of this family; its architecture replaces the defaults in ``chosen``."""
    if start is None:
        if int(chosen["shortest_piece"]) > int(chosen["longest_piece"]):
            raise InvalidInput("the shortest piece is longer than the longest", what="shortest_piece")
        return None
    earlier = _own(start)
    architecture = {
        "hidden": len(earlier.weights.hidden_bias),
        "shortest_piece": earlier.vocabulary.shortest,
        "longest_piece": earlier.vocabulary.longest,
    }
    for name, value in architecture.items():
        if given.get(name, value) != value:
            raise InvalidInput(
                f"{name!r} is {value} in the model to start from and cannot change",
                what=name,
                requested=given[name],
                allowed=value,
                remedy="leave it out, or train from scratch",
            )
    chosen.update(architecture)
    return earlier


def _schedule(chosen: Mapping[str, Value], examples: int, earlier: LinearTextModel | None) -> Schedule:
    batch = int(chosen["batch"]) or batch_by_size(examples)
    usual = _WARM_EPOCHS if earlier else _USUAL_EPOCHS
    return Schedule(
        epochs=int(chosen["epochs"]) or (usual if earlier else epochs_by_size(examples, batch, usual)),
        batch=batch,
        # A warm start moves half as far: it must not forget before it has learned.
        rate=float(chosen["learning_rate"]) or rate_by_batch(batch) * (0.5 if earlier else 1.0),
        weight_decay=float(chosen["weight_decay"]),
        feature_dropout=float(chosen["feature_dropout"]),
        hidden_dropout=float(chosen["hidden_dropout"]),
    )


def _quantiles(scores: NDArray[np.float64]) -> Floats:
    highest = scores.max(axis=1)
    energy = highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1))
    return np.asarray(np.quantile(energy, np.linspace(0, 1, _ENERGY_QUANTILES)), np.float32)
