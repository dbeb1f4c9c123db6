"""Canaries through the private family that ships: what the one-run audit of `privacy.audit.training` is given."""

from __future__ import annotations

import secrets

import numpy as np

from bailiwick.models.model import LabelledText
from bailiwick.models.private_linear_text.family import PrivateLinearTextFamily
from bailiwick.models.private_linear_text.features import FEATURE_GRID
from bailiwick.models.private_linear_text.fit import Noise, fit, unit_examples
from bailiwick.privacy.audit.mechanism import CERTAIN, Verdict
from bailiwick.privacy.audit.training import audit_guesses
from bailiwick.privacy.sampling import poisson_sample
from bailiwick.privacy.training_noise import Integers, add_discrete_gaussian

_LABELS = ("a", "b", "c", "d")
_FEATURES = 2048
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def no_noise(values: Integers, _scale: float) -> Integers:
    """What a broken noise source would do: the control that an audit must refute."""
    return values


def audit_private_training(
    epsilon: float,
    *,
    delta: float = 1e-8,
    canaries: int = 1_000,
    noise: Noise = add_discrete_gaussian,
    confidence: float = CERTAIN,
) -> Verdict:
    """Train once on canaries of which a coin keeps half, and guess which from the weights.

    Args:
        epsilon: what the plan claims.
        delta: of the plan. A large one hides alarms: ``canaries * delta`` of the guesses prove nothing.
        canaries: texts of random letters, each a unit of its own. Half as many guesses are made.
        noise: replaced by `no_noise` for the control.
        confidence: of the verdict.
    """
    plan = PrivateLinearTextFamily().plan(epsilon, delta, 1, {"features": _FEATURES})
    texts = [LabelledText(_nonsense(), secrets.choice(_LABELS), f"canary-{n:06}") for n in range(canaries)]
    included = poisson_sample(canaries, 0.5)
    trained = [text for text, keep in zip(texts, included, strict=True) if keep]
    weights = fit(unit_examples(trained, _LABELS, 1, _FEATURES), len(_LABELS), plan, noise=noise)
    every = unit_examples(texts, _LABELS, 1, _FEATURES)
    scores = np.asarray(every.rows @ weights) / FEATURE_GRID
    margins = scores[np.arange(canaries), every.truth] - scores.mean(axis=1)
    return audit_guesses(margins, included, epsilon, guesses=canaries // 2, delta=delta, confidence=confidence)


def _nonsense() -> str:
    return " ".join("".join(secrets.choice(_LETTERS) for _ in range(6)) for _ in range(8))
