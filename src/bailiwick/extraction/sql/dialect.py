"""Dialects: their names, how a text gives its own away, and how each one folds the case of names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class SqlDialect:
    """What the readers must know about a dialect.

    Args:
        name: as users write it.
        grammar: the sqlglot dialect that reads it; empty for sqlglot's own tolerant one.
        backslash: whether a backslash escapes inside a string.
        quoted_keeps_case: whether a quoted name may differ from another one by case alone.
        folds_upper: whether an unquoted name means the same as its upper-case quoted spelling.
        types: the sqlglot dialect that spells types; None for the grammar's own.
    """

    name: str
    grammar: str
    backslash: bool = False
    quoted_keeps_case: bool = True
    folds_upper: bool = False
    types: str | None = None

    @property
    def spelling(self) -> str:
        """The sqlglot dialect that types are written in; empty for the tolerant one."""
        return self.grammar if self.types is None else self.types


_HIVE_LIKE: Final[dict[str, Any]] = {"backslash": True, "quoted_keeps_case": False}
_KNOWN: Final = {
    dialect.name: dialect
    for dialect in (
        SqlDialect("hive", "hive", **_HIVE_LIKE),
        SqlDialect("spark", "spark", **_HIVE_LIKE),
        SqlDialect("databricks", "databricks", **_HIVE_LIKE),
        SqlDialect("mysql", "mysql", **_HIVE_LIKE),
        SqlDialect("bigquery", "bigquery", **_HIVE_LIKE),
        SqlDialect("tsql", "tsql", quoted_keeps_case=False),
        # SQLite keeps types as they were declared; sqlglot would write BOOLEAN as INTEGER and VARCHAR(9) as TEXT(9).
        SqlDialect("sqlite", "sqlite", quoted_keeps_case=False, types="mysql"),
        SqlDialect("trino", "trino", quoted_keeps_case=False),
        SqlDialect("presto", "presto", quoted_keeps_case=False),
        SqlDialect("duckdb", "duckdb", quoted_keeps_case=False),
        SqlDialect("ansi", ""),
        SqlDialect("postgres", "postgres"),
        SqlDialect("redshift", "redshift"),
        SqlDialect("teradata", "teradata", quoted_keeps_case=False),
        SqlDialect("db2", "", folds_upper=True),
        SqlDialect("oracle", "oracle", folds_upper=True),
        SqlDialect("snowflake", "snowflake", folds_upper=True),
    )
}
NAMES: Final = tuple(sorted({*_KNOWN, "auto"}))
"""What a user may ask for; ``auto`` looks at the text."""

_SIGNS: Final = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        (
            "hive",
            r"\b(stored\s+as\s+(orc|parquet|textfile|rcfile|sequencefile|avro|inputformat)|row\s+format|tblproperties"
            r"|lateral\s+view|insert\s+overwrite|msck|clustered\s+by|hive(conf|var)|serdeproperties)\b",
        ),
        ("db2", r"\b(copy\s+(yes|no)|erase\s+no|ccsid|for\s+(bit|sbcs|mixed)\s+data|with\s+default|compress\s+yes)\b"),
        ("oracle", r"\b(varchar2|sysdate|rownum|nvl2)\b|\bnumber\s*\("),
        ("tsql", r"^\s*go\s*$|\b(nvarchar\s*\(\s*max|getdate\s*\(\)|identity\s*\(\s*1)|\[dbo\]"),
        ("postgres", r"\b(bigserial|serial|jsonb|bytea)\b|::\s*\w+|\$\$|\bon\s+conflict\b"),
        ("mysql", r"\bengine\s*=|\bauto_increment\b"),
        ("sqlite", r"\bautoincrement\b|\bpragma\s"),
    )
)
_SAMPLE_CHARACTERS = 20_000


def dialect_named(name: str) -> SqlDialect:
    """The dialect of that name; one that only sqlglot knows gets the ANSI rules of case."""
    folded = name.lower()
    return _KNOWN.get(folded) or SqlDialect(folded, folded)


def detect(text: str, default: str = "hive") -> str:
    """The name of the dialect whose own words the first 20,000 characters of a text use, or the default.

    >>> detect("CREATE TABLE t (a int) STORED AS ORC"), detect("SELECT 1", "postgres")
    ('hive', 'postgres')
    """
    sample = text[:_SAMPLE_CHARACTERS]
    return next((name for name, sign in _SIGNS if sign.search(sample)), default)


def fold(name: str, quoted: bool, dialect: SqlDialect) -> str:
    """The canonical spelling of a name: two spellings that mean the same thing in the dialect become equal.

    >>> [fold("Customer", quoted, dialect_named(name)) for name in ("hive", "postgres") for quoted in (False, True)]
    ['customer', 'customer', 'customer', 'Customer']
    >>> fold("CUSTOMER", True, dialect_named("db2"))
    'customer'
    """
    if not quoted or not dialect.quoted_keeps_case or (dialect.folds_upper and name == name.upper()):
        return name.lower()
    return name
