"""The shape of a domain document, as pydantic models: the edge where bytes become domains.

Limits are generous for people and hard for attackers. Texts refuse what a database cannot keep (NUL characters, lone
surrogates), so that what was accepted can always be stored and read back.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from bailiwick.domains.batching import BatchingDocument
from bailiwick.domains.cache import AnswerCachingDocument

MAX_DOMAINS = 10_000
MAX_EXAMPLES = 50_000
MAX_WORDS = 5_000
MAX_REPLICAS = 64
MAX_URL = 2_000

RESERVED_IDS = frozenset({"auto", "create", "list", "export", "import"})
"""Words that a path or the gateway's ``model`` field already uses."""

PARAMETER_LIMITS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "max_tokens": (1.0, 1_000_000.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "n": (1.0, 128.0),
}
"""Generation parameters that may be bounded, with the limits that no bound may leave (those of the OpenAI API)."""

DEFAULT_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "max_tokens": (1.0, 8192.0),
}


def is_id(value: str) -> bool:
    """Whether a text is written like a domain id."""
    return re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", value) is not None


def checked_id(value: str) -> str:
    """A domain id as it is.

    Raises:
        ValueError: it is not lower-case letters, digits, ``-`` and ``_``, or a reserved word.
    """
    if not is_id(value):
        raise ValueError("must start with a lower-case letter, then letters, digits, '-' or '_', at most 64 in all")
    if value in RESERVED_IDS:
        raise ValueError(f"is a reserved word ({', '.join(sorted(RESERVED_IDS))})")
    return value


def _storable(value: str) -> str:
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\r\t":
            raise ValueError(f"holds the character U+{ord(character):04X}, which cannot be stored")
    return value


def _name(value: str) -> str:
    cleaned = " ".join(_storable(value).split())
    if not cleaned:
        raise ValueError("must not be blank")
    return cleaned


def _text(value: str) -> str:
    cleaned = _storable(value).strip()
    if not cleaned:
        raise ValueError("must not be blank")
    return cleaned


def _word(value: str) -> str:
    cleaned = _name(value)
    if not any(character.isalnum() for character in cleaned):
        raise ValueError("needs at least one letter or digit, or nothing can match it")
    return cleaned


def _distinct(values: list[str]) -> list[str]:
    """Drop repeats that differ at most in case: matching ignores case, so they say nothing new."""
    return list({value.casefold(): value for value in reversed(values)}.values())[::-1]


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", value):
        raise ValueError("must be the name of an environment variable (letters, digits, '_'), never a secret itself")
    return value


def checked_http_url(value: str) -> str:
    """An address without its closing slashes.

    Raises:
        ValueError: it is not http or https, names no host, or holds a user, password, query or fragment.
    """
    try:
        parts = urlsplit(_storable(value))
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from error
    if parts.scheme not in ("http", "https"):
        raise ValueError("must start with http:// or https://")
    if not host or any(character.isspace() for character in value):
        raise ValueError("must name a host and hold no blanks")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password; name the key's variable in api_key_env")
    if parts.query or parts.fragment:
        raise ValueError("must not hold a query or fragment; name the key's variable in api_key_env")
    return value.rstrip("/")


def _base_url(value: Any) -> str | list[str]:
    """One address, or a list of them; one function, so that an error names the field and not a branch of a union."""
    if isinstance(value, list):
        if not 1 <= len(value) <= MAX_REPLICAS:
            raise ValueError(f"must list 1 to {MAX_REPLICAS} addresses")
        return [_one_url(each) for each in value]
    return _one_url(value)


