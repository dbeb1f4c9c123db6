"""Statements without a query in them that sqlglot does not read: each is matched whole by a pattern of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NAME = r"[\w.`\"\[\]${}:@#-]+"
_STRING = r"(?:'[^']*'|\"[^\"]*\")"


@dataclass(frozen=True, slots=True)
class Command:
    """A recognised command.

    Args:
        reads: tables read, as written.
        writes: tables changed, as written.
        argument: of USE, the database.
    """

    kind: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    argument: str = ""


_PATTERNS: Final = tuple(
    (kind, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for kind, pattern in (
        ("set", r"(?:re)?set\b.*"),
        ("set", r"--#set\b.*"),
        ("shell", r"!.*"),
        ("use", rf"use\s+(?:database\s+|schema\s+)?(?P<argument>{_NAME})"),
        ("repair", rf"msck\s+(?:repair\s+)?table\s+(?P<writes>{_NAME})(?:\s+(?:add|drop|sync)\s+partitions)?"),
        ("alter_database", rf"alter\s+(?:database|schema)\s+(?:{_NAME})\s+set\s.*"),
        (
            "create_database",
            rf"create\s+(?:remote\s+)?(?:database|schema)\s+(?:if\s+not\s+exists\s+)?(?:{_NAME})(?:\s.*)?",
        ),
        ("drop_database", rf"drop\s+(?:database|schema)\s+(?:if\s+exists\s+)?(?:{_NAME})(?:\s+(?:cascade|restrict))?"),
        (
            "create_index",
            rf"create\s+(?:unique\s+)?(?:bitmap\s+)?index\s+(?:{_NAME})\s+on\s+(?:table\s+)?(?P<writes>{_NAME})\s*\(.*",
        ),
        ("drop_index", rf"drop\s+index\s.*?(?:\son\s+(?P<writes>{_NAME}))?"),
        (
            "exchange_partition",
            rf"alter\s+table\s+(?P<writes>{_NAME})\s+exchange\s+partition\s*\([^()]*\)\s+with\s+table\s+(?P<reads>{_NAME})",
        ),
        (
            "alter_table",
            rf"alter\s+table\s+(?P<writes>{_NAME})\s+(?:partition\s*\([^()]*\)\s*)?"
            r"(?:(?:en|dis)able\s+(?:no_drop|offline)|archive|unarchive|compact|concatenate|touch|update\s+statistics"
            r"|recover\s+partitions|not\s+skewed|not\s+clustered|skewed\s+by|set\s+skewed|clustered\s+by|into\s"
            r"|set\s+(?:serde|serdeproperties|fileformat|owner|partition)|unset\s|drop\s+(?:if\s+exists\s+)?partition"
            r"|add\s+(?:if\s+not\s+exists\s+)?partition|partition\s+column|rename\s+to\s+partition|execute|drop\s+constraint"
            r").*",
        ),
        (
            "alter_view",
            rf"alter\s+(?:materialized\s+)?view\s+(?P<writes>{_NAME})\s+(?:set|unset|rebuild|enable|disable)\b.*",
        ),
        (
            "truncate",
            rf"truncate\s+(?:table\s+)?(?P<writes>{_NAME})(?:\s+partition\s*\([^()]*\))?(?:\s+force|\s+immediate)?",
        ),
        ("analyze", rf"analyze\s+table\s+(?P<reads>{_NAME})\s.*"),
        ("export", rf"export\s+table\s+(?P<reads>{_NAME})\s.*"),
        ("import", rf"import\s+(?:external\s+)?table\s+(?P<writes>{_NAME})\s.*"),
        ("lock", rf"(?:un)?lock\s+table\s+(?P<reads>{_NAME})(?:\s.*)?"),
        ("create_function", r"create\s+(?:or\s+replace\s+)?(?:temporary\s+)?(?:function|macro)\s.*"),
        ("create_routine", r"create\s+(?:or\s+(?:replace|alter)\s+)?(?:procedure|function|trigger|package)\s.*\bbegin"),
        ("resource", r"(?:add|delete|list)\s+(?:jars?|files?|archives?)\b.*"),
        ("reload", r"reload\s+functions?"),
        ("show", r"(?:show|describe|desc|explain|help)\b.*"),
        ("grant", r"(?:grant|revoke|create\s+role|drop\s+role|comment\s+on\s+database)\s.*"),
        (
            "create_storage",
            r"create\s+(?:or\s+replace\s+)?(?:tablespace|stogroup|bufferpool|sequence|synonym|alias)\s.*",
        ),
        (
            "transaction",
            r"(?:begin|commit|rollback|end|start\s+transaction|savepoint)(?:\s+(?:work|transaction|tran|if|loop|while|case))?"
            r"(?:\s+\w+)?",
        ),
        ("terminator", rf"delimiter\s+\S+|connect\s+(?:to\s+)?\S+|connect\s+reset|values\s+{_STRING}"),
    )
)
_WORDS: Final = frozenset(
    {"set", "reset", "use", "msck", "alter", "create", "drop", "truncate", "analyze", "export", "import", "lock"}
    | {"unlock", "add", "delete", "list", "reload", "show", "describe", "desc", "explain", "help", "grant", "revoke"}
    | {"begin", "commit", "rollback", "end", "start", "savepoint", "delimiter", "connect", "comment"}
)
_EAGER: Final = frozenset(
    {"set", "reset", "use", "msck", "show", "describe", "desc", "explain", "grant", "revoke", "lock"} | {"analyze"}
)
_WORD = re.compile(r"!|--#set|\w+", re.IGNORECASE)
_MAX_CHARACTERS = 100_000
_CREATES = re.compile(
    r"(?:create|drop|alter)\s+(?:remote\s+|unique\s+|or\s+replace\s+)?(?:database|schema|index)\b", re.IGNORECASE
)


def eager(text: str) -> bool:
    """Whether a statement should be matched here before the parser sees it: it has no query, or sqlglot misreads it."""
    match = _WORD.match(text)
    if match is None:
        return False
    word = match[0].lower()
    return word in _EAGER or word[0] in "!-" or (word in {"create", "drop", "alter"} and bool(_CREATES.match(text)))


def recognise(text: str) -> Command | None:
    """The command that a whole statement is, or None.

    >>> recognise("MSCK REPAIR TABLE crm.customer ADD PARTITIONS")
    Command(kind='repair', reads=(), writes=('crm.customer',), argument='')
    """
    match = _WORD.match(text)
    if match is None or len(text) > _MAX_CHARACTERS:
        return None
    if match[0][0] not in "!-" and match[0].lower() not in _WORDS:
        return None
    for kind, pattern in _PATTERNS:
        found = pattern.fullmatch(text)
        if found is not None:
            named = found.groupdict()
            reads, writes = named.get("reads"), named.get("writes")
            return Command(kind, (reads,) if reads else (), (writes,) if writes else (), named.get("argument") or "")
    return None
