"""One entry of ``model_list``: which upstream it names, in our terms. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from bailiwick.domains.litellm.model import Entry, Note
from bailiwick.domains.schema import checked_http_url
from bailiwick.errors import InvalidInput

Tell = Callable[[Note], None]

PROVIDERS: Mapping[str, tuple[str, str]] = {
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "deepseek": ("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "together_ai": ("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY"),
}
"""Providers that speak OpenAI's format: the address and the key's variable that LiteLLM takes where none is given."""

_SERVERS = frozenset(
    {"hosted_vllm", "ollama", "ollama_chat", "lm_studio", "llamafile", "xinference", "custom_openai", "openai_like"}
    | {"litellm_proxy", "text-completion-openai", "infinity"}
)
_OLLAMA = frozenset({"ollama", "ollama_chat"})
_OTHERS = frozenset(
    {"anthropic", "azure", "azure_ai", "bedrock", "vertex_ai", "gemini", "cohere", "cohere_chat", "replicate"}
    | {"huggingface", "sagemaker", "sagemaker_chat", "watsonx", "databricks", "predibase", "petals", "nlp_cloud"}
    | {"palm", "ai21", "cloudflare", "vllm", "text-completion-codestral", "codestral", "github", "triton", "snowflake"}
)
_VARIABLE = "os.environ/"
_MODES = frozenset({"chat", "completion", "embedding", "responses"})
_GENERATION = ("temperature", "top_p", "max_tokens")
_NUMBERS = ("weight", "rpm", "tpm", "timeout", "stream_timeout", "max_retries", "num_retries", *_GENERATION)
_KNOWN = frozenset({"model", "api_base", "base_url", "api_key", "drop_params", "custom_llm_provider", *_NUMBERS})
_NO_KEYS = frozenset({"", "none", "null", "dummy", "empty", "not-needed"})
_NO_ADDRESS = "has no address that speaks OpenAI's format; give it an `api_base` that does"


def entry_of(number: int, value: Any, source: str, tell: Tell) -> Entry | None:
    """An entry; None where it cannot be carried over, and a note says why.

    Raises:
        InvalidInput: it is no entry of a ``model_list``.
    """
    where = f"model_list[{number}]"
    parameters = value.get("litellm_params") if isinstance(value, dict) else None
    group = value.get("model_name") if isinstance(value, dict) else None
    if not isinstance(group, str) or not group or not isinstance(parameters, dict):
        raise InvalidInput(
            f"{where} is no model: it needs a `model_name` and `litellm_params`",
            what=where,
            where=source,
            remedy="see https://docs.litellm.ai/docs/proxy/configs",
        )
    where = f"{where} {group[:60]!r}"
    found = _read(group, parameters, value.get("model_info"), where, tell)
    if isinstance(found, str):
        tell(Note(where, f"left out: it {found}"))
        return None
    return found


def _read(group: str, parameters: Mapping[str, Any], information: Any, where: str, tell: Tell) -> Entry | str:
    """The entry; or, in words, what keeps it from being one."""
    mode = information.get("mode") if isinstance(information, dict) else None
    if isinstance(mode, str) and mode not in _MODES:
        return f"is for {mode[:40]!r}, which is not served here"
    if "*" in group:
        return "stands for many models; name each as a domain"
    full = parameters.get("model")
    if not isinstance(full, str) or not full:
        return "names no model"
    upstream = _upstream(parameters, full)
    if isinstance(upstream, str):
        return upstream
    numbers = {name: found for name in _NUMBERS if (found := _number(parameters.get(name))) is not None}
    if numbers.get("weight") == 0:
        return "has the weight 0, so it is never asked"
    address, model, usual = upstream
    for name in parameters:
        if name not in _KNOWN:
            tell(Note(f"{where}.{str(name)[:60]}", "not carried over"))
    retries = numbers.get("max_retries", numbers.get("num_retries"))
    waits = [numbers[name] for name in ("timeout", "stream_timeout") if numbers.get(name)]
    return Entry(
        group=group,
        where=where,
        address=address,
        model=model,
        api_key_env=_variable(group, parameters.get("api_key"), usual, where, tell),
        shares={name: numbers[name] for name in ("weight", "rpm", "tpm") if numbers.get(name)},
        timeout_s=max(waits, default=None),
        retries=None if retries is None else int(retries),
        generation={name: numbers[name] for name in _GENERATION if name in numbers},
    )


def _variable(group: str, key: Any, usual: str | None, where: str, tell: Tell) -> str | None:
    """The variable that the key is in, or has to be put into: what is written in the file may be a secret."""
    if not isinstance(key, str) or key.lower() in _NO_KEYS:
        return usual
    if key.startswith(_VARIABLE):
        return key.removeprefix(_VARIABLE)
    variable = variable_for(group)
    tell(Note(f"{where}.api_key", f"keys are never in a configuration: put it into the variable {variable}"))
    return variable


def variable_for(group: str) -> str:
    """A name for the variable that holds a group's key.

    >>> variable_for("gpt-4.1 mini")
    'GPT_4_1_MINI_API_KEY'
    """
    word = re.sub(r"[^A-Z0-9]+", "_", group.upper()).strip("_")[:60]
    return f"{word if word[:1].isalpha() else f'MODEL_{word}'}_API_KEY"


def _upstream(parameters: Mapping[str, Any], full: str) -> tuple[str, str, str | None] | str:
    """Address, model and key's variable; or, in words, why there are none."""
    provider, slash, model = full.partition("/")
    stated = parameters.get("custom_llm_provider")
    if isinstance(stated, str) and stated:
        provider, model = stated, full
    elif not slash or provider not in PROVIDERS.keys() | _SERVERS | _OTHERS:
        provider, model = "openai", full  # so it is with LiteLLM: a name with a slash of its own, such as meta/llama
    given = parameters.get("api_base", parameters.get("base_url"))
    if isinstance(given, str) and given.startswith(_VARIABLE):
        return f"has its address in the variable {given.removeprefix(_VARIABLE)[:80]}; write it out"
    if provider in _OTHERS or not model:
        return f"is of {provider[:40]!r}, and {_NO_ADDRESS}"
    if not isinstance(given, str) or not given:
        known = PROVIDERS.get(provider)
        return (known[0], model, known[1]) if known else f"is of {provider[:40]!r}, and {_NO_ADDRESS}"
    if provider in _OLLAMA and not given.rstrip("/").endswith("/v1"):
        given = f"{given.rstrip('/')}/v1"
    try:
        address = checked_http_url(given)
    except ValueError as error:
        return f"has an `api_base` that {error}"
    known = PROVIDERS.get(provider)
    return address, model, known[1] if known and address == known[0] else None


def _number(value: Any) -> float | None:
    """A number of at least 0; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= 1e12 and math.isfinite(value) else None
