from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from caching_house import Counting, asking

from bailiwick.backends.model import Operation
from bailiwick.caching.identity import compile_caching, identity_of, seed_of
from bailiwick.caching.keys import key_of
from bailiwick.caching.model import Asking, Wishes
from bailiwick.caching.wishes import wishes_of
from bailiwick.domains.cache import AnswerCaching
from bailiwick.domains.model import Backend, Domain, Example
from bailiwick.models.ensemble.selection import Limits

UPSTREAM = Counting()
LOCAL = Counting(in_process=True)


def made(**changes: Any) -> Asking:
    return asking(UPSTREAM, **changes)


@pytest.mark.parametrize("field", ["user", "metadata", "safety_identifier", "model", "prompt_cache_key"])
def test_key__field_that_says_nothing_of_the_answer__is_left_out(field: str) -> None:
    assert key_of(made(**{field: "x"})) == key_of(made(**{field: "y"})) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"text": "other"},
        {"version": "v2"},
        {"identity": b"other artefact"},
        {"domain_seed": b"other"},
        {"arm": b"e\x001\x00treatment"},
        {"stream": True},
        {"n": 2},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": {"type": "json_object"}},
        {"unknown_field": 1},
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hello"}]},
    ],
)
def test_key__anything_that_may_change_the_answer__makes_another(change: dict[str, Any]) -> None:
    first, second = key_of(made()), key_of(made(**change))
    assert first is not None and second is not None and first != second


def test_key__limits_of_the_request__make_another() -> None:
    base = made()
    limited = replace(base, call=replace(base.call, limits=Limits(max_cost=1.0)))
    assert key_of(limited) not in (None, key_of(base))
    assert key_of(limited) == key_of(replace(base, call=replace(base.call, limits=Limits(max_cost=1.0))))


def test_key__order_of_fields__does_not_matter() -> None:
    assert key_of(made(n=1, top_p=0.5)) == key_of(made(top_p=0.5, n=1))


def test_key__responses__what_the_answer_repeats_counts() -> None:
    def response(user: str) -> Asking:
        base = made(user=user, store=False)
        return replace(base, call=replace(base.call, operation=Operation.RESPONSE))

    assert key_of(response("ada")) != key_of(response("bob"))


@pytest.mark.parametrize(
    "body",
    [
        {"temperature": 0.7},
        {"temperature": None},
        {"store": True},
        {"web_search_options": {}},
        {"tools": [{"type": "web_search"}]},
        {"tools": ["nonsense"]},
        {"background": True},
    ],
)
def test_key__upstream_answer_that_may_differ_next_time__is_not_kept(body: dict[str, Any]) -> None:
    assert key_of(made(**body)) is None


@pytest.mark.parametrize("body", [{"temperature": 0.0}, {"temperature": 1.0, "seed": 7}])
def test_key__deterministic_request__is_kept(body: dict[str, Any]) -> None:
    assert key_of(made(**body)) is not None


def test_key__seed_that_is_no_number__is_no_seed() -> None:
    assert key_of(made(temperature=1.0, seed=True)) is None


def test_key__sampled_answers__kept_where_the_domain_wants_it_or_the_model_is_local() -> None:
    wanted = AnswerCaching(sampled=True)
    assert key_of(made(temperature=1.0, settings=wanted)) is not None
    assert key_of(asking(LOCAL, temperature=1.0)) is not None


def test_key__response_that_the_upstream_files__is_not_kept() -> None:
    def response(**body: Any) -> Asking:
        base = made(**body)
        return replace(base, call=replace(base.call, operation=Operation.RESPONSE))

    assert key_of(response()) is None  # responses are filed unless told not to
    assert key_of(response(store=False)) is not None
    assert key_of(response(store=False, previous_response_id="resp_1")) is None


def test_key__scopes__share_with_nobody_else() -> None:
    user, key = AnswerCaching(scope="user"), AnswerCaching(scope="key")
    ada, bob = Wishes(user="ada", key=b"1"), Wishes(user="bob", key=b"1")
    assert key_of(made(settings=user, wishes=ada)) != key_of(made(settings=user, wishes=bob))
    assert key_of(made(settings=key, wishes=ada)) == key_of(made(settings=key, wishes=bob)) is not None
    assert key_of(made(settings=user)) is None and key_of(made(settings=key)) is None  # nobody is known


def test_key__no_store__takes_no_part() -> None:
    assert key_of(made(wishes=Wishes(no_store=True))) is None


def test_wishes__client_key__only_a_digest_is_held() -> None:
    found = wishes_of({b"authorization": b"Bearer sk-secret"}, "ada")
    assert found.key and b"secret" not in found.key
    assert found.key != wishes_of({b"authorization": b"Bearer other"}, "ada").key
    assert wishes_of({}, "").key == b""


def test_seed__what_changes_answers_counts__what_does_not_is_left_out() -> None:
    domain = Domain("cards", "Cards", "a", backend=Backend("openai-compatible", "http://h/v1", "m"))
    seed = seed_of(domain, "c")
    assert seed == seed_of(replace(domain, name="Other", keywords=("k",), examples=(Example("x"),)), "c")
    assert seed != seed_of(domain, "another installation")
    assert seed != seed_of(replace(domain, backend=replace(domain.backend, model="n")), "c")
    assert seed != seed_of(replace(domain, cache=AnswerCaching(generation=1)), "c")


def test_compile__absent_or_off__nothing_is_kept() -> None:
    domain = Domain("cards", "Cards", "a")
    assert compile_caching(domain, "c") is None
    assert compile_caching(replace(domain, cache=AnswerCaching(enabled=False)), "c") is None
    assert compile_caching(replace(domain, cache=AnswerCaching()), "c") is not None


def test_identity__backend_that_says_nothing__has_none() -> None:
    class Silent:
        in_process = True

    assert identity_of(UPSTREAM) == b"counting"
    assert identity_of(Silent()) is None  # type: ignore[arg-type]
