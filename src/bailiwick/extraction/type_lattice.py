"""What sample values say about a column: its type, its gaps, its spread, its meaning. One pass, bounded memory.

Types form a lattice: a column's type is the smallest one that holds all its values.
``null < bool``, ``null < int < bigint < decimal < double``, ``date < timestamp``, ``time``, ``uuid``, ``array``,
``struct``; any other mixture is ``string``. Values themselves are not kept: distinct counts and overlaps between
columns rest on a sketch of the smallest hashes (k minimum values; Bar-Yossef et al., RANDOM 2002).
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from datetime import date, datetime
from math import isinf
from typing import Any, Final

import orjson
import xxhash

SKETCH_SIZE: Final = 64
_INT_MAX = 2**31
_BIGINT_MAX = 2**63
_HASH_SPACE = 2**64
_NUMERIC = ("bool", "int", "bigint", "decimal", "double")
_TEXT_SEEN = 200  # the most characters of a string that patterns look at

_TYPE_PATTERNS = (
    ("date", re.compile(r"\d{4}-\d{2}-\d{2}")),
    ("timestamp", re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?")),
    ("time", re.compile(r"\d{2}:\d{2}:\d{2}(\.\d{1,9})?")),
    ("uuid", re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")),
)
_MEANINGS = (
    ("email", re.compile(r"[^@\s]{1,64}@[\w-]+(\.[\w-]+)+")),
    ("url", re.compile(r"https?://\S+")),
    ("ip_address", re.compile(r"(\d{1,3}\.){3}\d{1,3}")),
    ("iban", re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")),
    ("phone", re.compile(r"\+?\(?\d[\d\s().-]{6,18}\d")),
    ("hash", re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}")),
    ("country_code", re.compile(r"[A-Z]{2}")),
    ("number", re.compile(r"-?\d+([.,]\d+)?")),
)


def join(first: str, second: str) -> str:
    """The smallest type that holds both.

    >>> join("int", "double"), join("date", "timestamp"), join("int", "date"), join("null", "uuid")
    ('double', 'timestamp', 'string', 'uuid')
    """
    if first == second or second == "null":
        return first
    if first == "null":
        return second
    if first in _NUMERIC and second in _NUMERIC and "bool" not in (first, second):
        return _NUMERIC[max(_NUMERIC.index(first), _NUMERIC.index(second))]
    if {first, second} == {"date", "timestamp"}:
        return "timestamp"
    return "string"


def type_of(value: Any) -> str:
    """The type of one JSON value; strings are looked into for dates, times and identifiers.

    >>> [type_of(v) for v in (None, True, 7, 2**40, 2**70, 1.5, "2026-03-01", "x", [1], {})]
    ['null', 'bool', 'int', 'bigint', 'decimal', 'double', 'date', 'string', 'array', 'struct']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if -_INT_MAX <= value < _INT_MAX:
            return "int"
        return "bigint" if -_BIGINT_MAX <= value < _BIGINT_MAX else "decimal"
    if isinstance(value, float):
        return "double"
    if isinstance(value, str):
        return _type_of_text(value)
    return "array" if isinstance(value, list) else "struct"


def _type_of_text(text: str) -> str:
    if not 8 <= len(text) <= 40:
        return "string"
    for name, pattern in _TYPE_PATTERNS:
        if pattern.fullmatch(text):
            return name if name not in {"date", "timestamp"} or _is_instant(text) else "string"
    return "string"


def _is_instant(text: str) -> bool:
    try:
        date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