def _one_url(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be an address, or a list of addresses")
    if len(value) > MAX_URL:
        raise ValueError(f"is longer than {MAX_URL} characters")
    return checked_http_url(value)


Id = Annotated[str, AfterValidator(checked_id)]
Name = Annotated[str, Field(max_length=200), AfterValidator(_name)]
Word = Annotated[str, Field(max_length=200), AfterValidator(_word)]
Text = Annotated[str, Field(max_length=10_000), AfterValidator(_text)]
Words = Annotated[list[Word], Field(max_length=MAX_WORDS), AfterValidator(_distinct)]
Variable = Annotated[str, AfterValidator(_variable)]
BaseUrl = Annotated[
    str | list[str],
    PlainValidator(_base_url),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": MAX_URL},
                {
                    "type": "array",
                    "items": {"type": "string", "maxLength": MAX_URL},
                    "minItems": 1,
                    "maxItems": MAX_REPLICAS,
                },
            ]
        }
    ),
]
HealthPath = Annotated[str, Field(max_length=200, pattern=r"^/[A-Za-z0-9/._~%-]*$")]
Weight = Annotated[float, Field(ge=0, le=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True, hide_input_in_errors=True)


class ExampleDocument(_Strict):
    """A text that belongs to the domain. A plain string stands for ``{"text": ...}``."""

    text: Text
    label: Name | None = None


def _example(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class BackendDocument(_Strict):
    """How the domain's model is called."""

    kind: Literal["local", "openai-compatible"] = "local"
    base_url: BaseUrl | None = None
    model: Name | None = None
    api_key_env: Variable | None = None
    timeout_s: float = Field(default=30.0, gt=0, le=600)
    retries: int = Field(default=2, ge=0, le=10)
    weights: list[Annotated[float, Field(gt=0, le=1_000)]] = Field(default_factory=list, max_length=MAX_REPLICAS)
    breaker_failures: int = Field(default=5, ge=0, le=1_000)
    health_path: HealthPath | None = None
    repeatable: bool = False
    hedge: bool = False

    @model_validator(mode="after")
    def _needs(self) -> BackendDocument:
        given = {"base_url": self.base_url, "model": self.model, "api_key_env": self.api_key_env}
        if self.kind == "openai-compatible":
            missing = [name for name in ("base_url", "model") if given[name] is None]
            if missing:
                raise ValueError(f"kind 'openai-compatible' needs {' and '.join(missing)}")
        elif present := [name for name, value in given.items() if value is not None]:
            raise ValueError(f"kind 'local' takes no {' or '.join(present)}; did you mean 'openai-compatible'?")
        addresses = self.base_url if isinstance(self.base_url, list) else [self.base_url]
        if len(set(addresses)) < len(addresses):
            raise ValueError("base_url: names an address twice; give it a weight instead")
        if self.weights and len(self.weights) != len(addresses):
            raise ValueError(f"weights: {len(self.weights)} for {len(addresses)} addresses; give one for each")
        return self


class GenerationDocument(_Strict):
    """Default generation parameters and the bounds that a request cannot leave."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=2**31 - 1)
    bounds: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _within_bounds(self) -> GenerationDocument:
        for name, (low, high) in self.bounds.items():
            if name not in PARAMETER_LIMITS:
                raise ValueError(f"bounds: unknown parameter {name!r}; known: {', '.join(PARAMETER_LIMITS)}")
            least, most = PARAMETER_LIMITS[name]
            if not least <= low <= high <= most:
                raise ValueError(f"bounds.{name}: [{low:g}, {high:g}] must rise and lie within [{least:g}, {most:g}]")
        for name, (low, high) in self.effective_bounds().items():
            value = getattr(self, name, None)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name}: {value:g} is outside its bounds [{low:g}, {high:g}]")
        return self

    def effective_bounds(self) -> dict[str, tuple[float, float]]:
        """The stated bounds over the default ones."""
        return DEFAULT_BOUNDS | {name: (low, high) for name, (low, high) in self.bounds.items()}


class ThresholdsDocument(_Strict):
    """What a model version must reach before it is deployed."""

    min_accuracy: float = Field(default=0.85, ge=0, le=1)
    max_latency_ms: float = Field(default=500.0, gt=0)
    max_training_loss: float = Field(default=0.3, ge=0)
    max_validation_loss: float = Field(default=0.35, ge=0)


class DomainDocument(_Strict):
    """One domain. Only what differs from the defaults need be said.

    ``id`` may be left out where the place says it (the key in a document, the path of a request); ``name`` defaults to
    the id in words, ``agent_id`` to ``agent-<id>``, ``layer`` and ``team`` to ``default``.
    """

    id: Id | None = None
    name: Name | None = None
    agent_id: Name | None = None
    layer: Name | None = None
    team: Name | None = None
    description: Annotated[str, Field(max_length=10_000), AfterValidator(_storable)] = ""
    keywords: Words = Field(default_factory=list)
    tags: Words = Field(default_factory=list)
    examples: list[Annotated[ExampleDocument, BeforeValidator(_example)]] = Field(
        default_factory=list, max_length=MAX_EXAMPLES
    )
    attention_weights: dict[Word, Weight] = Field(default_factory=dict)
    backend: BackendDocument = BackendDocument()
    generation: GenerationDocument = GenerationDocument()
    fallback: Id | None = None
    enabled_env_var: Variable | None = None
    thresholds: ThresholdsDocument = ThresholdsDocument()
    cache: AnswerCachingDocument | None = None
    batching: BatchingDocument | None = None

    @model_validator(mode="after")
    def _weights_have_words(self) -> DomainDocument:
        known = {word.casefold() for word in (*self.keywords, *self.tags)}
        for word in self.attention_weights:
            if word.casefold() not in known:
                raise ValueError(f"attention_weights: {word!r} is neither a keyword nor a tag of the domain")
        return self


class DomainEntry(DomainDocument):
    """One domain inside a document, with the lifecycle it is meant to have."""

    lifecycle: Literal["draft", "active", "archived"] | None = None


class DocumentFrame(_Strict):
    """The outer shape of a document. Its domains are parsed one by one, so that errors can name them."""

    domains: dict[str, Any] = Field(max_length=MAX_DOMAINS)
    default_domain: str | None = None
    layer_mapping: dict[Name, dict[Name, list[str]]] | None = None
