from __future__ import annotations

from typing import Any

import pytest

from bailiwick.domains.model import Generation
from bailiwick.errors import InvalidInput
from bailiwick.gateway.parameters import bounded_body, bounded_response

GENERATION = Generation(
    temperature=0.2, top_p=0.9, max_tokens=100, bounds={"temperature": (0.0, 1.0), "max_tokens": (1.0, 200.0)}
)


def bounded(**body: Any) -> dict[str, Any]:
    return bounded_body(body, GENERATION, domain="cards")


def test_parameters__absent__domain_defaults() -> None:
    assert bounded(seed=1) == {"seed": 1, "temperature": 0.2, "top_p": 0.9, "max_tokens": 100}


def test_parameters__domain_without_defaults__left_to_the_model() -> None:
    assert bounded_body({"seed": 1}, Generation(), domain="cards") == {"seed": 1}
    assert bounded_response({"input": "hi"}, Generation(), domain="cards") == {"input": "hi"}
    assert bounded_body({"max_completion_tokens": 9}, Generation(), domain="cards") == {"max_completion_tokens": 9}
    assert bounded_response({"max_output_tokens": 9}, Generation(), domain="cards") == {"max_output_tokens": 9}


def test_parameters__null__counts_as_absent() -> None:
    assert bounded(temperature=None)["temperature"] == 0.2


def test_parameters__token_limit_above_its_bound__lowered() -> None:
    assert bounded(max_tokens=10_000)["max_tokens"] == 200


def test_parameters__newer_name_of_the_token_limit__same_bounds_and_no_second_limit() -> None:
    body = bounded(max_completion_tokens=10_000)
    assert body["max_completion_tokens"] == 200
    assert "max_tokens" not in body


@pytest.mark.parametrize(
    "body",
    [
        {"temperature": 1.5},
        {"temperature": -0.1},
        {"temperature": "hot"},
        {"temperature": True},
        {"temperature": [0.5]},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"max_completion_tokens": -1},
    ],
)
def test_parameters__out_of_bounds_or_no_number__refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        bounded(**body)
    assert caught.value.what in body
    assert "'cards'" in str(caught.value)


def test_parameters__callers_body__unchanged() -> None:
    body = {"max_tokens": 10_000}
    bounded_body(body, GENERATION, domain="cards")
    assert body == {"max_tokens": 10_000}


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({}, 100),
        ({"max_output_tokens": 7}, 7),
        ({"max_output_tokens": 10_000}, 200),
        ({"max_output_tokens": 7, "max_tokens": 9}, 9),
    ],
)
def test_response_parameters__token_limit__by_its_name_there(body: dict[str, Any], limit: int) -> None:
    fitted = bounded_response(body, GENERATION, domain="cards")
    assert fitted == {"temperature": 0.2, "top_p": 0.9, "max_output_tokens": limit}
