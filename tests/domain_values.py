"""Domains for tests: small ones by hand, and every valid one for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from bailiwick.domains.model import Domain, DomainSet, Lifecycle
from bailiwick.domains.schema import RESERVED_IDS
from bailiwick.governance.audit import Actor

ADA = Actor("cli:ada")


def a_domain(domain_id: str = "cards", **fields: Any) -> Domain:
    """A valid domain with the given fields."""
    return Domain(**({"id": domain_id, "name": domain_id.title(), "agent_id": f"agent-{domain_id}"} | fields))


ids = st.from_regex(r"[a-z][a-z0-9_-]{0,12}", fullmatch=True).filter(lambda text: text not in RESERVED_IDS)
_storable = st.characters(exclude_categories=["Cc", "Cs"])
texts = st.text(_storable, min_size=1, max_size=30).map(lambda text: " ".join(text.split())).filter(bool)
words = texts.filter(lambda text: any(character.isalnum() for character in text))
word_lists = st.lists(words, max_size=5, unique_by=str.casefold)
variables = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)
_addresses = st.sampled_from(["http://localhost:11434/v1", "https://llm.example/v1", "http://[::1]:80"])
_optional_variable = st.none() | variables
_losses = st.floats(0, 100, allow_nan=False)

backends = st.one_of(
    st.fixed_dictionaries({"kind": st.just("local"), "retries": st.integers(0, 10)}),
    st.fixed_dictionaries(
        {
            "kind": st.just("openai-compatible"),
            "base_url": _addresses | st.lists(_addresses, min_size=1, max_size=3, unique=True),
            "model": texts,
            "api_key_env": _optional_variable,
            "timeout_s": st.floats(0.1, 600),
            "breaker_failures": st.integers(0, 1_000),
            "health_path": st.none() | st.sampled_from(["/models", "/../health"]),
            "repeatable": st.booleans(),
            "hedge": st.booleans(),
        }
    ),
)
generations = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.none() | st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "max_tokens": st.none() | st.integers(1, 8192),
        "bounds": st.fixed_dictionaries({}, optional={"n": st.just([1, 4]), "presence_penalty": st.just([-1.5, 1.5])}),
    },
)
thresholds = st.fixed_dictionaries(
    {},
    optional={
        "min_accuracy": st.floats(0, 1),
        "max_latency_ms": st.floats(0.1, 1e6),
        "max_training_loss": _losses,
        "max_validation_loss": _losses,
    },
)


@st.composite
def domain_fields(draw: st.DrawFn) -> dict[str, Any]:
    """The fields of one valid domain, without id and fallback."""
    fields: dict[str, Any] = {
        "name": draw(texts),
        "agent_id": draw(texts),
        "layer": draw(texts),
        "team": draw(texts),
        "description": draw(st.text(_storable, max_size=40)),
        "keywords": draw(word_lists),
        "tags": draw(word_lists),
        "examples": draw(
            st.lists(texts | st.fixed_dictionaries({"text": texts, "label": st.none() | texts}), max_size=4)
        ),
        "backend": draw(backends),
        "generation": draw(generations),
        "thresholds": draw(thresholds),
        "enabled_env_var": draw(_optional_variable),
    }
    known = [*fields["keywords"], *fields["tags"]]
    if known:
        fields["attention_weights"] = draw(st.dictionaries(st.sampled_from(known), st.floats(0, 100), max_size=3))
    return fields


@st.composite
def domain_sets(draw: st.DrawFn) -> DomainSet:
    """Valid domains whose fallbacks exist, are active where needed, and form no circle."""
    from bailiwick.domains.document import parse_domain

    chosen = draw(st.lists(ids, max_size=4, unique=True))
    domains: dict[str, Domain] = {}
    lifecycles: dict[str, Lifecycle] = {}
    active: list[str] = []
    for domain_id in chosen:
        fields = draw(domain_fields())
        fields["fallback"] = draw(st.none() | st.sampled_from(active)) if active else None
        domains[domain_id] = parse_domain(domain_id, fields, source="strategy")
        lifecycles[domain_id] = draw(st.sampled_from([Lifecycle.DRAFT, Lifecycle.ACTIVE, Lifecycle.ARCHIVED]))
        if lifecycles[domain_id] is Lifecycle.ACTIVE:
            active.append(domain_id)
    default = draw(st.none() | st.sampled_from(active)) if active else None
    return DomainSet(dict(sorted(domains.items())), default, dict(sorted(lifecycles.items())))
