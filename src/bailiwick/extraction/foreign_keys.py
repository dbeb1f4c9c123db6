"""Guesses foreign keys that nobody declared, from names, types, key-ness and the overlap of sampled values.

A table's own key is its declared primary key, or a column that is named after it (``customer_id`` in ``customers``,
``id`` anywhere, ``i_item_sk`` in ``item``). A column of another table refers to it when its name ends in the same
entity and key word, with or without a role in front (``billing_customer_id``). Overlap of values can only raise or
lower what the name suggests: a handful of sample rows proves little.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bailiwick.extraction.model import ColumnFact, ForeignKey, TableFact
from bailiwick.graph.model import NodeKind

MIN_CONFIDENCE = 0.6
_MAX_CANDIDATES = 200
_SUREST = 0.99  # a guess stays a guess
_STEM = 4  # letters that an abbreviation must share with the word that it stands for
_KEY_WORDS = ("id", "sk", "key", "code", "no", "nr", "num", "number", "uuid", "guid", "ref", "pk", "fk")
_GLUED = re.compile(r"([a-z]{2,}?)(id|key|code)$")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TO_PARENT = {"reportsto", "reports_to", "parent_id", "parentid", "manager_id", "managerid", "parent_key"}
_FILLER = {"tbl", "table", "dim", "fact", "dw", "stg", "raw", "t", "the", "df"}
_FAMILIES = (
    (
        "number",
        re.compile(r"(tiny|small|medium|big)?int|integer|serial|bigserial|number|numeric|decimal|double|float|real"),
    ),
    ("text", re.compile(r"n?(var)?char|varchar2|string|text|clob|uuid|character")),
    ("time", re.compile(r"date|time|timestamp")),
)


@dataclass(frozen=True, slots=True)
class _Key:
    """A column that may be referred to."""

    table: str
    column: ColumnFact
    entity: tuple[str, ...]
    word: str
    certainty: float


def infer_foreign_keys(tables: Mapping[str, TableFact]) -> dict[str, tuple[ForeignKey, ...]]:
    """Inferred foreign keys by owning table; declared ones are not repeated. Only tables of one database are compared.

    Args:
        tables: merged facts by qualified name; what precedes the last dot is the database.

    Returns:
        Keys with ``inferred`` set and a confidence of `MIN_CONFIDENCE` or more, at most one per column.
    """
    vocabulary = _vocabulary(tables.values())
    keys: dict[tuple[str, str, str], list[_Key]] = defaultdict(list)
    for table in tables.values():
        if table.kind is NodeKind.TABLE:
            for key in _own_keys(table, vocabulary):
                for spelling in {key.entity[-1], f"{key.entity[-1][:_STEM]}~"}:
                    keys[_database(table.name), spelling, key.word].append(key)
    found: dict[str, tuple[ForeignKey, ...]] = {}
    for table in tables.values():
        if table.kind is not NodeKind.TABLE:
            continue
        declared = {column for key in table.foreign_keys if not key.inferred for column in key.columns}
        guesses = [
            guess
            for column in table.columns
            if column.name not in declared and (guess := _best(table, column, keys, vocabulary, tables)) is not None
        ]
        if guesses:
            found[table.name] = tuple(guesses)
    return found


def _best(
    table: TableFact,
    column: ColumnFact,
    keys: Mapping[tuple[str, str, str], list[_Key]],
    vocabulary: frozenset[str],
    tables: Mapping[str, TableFact],
) -> ForeignKey | None:
    words = _words(column.name, vocabulary)
    database = _database(table.name)
    entity = _entity(table.name, vocabulary)
    scored: list[tuple[float, _Key]] = []
    if column.name in _TO_PARENT:
        own = keys.get((database, entity[-1], "id"), [])
        scored += [(0.75, key) for key in own if key.table == table.name and _alike(column, key.column)]
    identifies_itself = entity in (words[:-1], words[1:-1]) or _abbreviates(words[1:-1], entity)
    if len(words) > 1 and words[-1] in _KEY_WORDS and not identifies_itself:
        candidates = _candidates(keys, database, words)
        scored += [(_score(column, words, key), key) for key in candidates if key.table != table.name]
    scored = [(score, key) for score, key in scored if score >= MIN_CONFIDENCE]
    if not scored:
        return None
    scored.sort(key=lambda pair: (-pair[0], -len(pair[1].entity), len(pair[1].table), pair[1].table))
    score, key = scored[0]
    rivals = sum(other >= score - 0.02 and rival.table != key.table for other, rival in scored)
    score = score if rivals == 0 else max(score - 0.1 * rivals, 0.0)
    if score < MIN_CONFIDENCE:
        return None
    return ForeignKey(
        (column.name,), key.table, (_target(table, column, key, tables),), inferred=True, confidence=round(score, 3)
    )


def _candidates(keys: Mapping[tuple[str, str, str], list[_Key]], database: str, words: tuple[str, ...]) -> list[_Key]:
    """Keys of that very word, else of a word that it may abbreviate; a word that hundreds share decides nothing."""
    exact = keys.get((database, words[-2], words[-1]), [])
    found = exact or keys.get((database, f"{words[-2][:_STEM]}~", words[-1]), [])
    return found if len(found) <= _MAX_CANDIDATES else []


def _target(table: TableFact, column: ColumnFact, key: _Key, tables: Mapping[str, TableFact]) -> str:
    """The key column, or one of the very same name beside it (``payments.payment_order_id``)."""
    namesake = any(other.name == column.name and _alike(other, column) for other in tables[key.table].columns)
    return column.name if namesake and key.table != table.name else key.column.name


def _score(column: ColumnFact, words: tuple[str, ...], key: _Key) -> float:
    """From 0 to 1: how much the column looks like a reference to the key."""
    if not _alike(column, key.column):
        return 0.0
    stem, exact = words[:-1], 1.0
    if stem[-1] != key.entity[-1] and len(stem[-1]) >= _STEM and key.entity[-1].startswith(stem[-1]):
        stem, exact = (*stem[:-1], key.entity[-1]), 0.9  # an abbreviation: addr for address
    if stem == key.entity:
        score = 0.9
    elif stem[-len(key.entity) :] == key.entity:
        score = 0.8  # a role in front: billing_customer_id
    elif len(stem) == 1 and stem[0] == key.entity[-1]:
        score = 0.75  # a part of a longer name: category_id -> product_category
    else:
        score = 0.65 if stem[-1] == key.entity[-1] and len(key.entity) > 1 else 0.0
    return min(_SUREST, score * exact * key.certainty + _overlap(column, key.column)) if score else 0.0


def _overlap(child: ColumnFact, parent: ColumnFact) -> float:
    """What the sampled values add or take: shared values are evidence, their absence in a full table speaks against."""
    mine, theirs = set(child.statistics.get("sketch", ())), set(parent.statistics.get("sketch", ()))
    if not mine or not theirs:
        return 0.0
    if mine & theirs:
        return 0.05 + 0.05 * len(mine & theirs) / len(mine)
    enough = min(child.statistics.get("rows", 0), parent.statistics.get("rows", 0)) >= 50
    return -0.3 if enough and len(theirs) < 64 else 0.0


def _own_keys(table: TableFact, vocabulary: frozenset[str]) -> Iterable[_Key]:
    entity = _entity(table.name, vocabulary)
    declared = [column for column in table.columns if column.primary_key]
    if len(declared) == 1:
        words = _words(declared[0].name, vocabulary)
        word = words[-1] if words[-1] in _KEY_WORDS else "id"
        yield _Key(table.name, declared[0], entity, word, 1.0)
        stem = words[:-1]
        if stem and stem != entity and word in words:
            yield _Key(table.name, declared[0], stem, word, 0.95)
        return
    for column in table.columns:
        if (column.primary_key and declared) or not _may_be_key(column):
            continue
        words = _words(column.name, vocabulary)
        if words[-1] not in _KEY_WORDS:
            continue
        stem = words[:-1]
        if not stem and words[-1] in {"id", "key", "uuid", "guid"}:
            yield _Key(table.name, column, entity, words[-1], 0.95 if column.ordinal == 0 else 0.85)
        elif stem and _names(stem, entity):
            exact = stem == entity or (len(stem) > 1 and stem[1:] == entity)
            yield _Key(
                table.name, column, stem if stem == entity else _core(stem, entity), words[-1], 1.0 if exact else 0.9
            )


def _names(stem: tuple[str, ...], entity: tuple[str, ...]) -> bool:
    """Whether a stem names the entity of its own table; a short prefix (``i_`` in ``i_item_sk``) may precede it."""
    core = stem[1:] if len(stem) > 1 and len(stem[0]) <= 3 else stem
    if stem == entity or core == entity:
        return True
    # a head noun alone (sales_territory: territory_id), or the name without what it is about (date_dim: date_sk)
    return core == entity[-1:] or _abbreviates(core, entity)


def _abbreviates(core: tuple[str, ...], entity: tuple[str, ...]) -> bool:
    """One word that is short for the head noun: ``demo`` in ``customer_demographics``."""
    return len(core) == 1 and len(core[0]) >= _STEM and core != entity[-1:] and entity[-1].startswith(core[0])


def _core(stem: tuple[str, ...], entity: tuple[str, ...]) -> tuple[str, ...]:
    if stem[-len(entity) :] == entity:
        return entity
    return stem[1:] if len(stem) > 1 and len(stem[0]) <= 3 else stem


def _may_be_key(column: ColumnFact) -> bool:
    """Sampled values must not repeat, nor be missing."""
    rows, distinct = column.statistics.get("rows"), column.statistics.get("distinct")
    if not rows or distinct is None:
        return True
    if column.statistics.get("null_ratio"):
        return False
    return bool(distinct >= rows or (distinct >= 64 and distinct >= 0.7 * rows))


def _alike(first: ColumnFact, second: ColumnFact) -> bool:
    mine, theirs = _family(first.type), _family(second.type)
    return mine is None or theirs is None or mine == theirs


def _family(kind: str | None) -> str | None:
    return next((name for name, pattern in _FAMILIES if kind and pattern.match(kind)), None)


def _database(name: str) -> str:
    return name.rpartition(".")[0]


def _vocabulary(tables: Iterable[TableFact]) -> frozenset[str]:
    """The words that table names consist of: they tell where a name that is written together comes apart."""
    words = {_singular(word) for table in tables for word in _split(table.name.rpartition(".")[2]) if len(word) > 2}
    return frozenset(words - _FILLER)


def _split(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", _CAMEL.sub("_", name).lower()) if word]


def _entity(table: str, vocabulary: frozenset[str]) -> tuple[str, ...]:
    words = [_singular(word) for word in _split(table.rpartition(".")[2])]
    kept = [word for word in words if word not in _FILLER] or words or ["table"]
    return tuple(part for word in kept for part in _unglue(word, vocabulary - {word}))


def _words(column: str, vocabulary: frozenset[str]) -> tuple[str, ...]:
    """The words of a column name, entity words in the singular, what is written together taken apart.

    >>> _words("categoryid", frozenset({"category"})), _words("billing_customer_id", frozenset())
    (('category', 'id'), ('billing', 'customer', 'id'))
    """
    words: list[str] = []
    for word in _split(column) or [column]:
        glued = _GLUED.match(word) if word not in _KEY_WORDS else None
        if glued and (_singular(glued[1]) in vocabulary or _unglue(glued[1], vocabulary) != [glued[1]]):
            words += [*_unglue(glued[1], vocabulary), glued[2]]
        else:
            words.append(word)
    return tuple(word if word in _KEY_WORDS else _singular(word) for word in words) or (column,)


def _unglue(word: str, vocabulary: frozenset[str]) -> list[str]:
    """``productcategory`` to ``product``, ``category`` where both are words of the estate."""
    if word in vocabulary:
        return [word]
    for cut in range(3, len(word) - 2):
        if _singular(word[:cut]) in vocabulary and _singular(word[cut:]) in vocabulary:
            return [_singular(word[:cut]), _singular(word[cut:])]
    return [_singular(word)]


def _singular(word: str) -> str:
    """Good enough for names of tables: ``categories`` to ``category``, ``status`` stays.

    >>> [_singular(w) for w in ("categories", "customers", "boxes", "status", "address")]
    ['category', 'customer', 'box', 'status', 'address']
    """
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("xes", "ches", "shes", "sses")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
