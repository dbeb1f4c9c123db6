"""What the demo runs on: the sample estate, or the real corpora of a folder."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bailiwick.cli.estate import SAMPLE
from bailiwick.datasets.readers import Columns
from bailiwick.domains.document import parse_document
from bailiwick.domains.model import Domain, DomainSet
from bailiwick.errors import InvalidInput, NotFound

ESTATE_FOLDERS = ("carddemo", "hive-sql", "json-tables", "tpcds-inserts")
_MOST_KEYWORDS = 40
_FOR_ANYTHING = "general"
"""The domain of HWU64 for what belongs nowhere else."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A labelled file, or three with the splits that their authors made."""

    name: str
    path: Path
    columns: Columns = field(default_factory=Columns)
    domain: str | None = None
    test: Path | None = None
    validation: Path | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that goes in at the beginning of the way."""

    title: str
    estate: tuple[Path, ...]
    domains: DomainSet
    labelled: tuple[Labelled, ...]


def sample() -> Material:
    """The invented retail bank that the package ships."""
    path = SAMPLE / "domains.json"
    return Material(
        "Northgate, an invented retail bank",
        (SAMPLE,),
        parse_document(path.read_bytes(), source=str(path)),
        (Labelled("bank-queries", SAMPLE / "queries.csv", Columns(unit="customer")),),
    )


def corpora(folder: Path) -> Material:
    """Real corpora: estates of any kind, and the labelled queries of HWU64 and Banking77.

    Args:
        folder: with at least one of the estate folders, and ``banking77/`` or ``hwu64/``.

    Raises:
        NotFound: the folder does not exist.
        InvalidInput: it holds no estate, or no labelled queries.
    """
    if not folder.is_dir():
        raise NotFound(f"there is no folder {str(folder)!r}", what="--data", where=str(folder))
    estate = tuple(folder / name for name in ESTATE_FOLDERS if (folder / name).is_dir())
    labelled, domains = [], []
    banking = folder / "banking77"
    if banking.is_dir():
        columns = Columns(label="category")
        labelled.append(Labelled("banking77", banking / "train.csv", columns, "banking", banking / "test.csv"))
        domains.append(_domain("banking", _column(banking / "train.csv", "category")))
    homes = folder / "hwu64"
    if homes.is_dir():
        columns = Columns(label="intent", domain="domain")
        labelled.append(
            Labelled("hwu64", homes / "train.csv", columns, test=homes / "test.csv", validation=homes / "valid.csv")
        )
        intents = _column(homes / "train.csv", "intent")
        owners = _column(homes / "train.csv", "domain")
        for name in sorted(set(owners)):
            domains.append(_domain(name, (i for i, owner in zip(intents, owners, strict=True) if owner == name)))
    if not estate or not labelled:
        raise InvalidInput(
            f"{str(folder)!r} holds no {'estate' if not estate else 'labelled queries'}",
            what="--data",
            where=str(folder),
            allowed=[*ESTATE_FOLDERS, "banking77", "hwu64"],
            remedy="name a folder that holds them, or leave --data out",
        )
    default = next((domain.id for domain in domains if domain.id == _FOR_ANYTHING), domains[0].id)
    return Material(
        f"the corpora in {folder}",
        estate,
        DomainSet({domain.id: domain for domain in sorted(domains, key=_id)}, default),
        tuple(labelled),
    )


def _domain(name: str, labels: Iterable[str]) -> Domain:
    """A domain that knows no more than its name and the names of its labels."""
    words = dict.fromkeys(word for label in sorted(set(labels)) for word in re.findall(r"[a-z]{3,}", label.lower()))
    keywords = tuple(dict.fromkeys((name, *words)))[:_MOST_KEYWORDS]
    domain = Domain(id=name, name=name.capitalize(), agent_id=f"agent-{name}", layer="queries", team="assistants")
    return replace(domain, keywords=keywords)


def _id(domain: Domain) -> str:
    return domain.id


def _column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]
