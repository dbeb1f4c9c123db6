"""Whether differential privacy means anything for a source: it protects those whom a unit names, not documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

_KINDS = {
    ".sql": "SQL text",
    ".hql": "SQL text",
    ".ddl": "table definitions",
    ".xml": "a job schedule",
    ".py": "program text",
    ".sh": "program text",
}


@dataclass(frozen=True, slots=True)
class Applicability:
    """Whether a source has a person-level unit, and if not, why, and what would change that."""

    applies: bool
    reason: str = ""
    remedy: str = ""

    @property
    def words(self) -> str:
        """For people.

        >>> of_file("nightly.xml").words
        'differential privacy does not apply: a job schedule has no person-level unit'
        """
        return "differential privacy applies" if self.applies else f"differential privacy does not apply: {self.reason}"


def of_file(name: str) -> Applicability:
    """By the kind of file. A table of rows may have a unit; a definition, a statement or a schedule never does.

    >>> of_file("queries.csv").applies
    True
    """
    kind = _KINDS.get(PurePath(name).suffix.lower())
    return Applicability(True) if kind is None else Applicability(False, f"{kind} has no person-level unit")


def of_import(source: str, unit_column: str | None) -> Applicability:
    """By what was stated when a data set was imported, which is public. Whether any row names a unit is private.

    Args:
        source: where it came from, as its record says.
        unit_column: that was named at import as the one that says whom a row belongs to.

    >>> of_import("queries.csv", None).applies, of_import("queries.csv", "customer").applies
    (False, True)
    """
    if source == "graph":
        return Applicability(
            False, "its rows are elements of the graph, and the file that each was read from is no person"
        )
    if unit_column is None:
        return Applicability(
            False,
            "no unit was named at import",
            "import it again with --unit-column COLUMN --independent-units, to say whom a row belongs to",
        )
    return Applicability(True)
