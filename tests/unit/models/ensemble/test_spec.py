from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from ensembles import Fixed
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.errors import InvalidInput
from bailiwick.models.ensemble.family import NUMBERS, SPEC, EnsembleFormat
from bailiwick.models.ensemble.fitted import EnsembleModel
from bailiwick.models.ensemble.quality import BUCKETS, Quality
from bailiwick.models.ensemble.spec import EnsembleSpec, MemberSpec, Strategy, from_document, to_json

A, B = MemberSpec("cards", "v1", weight=0.5, accuracy=0.9), MemberSpec("cards", "v2", threshold=0.8, cost=2.0)
VOTE = EnsembleSpec(Strategy.VOTE, (A, B), ("a", "b"), quorum=2)
FORMAT = EnsembleFormat(lambda _member: Fixed(a=0.5, b=0.5))


def test_to_json__read_again__the_same_spec_and_bytes() -> None:
    assert from_document(json.loads(to_json(VOTE))) == VOTE
    assert to_json(from_document(json.loads(to_json(VOTE)))) == to_json(VOTE)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"members": ()}, "members"),
        ({"quorum": 3}, "quorum"),
        ({"deadline_ms": 0.0}, "deadline_ms"),
        ({"deadline_ms": float("nan")}, "deadline_ms"),
        ({"members": (A, A)}, "twice"),
        ({"strategy": Strategy.BEST_OF}, "judge"),
        ({"judge": A}, "judge"),
        ({"strategy": Strategy.STACKING, "members": (MemberSpec("cards"), B)}, "fixed versions"),
        ({"members": (MemberSpec("Cards!"), B)}, "members"),
        ({"members": (MemberSpec("cards", "v1", weight=-1.0), B)}, "weight"),
        ({"members": (MemberSpec("cards", "v1", cost=float("inf")), B)}, "cost"),
    ],
)
def test_spec__what_does_not_fit__refused_by_name(fields: dict[str, Any], words: str) -> None:
    whole = {"strategy": VOTE.strategy, "members": VOTE.members, "quorum": 1, **fields}
    with pytest.raises(InvalidInput, match=words):
        EnsembleSpec(**whole)


def test_cascade__that_follows_domains__goes_by_thresholds_that_are_set_or_is_refused() -> None:
    small, large = MemberSpec("small", threshold=0.8), MemberSpec("large")
    spec = EnsembleSpec(Strategy.CASCADE, (small, large))
    assert spec.follows
    assert from_document(json.loads(to_json(spec))) == spec
    with pytest.raises(InvalidInput, match="fixed versions") as refused:
        EnsembleSpec(Strategy.CASCADE, (MemberSpec("small"), large))
    assert "--threshold small=" in str(refused.value.remedy)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["members", "labels", "strategy", "quorum", "deadline_ms", "judge", "slow_ms", "cost_weight"]),
)
def test_from_document__hostile_values__refused_or_a_valid_spec(value: object, field: str) -> None:
    document = {**json.loads(to_json(VOTE)), field: value}
    try:
        found = from_document(document)
    except InvalidInput:
        return
    assert from_document(json.loads(to_json(found))) == found


def test_format__saved_and_loaded__the_same_bytes_and_predictions() -> None:
    quality = Quality(np.array([0.1, 0.2]), np.zeros((2, BUCKETS)))
    spec = EnsembleSpec(Strategy.SELECT, (A, B), ("a", "b"))
    made = EnsembleModel(spec, quality, lambda _member: Fixed(a=0.3, b=0.7))
    files = FORMAT.save(made)
    loaded = FORMAT.load(files)
    assert dict(FORMAT.save(loaded)) == dict(files)
    assert loaded.spec == spec
    assert loaded.quality is not None and (loaded.quality.bias == quality.bias).all()


@pytest.mark.parametrize(
    "files",
    [
        {},
        {SPEC: b"{}"},
        {SPEC: b"[1]"},
        {SPEC: to_json(VOTE), "more": b""},
        {SPEC: to_json(VOTE), NUMBERS: b"x"},
        {SPEC: to_json(EnsembleSpec(Strategy.SELECT, (A, B)))},
        {SPEC: to_json(VOTE).replace(b'"vote"', b'"exec"')},
    ],
)
def test_format__damaged_artefact__refused(files: dict[str, bytes]) -> None:
    with pytest.raises(InvalidInput):
        FORMAT.load(files)


def test_predict__members_with_other_labels__aligned_and_unknown_ones_left_out() -> None:
    models = {"v1": Fixed(a=0.6, b=0.4), "v2": Fixed(b=0.3, c=0.7)}
    spec = EnsembleSpec(Strategy.AVERAGE, (MemberSpec("cards", "v1"), MemberSpec("cards", "v2")), ("a", "b", "c"))
    made = EnsembleModel(spec, None, lambda member: models[str(member.version)])
    assert np.allclose(made.predict(["x"]), [[0.3, 0.35, 0.35]])
    narrow = EnsembleModel(
        EnsembleSpec(Strategy.AVERAGE, spec.members, ("a", "b")), None, lambda member: models[str(member.version)]
    )
    assert np.allclose(narrow.predict(["x"]).sum(), 1)


def test_predict__best_of__says_that_it_cannot_be_predicted() -> None:
    spec = EnsembleSpec(Strategy.BEST_OF, (A, B), ("a", "b"), judge=A)
    with pytest.raises(InvalidInput, match="judge"):
        EnsembleModel(spec, None, lambda _member: Fixed(a=1.0)).predict(["x"])