@dataclass
class Profile:
    """What is known of a column so far; feed it values with `add`.

    Attributes:
        type: the join of the types seen.
        rows: values seen, nulls included; ``missing`` counts the records without the field.
    """

    type: str = "null"
    rows: int = 0
    nulls: int = 0
    missing: int = 0
    empty: int = 0
    longest: int = 0
    minimum: Any = None
    maximum: Any = None
    element: Profile | None = None
    _sketch: list[int] = field(default_factory=list)
    _meanings: dict[str, int] = field(default_factory=dict)

    def add(self, value: Any) -> None:
        """Take one value into account."""
        self.rows += 1
        if value is None or value != value:  # NaN is how data frames write a missing value
            self.nulls += 1
            return
        kind = type_of(value)
        self.type = join(self.type, kind)
        self._remember(value)
        if isinstance(value, str):
            self._add_text(value, kind)
        elif kind in _NUMERIC[1:]:
            self._widen(value)
        elif isinstance(value, list):
            self.element = self.element or Profile()
            for item in value[:100]:
                self.element.add(item)

    def _add_text(self, value: str, kind: str) -> None:
        self.empty += not value.strip()
        self.longest = max(self.longest, len(value))
        if kind in {"date", "timestamp", "time"}:
            self._widen(value)
        text = value.strip()[:_TEXT_SEEN]
        meaning = next((name for name, pattern in _MEANINGS if pattern.fullmatch(text)), None) if text else None
        if meaning:
            self._meanings[meaning] = self._meanings.get(meaning, 0) + 1

    def _widen(self, value: Any) -> None:
        if isinstance(value, float) and isinf(value):
            return
        try:
            self.minimum = value if self.minimum is None else min(self.minimum, value)
            self.maximum = value if self.maximum is None else max(self.maximum, value)
        except TypeError:  # numbers and dates mixed: the column is a string, its bounds mean nothing
            self.minimum = self.maximum = None

    def _remember(self, value: Any) -> None:
        text = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else _canonical(value)
        hashed = xxhash.xxh3_64_intdigest(text)
        if len(self._sketch) < SKETCH_SIZE or hashed < self._sketch[-1]:
            at = _position(self._sketch, hashed)
            if at is not None:
                insort(self._sketch, hashed)
                del self._sketch[SKETCH_SIZE:]

    @property
    def distinct(self) -> int:
        """Distinct non-null values; exact below 64, then within about 13 % (one standard error, 1/sqrt(k - 2))."""
        if len(self._sketch) < SKETCH_SIZE:
            return len(self._sketch)
        return round((SKETCH_SIZE - 1) * _HASH_SPACE / self._sketch[-1])

    @property
    def declared_type(self) -> str:
        """The type in Hive's words, with what is inside arrays."""
        if self.type == "array":
            return f"array<{self.element.declared_type if self.element else 'string'}>"
        return {"null": "string", "time": "string", "uuid": "string", "bool": "boolean"}.get(self.type, self.type)

    def statistics(self, records: int) -> dict[str, Any]:
        """JSON values: ``null_ratio``, ``missing_ratio``, ``distinct``, ``min``, ``max``, ``sketch``, ...

        Bounds are given for numbers and times only, so that no name or address leaves a file.

        Args:
            records: how many records the table has, with or without this column.
        """
        known = self.rows - self.nulls
        meaning, count = max(self._meanings.items(), key=lambda item: item[1], default=("", 0))
        found: dict[str, Any] = {
            "rows": records,
            "null_ratio": round((self.nulls + self.missing) / records, 6) if records else None,
            "missing_ratio": round(self.missing / records, 6) if records and self.missing else None,
            "empty_ratio": round(self.empty / records, 6) if records and self.empty else None,
            "distinct": self.distinct,
            "observed_type": self.type,
            "min": self.minimum if self.type != "string" else None,
            "max": self.maximum if self.type != "string" else None,
            "max_length": self.longest or None,
            "semantic_type": meaning if known and count >= 0.8 * known else None,
            "sketch": [f"{hashed:016x}" for hashed in self._sketch] or None,
        }
        return {name: value for name, value in found.items() if value is not None}


def _position(sketch: list[int], hashed: int) -> int | None:
    at = bisect_left(sketch, hashed)
    return None if at < len(sketch) and sketch[at] == hashed else at


def _canonical(value: Any) -> bytes:
    if isinstance(value, float) and value.is_integer() and abs(value) < _BIGINT_MAX:
        value = int(value)  # 7 and 7.0 are the same key
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return repr(value).encode("utf-8", "backslashreplace")
