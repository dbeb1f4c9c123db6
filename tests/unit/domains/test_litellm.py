"""Configurations of LiteLLM's proxy, read as domains."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domains.document import parse_document
from bailiwick.domains.litellm.convert import convert
from bailiwick.domains.litellm.model import Conversion
from bailiwick.domains.model import Domain
from bailiwick.errors import InvalidInput

GPU = "http://10.0.0.1:8000/v1"


def entry(name: str, model: str = "hosted_vllm/llama", **parameters: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, "api_base": GPU, **parameters}}


def elsewhere(name: str, model: str, **parameters: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, **parameters}}


def converted(*entries: Any, **sections: Any) -> Conversion:
    return convert({"model_list": list(entries), **sections}, "config.yaml")


def domains(found: Conversion) -> dict[str, Domain]:
    """What an import would make of it."""
    return dict(parse_document(json.dumps(found.document).encode(), source="config.yaml").domains)


def said(found: Conversion, where: str) -> str:
    return " ".join(note.says for note in found.notes if note.where.startswith(where))


def test_entries__of_one_name_and_model__are_replicas_with_weights_and_limits() -> None:
    other = "http://10.0.0.2:8000/v1"
    found = converted(entry("chat", weight=2, rpm=600), entry("chat", weight=1, rpm=300, api_base=other))
    backend = domains(found)["chat"].backend
    assert (backend.addresses, backend.weights, backend.model) == ((GPU, other), (2.0, 1.0), "llama")
    assert found.commands == ("bailiwick key set --of-domain chat --rpm 900",)


def test_entries__one_address_twice__is_one_replica_that_bears_more() -> None:
    other = "http://10.0.0.2:8000/v1"
    backend = domains(converted(entry("chat"), entry("chat"), entry("chat", api_base=other)))["chat"].backend
    assert (backend.addresses, backend.weights) == ((GPU, other), (2.0, 1.0))


def test_entries__of_another_model__stand_in_one_after_the_other() -> None:
    found = converted(
        entry("chat"),
        entry("chat", "openai/qwen"),
        entry("spare", "openai/small"),
        router_settings={"fallbacks": [{"chat": ["spare"]}]},
    )
    made = domains(found)
    assert [made[name].fallback for name in ("chat", "chat-2", "spare")] == ["chat-2", "spare", None]
    assert made["chat-2"].backend.model == "qwen"
    assert "stands in for 'chat'" in said(found, "model_list[1]")


@pytest.mark.parametrize(
    ("parameters", "address", "model", "variable"),
    [
        ({"model": "gpt-x"}, "https://api.openai.com/v1", "gpt-x", "OPENAI_API_KEY"),
        ({"model": "openai/gpt-x", "api_base": GPU}, GPU, "gpt-x", None),
        ({"model": "openai/gpt-x", "api_base": GPU, "api_key": "os.environ/MINE"}, GPU, "gpt-x", "MINE"),
        ({"model": "meta/llama-3", "api_base": GPU, "api_key": "none"}, GPU, "meta/llama-3", None),
        ({"model": "groq/meta/llama"}, "https://api.groq.com/openai/v1", "meta/llama", "GROQ_API_KEY"),
        ({"model": "ollama/qwen", "api_base": "http://gpu:11434/"}, "http://gpu:11434/v1", "qwen", None),
        ({"model": "qwen", "custom_llm_provider": "hosted_vllm", "api_base": GPU}, GPU, "qwen", None),
    ],
)
def test_upstream__of_each_kind__as_litellm_would_call_it(
    parameters: dict[str, Any], address: str, model: str, variable: str | None
) -> None:
    backend = domains(converted({"model_name": "m", "litellm_params": parameters}))["m"].backend
    assert (backend.addresses, backend.model, backend.api_key_env) == ((address,), model, variable)


@pytest.mark.parametrize(
    ("entry_left_out", "why"),
    [
        (elsewhere("m", "anthropic/claude"), "speaks OpenAI's format"),
        (elsewhere("m", "azure/gpt", api_base=GPU), "speaks OpenAI's format"),
        (elsewhere("m", "hosted_vllm/llama"), "speaks OpenAI's format"),
        (elsewhere("m", "openai/x", api_base="os.environ/WHERE"), "variable WHERE"),
        (elsewhere("m", "openai/x", api_base="http://user:word@gpu/v1"), "user or password"),
        (entry("openai/*"), "many models"),
        (entry("m", weight=0), "never asked"),
        ({**entry("m"), "model_info": {"mode": "image_generation"}}, "image_generation"),
    ],
)
def test_entry__that_cannot_be_carried_over__is_left_out_with_the_reason(
    entry_left_out: dict[str, Any], why: str
) -> None:
    found = converted(entry("chat"), entry_left_out)
    assert list(domains(found)) == ["chat"]
    assert why in said(found, "model_list[1]")


def test_key__written_into_the_file__is_nowhere_in_what_comes_of_it() -> None:
    secret = "sk-do-not-tell"
    found = converted(
        entry("gpt-4.1", api_key=secret, extra_headers={"authorization": secret}),
        general_settings={"master_key": secret},
        environment_variables={"X": secret},
        router_settings={"redis_password": secret},
    )
    assert secret not in repr(found)
    assert domains(found)["gpt-4-1"].backend.api_key_env == "GPT_4_1_API_KEY"
    assert "GPT_4_1_API_KEY" in said(found, "model_list[0] 'gpt-4.1'.api_key")
    assert "'gpt-4-1'" in said(found, "model_name")


def test_settings__of_the_router__become_those_of_each_domain() -> None:
    found = converted(
        entry("chat"),
        entry("slow", "openai/large", timeout=300, max_retries=0, temperature=0.3, max_tokens=99),
        router_settings={"num_retries": 3, "timeout": 60, "allowed_fails": 3},
    )
    chat, slow = domains(found)["chat"], domains(found)["slow"]
    assert (chat.backend.timeout_s, chat.backend.retries, chat.backend.breaker_failures) == (60, 3, 4)
    assert (slow.backend.timeout_s, slow.backend.retries) == (300, 0)
    assert (slow.generation.temperature, slow.generation.max_tokens) == (0.3, 99)
    assert (chat.generation.temperature, chat.generation.max_tokens) == (None, None), "left to the model, as by LiteLLM"
    assert chat.generation.bounds["max_tokens"] == (1, 1_000_000)


def test_fallbacks__that_form_a_circle__are_opened_and_the_note_says_where() -> None:
    found = converted(
        *(entry(name, f"openai/{name}") for name in "abc"),
        router_settings={"fallbacks": [{"a": ["b", "c"]}, {"b": ["a"]}, {"ghost": ["a"]}]},
        litellm_settings={"default_fallbacks": ["c"]},
    )
    assert {name: domain.fallback for name, domain in domains(found).items()} == {"a": "b", "b": "c", "c": None}
    notes = said(found, "router_settings.fallbacks")
    assert "circle" in notes
    assert "not 'c'" in notes
    assert "names no model" in notes


def test_alias__is_a_domain_like_the_one_it_stands_for() -> None:
    found = converted(
        entry("chat"),
        entry("spare", "openai/s"),
        router_settings={"model_group_alias": {"old": "chat", "gone": "ghost"}, "fallbacks": [{"old": ["spare"]}]},
    )
    made = domains(found)
    assert made["old"].backend == made["chat"].backend
    assert made["old"].fallback == made["chat"].fallback == "spare"
    assert "left out" in said(found, "router_settings.model_group_alias.gone")


def test_cache__on__is_on_for_each_domain_as_it_was_for_all() -> None:
    settings = {"cache": True, "cache_params": {"type": "redis-semantic", "ttl": 60}}
    found = converted(entry("chat"), litellm_settings=settings)
    cache = domains(found)["chat"].cache
    assert cache is not None
    assert (cache.ttl_s, cache.sampled, cache.semantic) == (60, True, None)
    assert "proof" in said(found, "litellm_settings.cache_params")


def test_settings__that_nothing_here_holds__are_all_named() -> None:
    found = converted(
        entry("chat", tags=["x"]),
        router_settings={"routing_strategy": "least-busy", "brand_new": 1},
        litellm_settings={"callbacks": ["langfuse"], "set_verbose": True},
        general_settings={"database_url": "postgresql://x"},
        guardrails=[],
    )
    named = {note.where for note in found.notes}
    assert {
        "model_list[0] 'chat'.tags",
        "router_settings.routing_strategy",
        "router_settings.brand_new",
        "litellm_settings.callbacks",
        "general_settings.database_url",
        "guardrails",
    } <= named
    assert "litellm_settings.set_verbose" not in named


@pytest.mark.parametrize(
    ("config", "what"),
    [
        (None, "model_list"),
        ({"model_list": []}, "model_list"),
        ({"model_list": ["chat"]}, "model_list[0]"),
        ({"model_list": [{"model_name": "chat"}]}, "model_list[0]"),
        ({"model_list": [entry("a.b"), entry("a-b")]}, "model_name"),
    ],
)
def test_configuration__that_is_none__is_refused_by_name(config: Any, what: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        convert(config, "config.yaml")
    assert (refused.value.what, refused.value.where) == (what, "config.yaml")
    assert refused.value.remedy


SCALARS = (
    st.none() | st.booleans() | st.integers(-5, 10**13) | st.floats() | st.sampled_from(["chat", "b", "openai/x", GPU])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner)
)
PARAMETERS = st.dictionaries(
    st.sampled_from(["model", "api_base", "api_key", "weight", "rpm", "timeout", "max_retries", "max_tokens", "x"]),
    VALUES,
)
SETTINGS = st.dictionaries(
    st.sampled_from(["fallbacks", "default_fallbacks", "num_retries", "timeout", "model_group_alias", "allowed_fails"])
    | st.sampled_from(["cache", "cache_params", "request_timeout"]),
    VALUES,
)


@given(st.lists(PARAMETERS, min_size=1, max_size=4), SETTINGS, SETTINGS, VALUES)
def test_configuration__of_any_values__is_a_document_or_refused(
    parameters: list[dict[str, Any]], router: dict[str, Any], more: dict[str, Any], general: Any
) -> None:
    listed = [{"model_name": "ab"[number % 2], "litellm_params": each} for number, each in enumerate(parameters)]
    sections = {"router_settings": router, "litellm_settings": more, "general_settings": general}
    try:
        domains(converted(*listed, **sections))
    except InvalidInput as error:
        assert error.where
