"""What is typed about an experiment, turned into the document that a file or a request body would be."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.experiments.document import parse_design
from bailiwick.experiments.model import ExperimentDesign
from bailiwick.traffic.model import Operator

_MAX_FILE_BYTES = 4 << 20

Id = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="An experiment's id.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the audit trail.")]
Revision = Annotated[int | None, typer.Option(help="Change only if the experiment still has this revision.")]
Metric = Annotated[
    str, typer.Option("--metric", help="Primary metric; METRIC:lower or METRIC:higher says what is good.")
]
MinimumEffect = Annotated[
    str, typer.Option("--minimum-effect", help="Smallest improvement that matters: 0.02, or 5% of the control's value.")
]
Level = Annotated[float, typer.Option(help="Confidence.")]
Power = Annotated[float, typer.Option(help="Chance to find the minimum effect.")]
MaxDays = Annotated[float, typer.Option(help="Longest duration in days.")]
Coverage = Annotated[float, typer.Option(help="Percent of the layer's users that take part.")]


def design_from_file(path: Path) -> ExperimentDesign:
    """The design in a TOML or JSON file.

    Raises:
        InvalidInput: it cannot be read as such a file, or as a design.
        Unavailable: it cannot be opened.
    """
    try:
        raw = path.read_bytes()[: _MAX_FILE_BYTES + 1]
    except OSError as error:
        raise Unavailable(f"cannot read {str(path)!r}: {error.strerror}", what="file", where=str(path)) from error
    if len(raw) > _MAX_FILE_BYTES:
        raise InvalidInput(f"{str(path)!r} is too large for a design", what="file", allowed="4 MiB")
    try:
        text = raw.decode("utf-8")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{str(path)!r} cannot be read: {error}", what="file", where=str(path), allowed="a TOML or JSON file"
        ) from error
    if not isinstance(document, dict):
        raise InvalidInput(f"{str(path)!r} holds no design", what="file", where=str(path), allowed="one object")
    return parse_design(document, where=str(path))


def arm_documents(arms: Sequence[str], weights: Sequence[str], parameters: Sequence[str]) -> list[dict[str, Any]]:
    """Arms from ``NAME=VERSION`` (or ``NAME``), ``NAME=PERCENT`` and ``NAME.PARAMETER=VALUE``.

    Raises:
        InvalidInput: a word is none of that, or names no arm.
    """
    made: dict[str, dict[str, Any]] = {}
    for word in arms:
        name, _, version = word.partition("=")
        if name in made:
            raise InvalidInput(f"two arms are named {name!r}", what="arms", requested=word)
        made[name] = {"name": name, "version": version or None, "parameters": {}}
    for word in weights:
        name, _, percent = word.partition("=")
        _arm(made, name, word)["weight"] = _number(percent.removesuffix("%"), word)
    for word in parameters:
        place, equals, value = word.partition("=")
        name, dot, parameter = place.partition(".")
        if not (equals and dot and parameter):
            raise InvalidInput(
                f"cannot read the parameter {word!r}", what="parameter", requested=word, allowed="ARM.NAME=VALUE"
            )
        _arm(made, name, word)["parameters"][parameter] = _scalar(value)
    return list(made.values())


def goal_document(word: str) -> dict[str, Any]:
    """A goal from ``METRIC``, ``METRIC:higher`` or ``METRIC:lower``."""
    metric, _, better = word.partition(":")
    return {"metric": metric, **({"better": better} if better else {})}


def guardrail_document(word: str) -> dict[str, Any]:
    """A guardrail from ``METRIC[:pNN][:higher|:lower]=MARGIN``.

    Raises:
        InvalidInput: it has no margin, or its quantile cannot be read.

    >>> guardrail_document("latency_ms:p95=10%")
    {'metric': 'latency_ms', 'quantile': 0.95, 'margin': '10%'}
    """
    place, equals, margin = word.rpartition("=")
    if not equals or not place:
        raise InvalidInput(
            f"cannot read the guardrail {word!r}",
            what="guardrail",
            requested=word,
            allowed="METRIC=MARGIN or METRIC:p95=MARGIN, such as failed=0.01 or latency_ms:p95=10%",
        )
    metric, *details = place.split(":")
    made: dict[str, Any] = {"metric": metric}
    for detail in details:
        if detail.startswith("p") and detail[1:].replace(".", "", 1).isdigit():
            made["quantile"] = round(float(detail[1:]) / 100, 6)
        else:
            made["better"] = detail
    return {**made, "margin": margin}


def condition_document(word: str) -> dict[str, Any]:
    """A condition from ``ATTRIBUTE OPERATOR VALUE,VALUE``.

    Raises:
        InvalidInput: it is none.

    >>> condition_document("country in DE,AT")
    {'attribute': 'country', 'operator': 'in', 'values': ['DE', 'AT']}
    """
    attribute, _, rest = word.partition(" ")
    operator, _, values = rest.partition(" ")
    if not operator:
        raise InvalidInput(
            f"cannot read the condition {word!r}",
            what="where",
            requested=word,
            allowed=f"'ATTRIBUTE OPERATOR VALUE,...', operators {', '.join(Operator)}",
        )
    return {
        "attribute": attribute,
        "operator": operator,
        "values": [_scalar(each) for each in values.split(",")] if values else [],
    }


def _arm(made: dict[str, dict[str, Any]], name: str, word: str) -> dict[str, Any]:
    if name not in made:
        raise InvalidInput(f"{word!r} names no arm", what="arms", requested=name, allowed=list(made))
    return made[name]


def _number(text: str, word: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"cannot read {word!r}", what="weights", requested=word, allowed="ARM=PERCENT") from None


def _scalar(text: str) -> str | int | float | bool:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)
