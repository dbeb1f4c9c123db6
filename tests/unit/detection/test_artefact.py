from __future__ import annotations

import json

import pytest

from bailiwick.detection.artefact import DESCRIPTION, from_files, to_files
from bailiwick.detection.detector import Detector
from bailiwick.detection.learn import Learned
from bailiwick.domains.model import Domain
from bailiwick.errors import InvalidInput


def test_artefact__saved_and_loaded__same_bytes_and_same_answers(learned: Learned) -> None:
    files = to_files(learned)
    again = from_files(files)
    assert to_files(again) == files
    domains = {name: Domain(name, name, "a") for name in ("cards", "loans")}
    texts = ["my card was blocked", "interest for a loan", "bread"]
    assert Detector(domains, again).detect_all(texts) == Detector(domains, learned).detect_all(texts)


def test_artefact__nothing_learned__round_trip() -> None:
    empty = Learned("f" * 64, skipped={"cards": "too few"})
    assert from_files(to_files(empty)) == empty


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"members": -1},
        {"members": "3"},
        {"members": 10**9},
        {"domains": []},
        {"domains": ["cards"]},
        {"family": "pickle"},
        {"words": []},
        {"words": {"cards": {"card": "heavy"}}},
        {"combination": {"classifier": 1}},
        {"thresholds": None},
        {"extra": 1},
    ],
    ids=str,
)
def test_artefact__damaged_description__is_refused(learned: Learned, change: dict[str, object]) -> None:
    files = to_files(learned)
    files[DESCRIPTION] = json.dumps({**json.loads(files[DESCRIPTION]), **change}).encode()
    with pytest.raises(InvalidInput):
        from_files(files)


@pytest.mark.parametrize("name", [DESCRIPTION, "member-0/weights.safetensors", "member-2/model.json"])
def test_artefact__missing_or_truncated_file__is_refused(learned: Learned, name: str) -> None:
    files = to_files(learned)
    with pytest.raises(InvalidInput):
        from_files({key: content for key, content in files.items() if key != name})
    with pytest.raises(InvalidInput):
        from_files({**files, name: files[name][: len(files[name]) // 2]})
