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
    """Whether a source has a person-level unit, and if not, why.

    ``reason`` is empty where it applies.
    """

    applies: bool
    reason: str = ""

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


def of_rows(source: str, units: int) -> Applicability:
    """By what is known of a data set.

    Args:
        source: where it came from, as its record says.
        units: how many of its rows name a unit.
    """
    if source == "graph":
        return Applicability(
            False, "its rows are elements of the graph, and the file that each was read from is no person"
        )
    if units == 0:
        return Applicability(False, "no row names a unit; import it with --unit-column to say whom a row belongs to")
    return Applicability(True)
