from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from bailiwick.detection.artefact import to_files
from bailiwick.detection.classifier import held_out_parts, samples
from bailiwick.detection.learn import Learned, fingerprint_of, learn, merged, own_examples
from bailiwick.domains.model import Domain, Example
from bailiwick.models.model import EpochLoss, LabelledText


def texts(count: int, label: str = "", word: str = "text") -> list[LabelledText]:
    return [LabelledText(f"{word} {number} {label}", label) for number in range(count)]


def test_samples__rare_label__joins_the_rest_of_its_domain() -> None:
    found, skipped = samples({"a": [*texts(6, "big"), *texts(2, "rare"), *texts(2, "odd")], "b": texts(5)})
    assert {each.label for each in found} == {"a/big", "a/", "b/"}
    assert skipped == {}


def test_samples__one_rare_label__joins_the_most_frequent_one() -> None:
    found, _ = samples({"a": [*texts(6, "big"), *texts(1, "rare")], "b": texts(5)})
    assert {each.label for each in found} == {"a/big", "b/"}


def test_samples__too_few_distinct_examples__says_so() -> None:
    found, skipped = samples({"a": texts(5), "b": texts(5), "c": texts(1) * 9, "d": [LabelledText("  ", "x")] * 9})
    assert {each.domain for each in found} == {"a", "b"}
    assert set(skipped) == {"c", "d"}


def test_samples__one_domain_only__nothing_to_tell_apart() -> None:
    found, skipped = samples({"a": texts(50)})
    assert found == []
    assert "no other domain" in skipped["a"]


def test_held_out_parts__few__everything_is_judged_once() -> None:
    found, _ = samples({"a": texts(50), "b": texts(31)})
    masks = held_out_parts(found, seed=1)
    assert (np.sum(masks, axis=0) == 1).all()


def test_held_out_parts__many__a_tenth_of_each_label() -> None:
    found, _ = samples({"a": texts(1_500), "b": texts(800), "c": texts(5)})
    mask = held_out_parts(found, seed=1)[0]
    assert sum(mask[index] for index, each in enumerate(found) if each.domain == "b") == 80
    assert not any(mask[index] for index, each in enumerate(found) if each.domain == "c")


def test_held_out_parts__unit__is_never_split() -> None:
    units = [LabelledText(f"text {n}", "x", f"customer {n % 5}") for n in range(60)]
    found, _ = samples({"a": units, "b": texts(20)})
    for mask in held_out_parts(found, seed=3):
        apart = {each.unit for each, out in zip(found, mask, strict=True) if out and each.unit}
        kept = {each.unit for each, out in zip(found, mask, strict=True) if not out and each.unit}
        assert not apart & kept


def test_learn__same_arguments__same_bytes(
    learned: Learned, domains: Mapping[str, Domain], examples: Mapping[str, list[LabelledText]]
) -> None:
    seen: list[tuple[int, int, EpochLoss]] = []
    again = learn(list(domains.values()), examples, seed=7, progress=lambda *step: seen.append(step))
    assert to_files(again) == to_files(learned)
    assert {(member, members) for member, members, _ in seen} == {(1, 3), (2, 3), (3, 3)}


def test_learn__held_out_accuracy__is_measured_on_unseen_texts(learned: Learned) -> None:
    assert learned.held_out_accuracy is not None
    assert learned.held_out_accuracy > 0.9
    assert 0 < learned.thresholds["0.01"] <= learned.thresholds["0.1"] < 1


def test_learn__shuffled_labels__held_out_accuracy_is_honest(domains: Mapping[str, Domain]) -> None:
    generator = np.random.default_rng(0)
    vocabulary = [f"w{chr(97 + n)}" for n in range(20)]
    noise = {
        name: [LabelledText(" ".join(generator.choice(vocabulary, 4)), "") for _ in range(60)]
        for name in ("cards", "loans")
    }
    found = learn(list(domains.values()), noise, seed=1)
    assert found.held_out_accuracy is not None
    assert found.held_out_accuracy < 0.7


def test_learn__nothing_usable__only_says_why(domains: Mapping[str, Domain]) -> None:
    found = learn(list(domains.values()), {"cards": texts(2)}, seed=1)
    assert found.classifier is None
    assert "cards" in found.skipped


def test_learn__examples_of_one_unit__do_not_fail(domains: Mapping[str, Domain]) -> None:
    one = [LabelledText(f"card {n}", "x", "ada") for n in range(10)]
    found = learn(list(domains.values()), {"cards": one, "loans": texts(10, "y", "loan")}, seed=1)
    assert found.classifier is not None


def test_fingerprint__order__does_not_matter_but_content_does() -> None:
    one, other = texts(3), texts(3)[::-1]
    assert fingerprint_of({"a": one}, 1) == fingerprint_of({"a": other}, 1)
    assert fingerprint_of({"a": one}, 1) != fingerprint_of({"b": one}, 1)
    assert fingerprint_of({"a": one}, 1) != fingerprint_of({"a": one}, 2)


def test_own_examples__of_domains__by_id() -> None:
    cards = Domain("cards", "Cards", "a", examples=(Example("my card", "lost"), Example("a pin")))
    found = merged(own_examples([cards, Domain("loans", "Loans", "a")]), {"cards": texts(1)})
    assert [(each.text, each.label) for each in found["cards"]] == [("my card", "lost"), ("a pin", ""), ("text 0 ", "")]
    assert list(found) == ["cards"]


@pytest.mark.parametrize("seed", [1, 2])
def test_learn__seed__is_part_of_the_fingerprint(seed: int, domains: Mapping[str, Domain]) -> None:
    assert learn(list(domains.values()), {}, seed=seed).fingerprint == fingerprint_of({}, seed)
