"""Audits must refute what is wrong and leave alone what is right. Each test says how often it can err."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("opendp")

from opendp.domains import atom_domain, vector_domain
from opendp.measurements import make_laplace
from opendp.metrics import l1_distance
from opendp.mod import enable_features

from bailiwick.privacy.audit.mechanism import CERTAIN, audit, epsilon_bound, majority
from bailiwick.privacy.audit.precision import audit_serialised
from bailiwick.privacy.audit.training import audit_guesses
from bailiwick.training.privacy_audit import audit_private_training, no_noise

RUNS = 30_000


def laplace(value: int, runs: int, epsilon: float, sensitivity: int = 1_000) -> np.ndarray:
    """Exact discrete Laplace noise."""
    enable_features("contrib")
    noise = make_laplace(vector_domain(atom_domain(T="i64")), l1_distance(T="i64"), scale=sensitivity / epsilon)
    return np.asarray(noise(np.full(runs, value, np.int64)))


def test_mechanism__true_claim_and_one_5_percent_too_low__only_the_second_refuted() -> None:
    def judged(true_epsilon: float) -> bool:
        sides = [(laplace(0, RUNS, true_epsilon, 1), laplace(1, RUNS, true_epsilon, 1)) for _ in range(7)]
        return majority([audit(without, with_unit, 1.0) for without, with_unit in sides])

    # 7 audits, majority: the true claim is refuted once in 1e7 runs, the false one passes once in 1e6.
    assert not judged(1.0)
    assert judged(1.05)


def test_mechanism__one_unit_with_five_rows_uncapped__refuted() -> None:
    verdict = audit(laplace(0, 5_000, 1.0), laplace(5_000, 5_000, 1.0), 1.0, confidence=CERTAIN)
    assert verdict.refuted
    assert verdict.lower_bound > 2


def test_mechanism__unit_moves_the_output_down__refuted_too() -> None:
    assert audit(laplace(0, 5_000, 4.0), laplace(-1_000, 5_000, 4.0), 1.0, confidence=CERTAIN).refuted


def test_audit__sides_far_apart__every_output_counts() -> None:
    # The threshold lies in the gap, not at the least of the outputs that chose it, so nothing is missed: 0 of 180.
    lowest = (0.5e-6) ** (1 / 180)
    for _ in range(20):
        verdict = audit(laplace(0, 200, 1.0), laplace(10**6, 200, 1.0), 1.0, confidence=CERTAIN)
        assert verdict.lower_bound == pytest.approx(np.log(lowest / (1 - lowest)))


def test_bound__known_counts__as_clopper_pearson() -> None:
    # 0 of 100 gives an upper bound of 1 - 0.025**(1/100); 100 of 100 a lower one of its complement.
    bound = epsilon_bound(100, 100, 0, 100, delta=0.0, confidence=0.95)
    share = 0.025 ** (1 / 100)
    assert bound == pytest.approx(np.log(share / (1 - share)))


def test_precision__numpy_laplace_serialised__refuted() -> None:
    generator = np.random.default_rng(1)
    sides = [[json.dumps(v) for v in (true + generator.laplace(0, 1, 20_000)).tolist()] for true in (0.0, 1.0)]
    assert audit_serialised(sides[0], sides[1], 1.0).refuted


def test_precision__exact_noise_serialised__not_refuted() -> None:
    sides = [[json.dumps(v / 1_000) for v in laplace(true, 20_000, 1.0).tolist()] for true in (0, 1_000)]
    assert not audit_serialised(sides[0], sides[1], 1.0).refuted


def test_guesses__randomised_response_of_epsilon_4__claim_of_1_refuted_of_4_not() -> None:
    generator = np.random.default_rng(2)
    included = generator.random(2_000) < 0.5
    truthful = generator.random(2_000) < 1 / (1 + np.exp(-4.0))
    scores = np.where(included == truthful, 1.0, 0.0) + generator.random(2_000) / 10
    assert audit_guesses(scores, included, 1.0, guesses=1_000).refuted
    assert not audit_guesses(scores, included, 4.0, guesses=1_000).refuted


def test_training__private_family__claim_stands_and_control_without_noise_is_refuted() -> None:
    # At a confidence of 1 - 1e-6 the claim, being true, is refuted in less than one run in a million.
    assert not audit_private_training(1.0, canaries=600).refuted
    # Without noise the bound was 3.4 for 1,000 canaries in every one of our runs.
    assert audit_private_training(1.0, canaries=1_000, noise=no_noise).refuted
