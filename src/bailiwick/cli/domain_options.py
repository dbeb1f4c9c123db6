"""The options that describe a domain, shared by `create` and `update`, and what they mean as values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bailiwick.domains.document import read_json
from bailiwick.domains.sources import read_file
from bailiwick.errors import InvalidInput

DomainId = Annotated[str, typer.Argument(help="The domain's id, such as cards.", show_default=False)]
File = Annotated[Path | None, typer.Option("--file", "-f", help="JSON file with the domain's fields.")]
Name = Annotated[str | None, typer.Option(help="Name for people.")]
AgentId = Annotated[str | None, typer.Option(help="Agent that speaks for the domain. (default: agent-ID)")]
Layer = Annotated[str | None, typer.Option(help="Layer of the organisation. (default: default)")]
Team = Annotated[str | None, typer.Option(help="Team that owns it. (default: default)")]
Description = Annotated[str | None, typer.Option(help="What the domain is about.")]
Keyword = Annotated[list[str] | None, typer.Option(help="A word or phrase that points to the domain; repeatable.")]
Tag = Annotated[list[str] | None, typer.Option(help="A tag of assets that belong to it; repeatable.")]
Example = Annotated[list[str] | None, typer.Option(help="A text that belongs to it; repeatable.")]
BackendKind = Annotated[str | None, typer.Option("--backend", help="local, or openai-compatible.")]
BaseUrl = Annotated[str | None, typer.Option(help="Address of an openai-compatible backend.")]
Model = Annotated[str | None, typer.Option(help="Model name at an openai-compatible backend.")]
ApiKeyEnv = Annotated[str | None, typer.Option(help="Environment variable that holds the backend's key.")]
Fallback = Annotated[str | None, typer.Option(help="Domain that answers when this one cannot; '' for none.")]
EnabledEnvVar = Annotated[
    str | None, typer.Option(help="Serve only while this environment variable is true; '' for always.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any field, FIELD=JSON, such as generation.temperature=0.2; repeatable."),
]
Reason = Annotated[str | None, typer.Option(help="Why; kept in the history and the audit trail.")]

_BACKEND_DETAILS = ("base_url", "model", "api_key_env")


def described(
    *,
    backend: str | None,
    base_url: str | None,
    model: str | None,
    api_key_env: str | None,
    fallback: str | None,
    enabled_env_var: str | None,
    examples: Sequence[str] | None,
    assignments: Sequence[str] | None,
    **plain: Any,
) -> dict[str, Any]:
    """The values that were given, by field, nested ones as ``backend.base_url``.

    Raises:
        InvalidInput: a ``--set`` has no ``=``.
    """
    given = {name: value for name, value in plain.items() if value is not None}
    if examples is not None:
        given["examples"] = list(examples)
    for name, value in (("fallback", fallback), ("enabled_env_var", enabled_env_var)):
        if value is not None:
            given[name] = value or None
    if backend is not None:
        given["backend.kind"] = backend
        if backend == "local":  # its other details belong to the upstream that is being left
            given.update({f"backend.{name}": None for name in _BACKEND_DETAILS})
    for name, value in zip(_BACKEND_DETAILS, (base_url, model, api_key_env), strict=True):
        if value is not None:
            given[f"backend.{name}"] = value
    return given | dict(_assignment(each) for each in assignments or ())


def _assignment(text: str) -> tuple[str, Any]:
    field, equals, value = text.partition("=")
    if not equals or not field:
        raise InvalidInput(
            f"--set {text[:80]!r} is not FIELD=VALUE", what="--set", allowed="such as --set thresholds.min_accuracy=0.9"
        )
    try:
        return field, json.loads(value)
    except ValueError:  # a bare word is a string
        return field, value


def file_fields(path: Path | None) -> dict[str, Any]:
    """The fields in a JSON file; none without a file.

    Raises:
        InvalidInput: the file cannot be read, is not JSON, or holds something else than one domain's fields.
    """
    if path is None:
        return {}
    value = read_json(read_file(path), source=str(path))
    if not isinstance(value, dict):
        raise InvalidInput("the file must hold one JSON object, the domain's fields", what="--file", where=str(path))
    if "domains" in value:
        raise InvalidInput(
            "the file is a whole document, not one domain",
            what="--file",
            where=str(path),
            remedy=f"bailiwick domain import {path}",
        )
    return value


def edited_words(
    field: str, present: Sequence[str], add: Sequence[str] | None, remove: Sequence[str] | None
) -> list[str] | None:
    """A list of words after additions and removals, None where nothing was asked.

    Raises:
        InvalidInput: a word to remove is not there.
    """
    if not add and not remove:
        return None
    leaving = {word.casefold() for word in remove or ()}
    unknown = leaving - {word.casefold() for word in present}
    if unknown:
        raise InvalidInput(
            f"{field} hold no {sorted(unknown)[0]!r}", what=field, requested=sorted(unknown)[0], allowed=list(present)
        )
    return [word for word in present if word.casefold() not in leaving] + list(add or ())


def kept_weights(weights: Mapping[str, float], words: Sequence[str]) -> dict[str, float]:
    """The attention weights of words that are still there."""
    known = {word.casefold() for word in words}
    return {word: weight for word, weight in weights.items() if word.casefold() in known}
