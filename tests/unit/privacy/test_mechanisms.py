from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from private_rows import stated
from scipy.special import chdtrc

from bailiwick.errors import InvalidInput
from bailiwick.privacy.contributions import BoundedRows, NumericColumn, bound
from bailiwick.privacy.local import LocalRandomisation
from bailiwick.privacy.mechanisms import noise
from bailiwick.privacy.mechanisms.counts import Count
from bailiwick.privacy.mechanisms.histograms import Histogram
from bailiwick.privacy.mechanisms.means import Mean
from bailiwick.privacy.mechanisms.model import Calibrated
from bailiwick.privacy.mechanisms.noisy_max import MostFrequent
from bailiwick.privacy.mechanisms.partition_selection import PartitionSelection
from bailiwick.privacy.mechanisms.quantiles import Quantiles
from bailiwick.privacy.mechanisms.sums import Sum
from bailiwick.privacy.terms import LARGEST_CAP, Adjacency, Categories, ColumnBounds, ReleaseTerms

TERMS = stated()
AMOUNT = NumericColumn.of(TERMS, "amount", 2)
# Noise of scale sensitivity / 100: an answer off by one step of a count has a probability below e**-16.
LOUD = 100.0


def rows(terms: ReleaseTerms = TERMS, count: int = 300) -> BoundedRows:
    """``count`` units of 5 rows each, of which the cap leaves 3; every third unit says b, the others a."""
    units = [f"u{number // 5}" for number in range(count * 5)]
    labels = ["b" if number // 5 % 3 == 0 else "a" for number in range(count * 5)]
    amounts = [number // 5 / count * 100 for number in range(count * 5)]
    return bound(terms, units, categorical={"label": labels}, numeric={NumericColumn.of(terms, "amount", 2): amounts})


def words(terms: ReleaseTerms, found: dict[str, int]) -> BoundedRows:
    units = [f"u{number}" for count in found.values() for number in range(count)]
    values = [word for word, count in found.items() for _ in range(count)]
    return bound(terms, units, categorical={"word": values}, open_columns=["word"], distinct=True)


def test_release__hardly_any_noise__the_bounded_truth() -> None:
    given = rows()
    assert abs(Count(TERMS, LOUD).release(given)["count"] - 900) <= 1
    assert Count(TERMS, LOUD, units=True).release(given) == {"count": 300}
    cells = {tuple(cell["key"]): cell["count"] for cell in Histogram(TERMS, ("label",), LOUD).release(given)["cells"]}
    assert cells.keys() == {("a",), ("b",), ("c",)}
    assert all(abs(cells[key] - count) <= 1 for key, count in {("a",): 600, ("b",): 300, ("c",): 0}.items())
    assert Sum(TERMS, AMOUNT, LOUD).release(given)["sum"] == pytest.approx(44_850, abs=120)
    assert Mean(TERMS, AMOUNT, LOUD).release(given)["mean"] == pytest.approx(49.83, abs=0.2)
    found = Quantiles(TERMS, AMOUNT, (0.1, 0.5, 0.9), LOUD, candidates=101).release(given)["quantiles"]
    assert [each["value"] for each in found] == pytest.approx([10, 50, 90], abs=2)
    assert MostFrequent(TERMS, "label", LOUD, top=2).release(given) == {"most_frequent": ["a", "b"]}


def test_partition_selection__value_of_few__not_listed() -> None:
    terms = replace(TERMS, contribution_cap=2)
    chosen = PartitionSelection(terms, "word", 1.0, 1e-9)
    found = chosen.release(words(terms, {"common": 500, "only-mine": 1}))
    assert [value["key"] for value in found["values"]] == ["common"]
    assert chosen.release(words(terms, {}))["values"] == []


def test_local_randomisation__records__look_alike_and_average_out() -> None:
    terms = stated(adjacency=Adjacency.REPLACE, contribution_cap=1)
    mechanism = LocalRandomisation(terms, "label", 2.0)
    found = mechanism.release(rows(terms, 4_000))
    assert len(found["records"]) == 4_000
    assert 0.6 < mechanism.truth < 0.8  # e**2 / (e**2 + 2) = 0.787, less rounding
    assert found["estimated_shares"]["a"] == pytest.approx(2 / 3, abs=0.1)  # ten standard deviations
    assert found["records"] == sorted(found["records"])


def every(terms: ReleaseTerms, epsilon: float) -> list[Calibrated]:
    column = NumericColumn.of(terms, "amount", 2)
    return [
        Count(terms, epsilon),
        Count(terms, epsilon, units=True),
        Histogram(terms, ("label",), epsilon),
        Sum(terms, column, epsilon),
        Mean(terms, column, epsilon),
        Quantiles(terms, column, (0.5,), epsilon),
        MostFrequent(terms, "label", epsilon),
        PartitionSelection(terms, "word", epsilon, 1e-6),
    ]


@pytest.mark.parametrize(
    ("changed", "factors"),
    [
        ({"contribution_cap": 6}, [2, 1, 2, 2, 2, 2, 2, 2]),
        ({"adjacency": Adjacency.REPLACE}, [2, 2, 2, 2, 2, 2, 2, 2]),
        ({"bounds": {"amount": ColumnBounds(0, 200)}}, [1, 1, 1, 2, 2, 1, 1, 1]),
    ],
)
def test_noise_scale__follows_from_the_terms(changed: dict[str, Any], factors: list[int]) -> None:
    before = [mechanism.uses[0].parameters["scale"] for mechanism in every(TERMS, 1.0)]
    after = [mechanism.uses[0].parameters["scale"] for mechanism in every(stated(**changed), 1.0)]
    assert after == pytest.approx([scale * factor for scale, factor in zip(before, factors, strict=True)], rel=1e-9)


def test_noise_scale__claimed_epsilon__is_what_the_library_proves() -> None:
    for epsilon in (1e-3, 0.1, 1 / 3, 0.7, 5.0):
        made, scale = noise._laplace(3 * 64, epsilon)
        assert made.map(3 * 64) <= epsilon
        assert scale == pytest.approx(3 * 64 / epsilon, rel=1e-9)


MISSING: list[tuple[str, dict[str, Any], Callable[[ReleaseTerms], Any]]] = [
    ("unit", {"unit": None}, lambda terms: Count(terms, 1.0)),
    ("adjacency", {"adjacency": None}, lambda terms: Count(terms, 1.0)),
    ("contribution_cap", {"contribution_cap": None}, lambda terms: Count(terms, 1.0)),
    ("lifetime", {"lifetime": None}, lambda terms: Count(terms, 1.0)),
    ("bounds.amount", {"bounds": {}}, lambda terms: Sum(terms, AMOUNT, 1.0)),
    ("bounds.amount", {"bounds": {}}, lambda terms: Mean(terms, AMOUNT, 1.0)),
    ("bounds.amount", {"bounds": {}}, lambda terms: Quantiles(terms, AMOUNT, (0.5,), 1.0)),
    ("categories.label", {"categories": {}}, lambda terms: Histogram(terms, ("label",), 1.0)),
    ("categories.label", {"categories": {}}, lambda terms: MostFrequent(terms, "label", 1.0)),
    ("contribution_cap", {"contribution_cap": None}, lambda terms: PartitionSelection(terms, "word", 1.0, 1e-6)),
    ("delta", {}, lambda terms: PartitionSelection(terms, "word", 1.0, 0.0)),
    ("adjacency", {}, lambda terms: LocalRandomisation(terms, "label", 1.0)),
    ("categories.label", {"categories": {}}, lambda terms: bound(terms, ["u"], categorical={"label": ["a"]})),
    ("unit", {"unit": None}, lambda terms: bound(terms, ["u"])),
]


@pytest.mark.parametrize(("name", "changed", "make"), MISSING)
def test_calibration__a_term_missing__refused_and_named(
    name: str, changed: dict[str, Any], make: Callable[[ReleaseTerms], Any]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        make(stated(**changed))
    assert refused.value.what == name


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan"), float("inf"), 5e-324, 1e6])
def test_calibration__senseless_epsilon__refused(epsilon: float) -> None:
    for make in (lambda: Count(TERMS, epsilon), lambda: Mean(TERMS, AMOUNT, epsilon)):
        with pytest.raises(InvalidInput):
            make()


def test_release__rows_of_other_terms__refused() -> None:
    given = rows(stated(contribution_cap=4))
    for mechanism in every(TERMS, 1.0):
        with pytest.raises(InvalidInput, match="other terms"):
            mechanism.release(given)


def test_release__units_per_category_of_repeated_rows__refused() -> None:
    with pytest.raises(InvalidInput, match="distinct"):
        Histogram(TERMS, ("label",), 1.0, units=True).release(rows())


def test_column__bounds_without_a_step_or_beyond_counting__refused() -> None:
    for bounds, decimals in ((ColumnBounds(0.1, 0.2), 0), (ColumnBounds(0, 1e300), 0), (ColumnBounds(0, 1), 10)):
        with pytest.raises(InvalidInput):
            NumericColumn.of(stated(bounds={"amount": bounds}), "amount", decimals)


def _chi_square(drawn: np.ndarray[Any, Any], epsilon: float, widest: int) -> float:
    """The probability of a fit as bad as this, if the noise is discrete Laplace with that epsilon per step."""
    q = np.exp(-epsilon)
    steps = np.arange(-widest, widest + 1)
    inside = (1 - q) / (1 + q) * q ** np.abs(steps)
    tail = q ** (widest + 1) / (1 + q)
    expected = len(drawn) * np.array([tail, *inside, tail])
    observed = np.bincount(np.clip(drawn, -widest - 1, widest + 1) + widest + 1, minlength=2 * widest + 3)
    return float(chdtrc(len(expected) - 1, ((observed - expected) ** 2 / expected).sum()))


def test_laplace__two_hundred_thousand_draws__have_the_claimed_distribution() -> None:
    # At a level of 1e-9 a right sampler fails once in a billion runs; a scale off by 3 % is still always caught.
    drawn = noise.laplace(np.zeros(200_000, dtype=np.int64), 1, 0.5)
    assert _chi_square(drawn, 0.5, 10) > 1e-9
    assert _chi_square(drawn, 0.515, 10) < 1e-9


def test_serialised_output__whole_steps_only__no_float_gaps_to_read() -> None:
    given = rows()
    for _ in range(50):
        answer = json.loads(json.dumps(Sum(TERMS, AMOUNT, 0.1).release(given)))["sum"]
        assert Decimal(repr(answer)).scaleb(2) % 1 == 0
        count = json.loads(json.dumps(Count(TERMS, 0.1).release(given)))["count"]
        assert isinstance(count, int)


def test_source__no_noise_but_from_opendp() -> None:
    folder = Path(noise.__file__).resolve().parents[2]
    rooms = ("privacy", "datasets", "evaluation", "training")
    sources = [path for room in rooms for path in (folder / room).rglob("*private*.py")]
    sources += list((folder / "privacy").rglob("*.py"))
    assert len(sources) > 20
    banned = re.compile(
        r"np\.random|numpy\.random|^\s*(?:import|from) (?:random|secrets|torch)\b|opendp\.prelude import", re.M
    )
    # Which units a step of training sees is no noise: those coins come from the operating system, and from one place.
    assert {path.name for path in sources if banned.search(path.read_text("utf-8"))} == {"sampling.py"}
    assert not re.search(r"np\.random|numpy\.random|import random", (folder / "privacy/sampling.py").read_text("utf-8"))
    users = {path.name for path in sources if re.search(r"^\s*(?:import|from) opendp", path.read_text("utf-8"), re.M)}
    assert users == {"noise.py", "training_noise.py"}


@pytest.mark.parametrize(
    "line", ["import random", "import torch", "import numpy.random", "from numpy import random", "import pickle"]
)
def test_rules__noise_that_can_be_seeded__is_refused_in_every_room_of_privacy(line: str) -> None:
    privacy = Path(noise.__file__).resolve().parents[1]
    for room in ("", "mechanisms", "accounting", "store", "audit"):
        checked = subprocess.run(
            [sys.executable, "-m", "ruff", "check", "--stdin-filename", str(privacy / room / "new.py"), "-"],
            input=f'"""A new room."""\n\n{line}\n',
            capture_output=True,
            text=True,
        )
        assert checked.returncode == 1, checked.stderr
        assert "TID251" in checked.stdout


def test_categories__the_public_list_decides_what_is_answered() -> None:
    terms = stated(categories={"label": Categories(("a", "never-seen"))})
    found = Histogram(terms, ("label",), LOUD).release(rows(terms))
    assert [cell["key"] for cell in found["cells"]] == [["a"], ["never-seen"]]


@pytest.mark.parametrize("value", [2**62 + 1, -(2**62) - 1, 2**63, -(2**63), -(2**80)])
def test_laplace__sum_beyond_64_bits__is_cut_not_refused(value: int) -> None:
    # A refusal would tell how large a sum over private rows is.
    found = int(noise.laplace([value, 5], 1, LOUD)[0])
    assert abs(found - (noise.LARGEST if value > 0 else -noise.LARGEST)) <= 1


def test_selection__values_that_differ_after_a_nul__are_not_one() -> None:
    # As one text they would swap counts, and one unit would move a count by as many units as there are.
    found = {"a": 40, "a\0x": 30, "a\0y": 20, "\ud800": 25}
    terms = stated(contribution_cap=len(found))
    listed = PartitionSelection(terms, "word", LOUD, 1e-6).release(words(terms, found))
    assert {value["key"]: value["count"] for value in listed["values"]} == pytest.approx(found, abs=1)


def test_local__categories_that_differ_after_a_nul__are_not_one() -> None:
    terms = replace(
        stated(contribution_cap=1), adjacency=Adjacency.REPLACE, categories={"label": Categories(("a\0x", "a\0y"))}
    )
    given = bound(terms, ["u1", "u2"], categorical={"label": ["a\0x", "a\0y"]})
    assert LocalRandomisation(terms, "label", LOUD).release(given)["records"] == ["a\0x", "a\0y"]


@pytest.mark.parametrize("cap", [0, 10**6 + 1, 10**18, True, 1.5])
def test_cap__no_sensible_number_of_rows__is_refused_by_name(cap: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        Count(replace(TERMS, contribution_cap=cap), 1.0)
    assert refused.value.what == "contribution_cap"


def test_cap__largest__every_mechanism_can_be_calibrated() -> None:
    terms = replace(
        TERMS,
        contribution_cap=LARGEST_CAP,
        adjacency=Adjacency.REPLACE,
        bounds={"amount": ColumnBounds(-(2.0**40), 2.0**40)},
    )
    column = NumericColumn.of(terms, "amount")
    made: list[Calibrated] = [
        Count(terms, 1.0),
        Histogram(terms, ("label",), 1.0),
        Sum(terms, column, 1.0),
        Mean(terms, column, 1.0),
        Quantiles(terms, column, (0.5,), 1.0),
        MostFrequent(terms, "label", 1.0),
        PartitionSelection(terms, "word", 1.0, 1e-6),
    ]
    assert all(mechanism.uses for mechanism in made)
