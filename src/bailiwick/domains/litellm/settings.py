"""What becomes of the settings beside ``model_list``: a note for each that no domain holds. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bailiwick.domains.litellm.model import Note

CARRIED = {
    "router_settings": {
        "num_retries",
        "timeout",
        "fallbacks",
        "default_fallbacks",
        "allowed_fails",
        "model_group_alias",
    },
    "litellm_settings": {"num_retries", "request_timeout", "fallbacks", "default_fallbacks", "allowed_fails", "cache"},
    "general_settings": set[str](),
}
"""Settings that domains hold."""

_REDIS = "BAILIWICK_REDIS_URL names one Redis for limits, kept answers and domains"
_SEEN = "metrics are on /metrics; the settings access_log and traces write the rest (docs/gateway.md)"
_REFUSED = "a refusal of the model goes to the client; there is no fallback for it"
_BUDGET = "budgets are in tokens, per key: bailiwick key create NAME --tokens-per-day N"
_MEANS: Mapping[str, str] = {
    "router_settings.routing_strategy": "always by latency times load, of two replicas drawn by weight",
    "router_settings.context_window_fallbacks": _REFUSED,
    "router_settings.content_policy_fallbacks": _REFUSED,
    "router_settings.cooldown_time": "1 to 30 s, growing, then a share that grows back",
    "router_settings.redis_host": _REDIS,
    "router_settings.redis_port": _REDIS,
    "router_settings.redis_password": _REDIS,
    "router_settings.redis_url": _REDIS,
    "litellm_settings.context_window_fallbacks": _REFUSED,
    "litellm_settings.content_policy_fallbacks": _REFUSED,
    "litellm_settings.callbacks": _SEEN,
    "litellm_settings.success_callback": _SEEN,
    "litellm_settings.failure_callback": _SEEN,
    "litellm_settings.service_callback": _SEEN,
    "litellm_settings.drop_params": "nothing is dropped: unknown fields go to the upstream as they came",
    "litellm_settings.max_budget": _BUDGET,
    "litellm_settings.budget_duration": _BUDGET,
    "general_settings.master_key": "there is none: BAILIWICK_KEYS=required answers nobody without a key of its own",
    "general_settings.database_url": "BAILIWICK_DATABASE_URL names the database",
    "general_settings.max_parallel_requests": "per key: bailiwick key set NAME --in-flight N",
    "general_settings.global_max_parallel_requests": "per key: bailiwick key set NAME --in-flight N",
    "environment_variables": "set them in the environment of `bailiwick serve`",
}
_QUIET = frozenset({"litellm_settings.set_verbose", "litellm_settings.json_logs", "router_settings.set_verbose"})


def section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section of a configuration; empty where there is none."""
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def unsaid(config: Mapping[str, Any]) -> Iterator[Note]:
    """A note for every setting that no domain holds; of its value, which may be a secret, nothing is said."""
    for top in config:
        if top == "model_list":
            continue
        if top not in CARRIED:
            yield _note(str(top))
            continue
        for name in section(config, top):
            place = f"{top}.{str(name)[:60]}"
            if name not in CARRIED[top] and name != "cache_params" and place not in _QUIET:
                yield _note(place)


def _note(place: str) -> Note:
    return Note(place[:120], _MEANS.get(place, "not carried over"))
