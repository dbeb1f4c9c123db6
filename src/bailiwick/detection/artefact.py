"""The stored form of what was learned: one JSON description, and each classifier member's own artefact beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bailiwick.detection.classifier import TextClassifier
from bailiwick.detection.combine import Combination
from bailiwick.detection.learn import Learned
from bailiwick.errors import InvalidInput
from bailiwick.models.catalogue import family
from bailiwick.models.safe_files import read_json

FORMAT = 1
DESCRIPTION = "detector.json"
_MEMBER = "member-{number}/"
_MOST_MEMBERS = 16
_KEYS = {
    "format", "fingerprint", "words", "domains", "members", "family", "combination", "thresholds", "examples",
    "skipped", "held_out_accuracy",
}  # fmt: skip


def to_files(learned: Learned) -> dict[str, bytes]:
    """The artefact: file name to content. Saving a loaded artefact gives the same bytes."""
    classifier = learned.classifier
    members = classifier.members if classifier else ()
    name = members[0].card.family if members else None
    description = {
        "format": FORMAT,
        "fingerprint": learned.fingerprint,
        "words": {domain: dict(found) for domain, found in learned.words.items()},
        "domains": list(classifier.domains) if classifier else [],
        "members": len(members),
        "family": name,
        "combination": {"classifier": learned.combination.classifier, "keywords": learned.combination.keywords},
        "thresholds": dict(learned.thresholds),
        "examples": dict(learned.examples),
        "skipped": dict(learned.skipped),
        "held_out_accuracy": learned.held_out_accuracy,
    }
    text = json.dumps(description, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    files = {DESCRIPTION: text.encode()}
    for number, member in enumerate(members):
        for file, content in family(name or "").save(member).items():
            files[_MEMBER.format(number=number) + file] = content
    return files


def from_files(files: Mapping[str, bytes]) -> Learned:
    """What an artefact holds; nothing in it is executed.

    Raises:
        InvalidInput: a file is missing, damaged, or not of this format.
    """
    if DESCRIPTION not in files:
        raise _wrong("a file is missing", DESCRIPTION)
    found = read_json(files, DESCRIPTION)
    if set(found) != _KEYS or found["format"] != FORMAT:
        raise _wrong("unexpected keys or format", sorted(found)[:20])
    members = found["members"]
    if type(members) is not int or not 0 <= members <= _MOST_MEMBERS:
        raise _wrong("the number of members", members)
    classifier = None
    if members:
        names = found["domains"]
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names) or not names:
            raise _wrong("domains", names)
        fitted = tuple(family(str(found["family"])).load(_below(files, number)) for number in range(members))
        classifier = TextClassifier(fitted, tuple(names))
    weights = _numbers(found, "combination")
    if set(weights) != {"classifier", "keywords"}:
        raise _wrong("combination", weights)
    accuracy = found["held_out_accuracy"]
    return Learned(
        fingerprint=str(found["fingerprint"]),
        words={domain: _numbers(_object(found, "words"), domain) for domain in _object(found, "words")},
        classifier=classifier,
        combination=Combination(**weights),
        thresholds=_numbers(found, "thresholds"),
        examples={domain: int(count) for domain, count in _numbers(found, "examples").items()},
        skipped={domain: str(why) for domain, why in _object(found, "skipped").items()},
        held_out_accuracy=float(accuracy) if isinstance(accuracy, int | float) else None,
    )


def _below(files: Mapping[str, bytes], number: int) -> dict[str, bytes]:
    prefix = _MEMBER.format(number=number)
    return {name.removeprefix(prefix): content for name, content in files.items() if name.startswith(prefix)}


def _object(found: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = found[key]
    if not isinstance(value, dict):
        raise _wrong(key, value)
    return value


def _numbers(found: Mapping[str, Any], key: str) -> dict[str, float]:
    value = _object(found, key)
    if not all(type(each) in (int, float) for each in value.values()):
        raise _wrong(key, value)
    return {name: float(each) for name, each in value.items()}


def _wrong(what: str, found: Any) -> InvalidInput:
    return InvalidInput(
        f"the stored detector cannot be read: {what}: {str(found)[:100]!r}",
        what=what,
        where=DESCRIPTION,
        remedy="learn again with `bailiwick detect --relearn`",
    )
