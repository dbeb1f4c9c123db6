"""CREATE, ALTER, DROP, RENAME and COMMENT into table facts: a catalogue that the statements of a file build up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from sqlglot import exp

from bailiwick.extraction.model import ColumnFact, ForeignKey, TableFact
from bailiwick.extraction.sql.normalise import restore_type
from bailiwick.extraction.sql.scopes import Scopes
from bailiwick.graph.model import NodeKind

_FLAGS: Final = {
    exp.ExternalProperty: "external",
    exp.TemporaryProperty: "temporary",
    exp.MaterializedProperty: "materialized",
    exp.TransientProperty: "transient",
}
_TEXTS: Final = {
    exp.LocationProperty: "location",
    exp.SchemaCommentProperty: "comment",
    exp.StorageHandlerProperty: "storage_handler",
    exp.EngineProperty: "engine",
}


_rendered_types: dict[tuple[str, ...], str] = {}
_MAX_RENDERED_TYPES: Final = 10_000


class Catalogue:
    """The tables of one file as its statements define and change them, in order.

    Args:
        scopes: spells names.
    """

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self.tables: dict[str, TableFact] = {}

    def put(self, table: TableFact, *, keep: bool = False) -> TableFact:
        """Record a definition. ``keep``: IF NOT EXISTS, so an earlier definition stays."""
        known = self.tables.get(table.name)
        if known is not None and not known.defines:
            table = replace(table, foreign_keys=(*table.foreign_keys, *known.foreign_keys))
        if known is None or not keep or not known.defines or known.properties.get("dropped"):
            self.tables[table.name] = table
        return table

    def create(self, tree: Any, parser: str, line: int) -> TableFact | None:
        """Apply CREATE TABLE or CREATE VIEW; None for what holds no data (a function, an index)."""
        kind = str(tree.args.get("kind") or "").upper()
        target = tree.args["this"]
        if kind not in {"TABLE", "VIEW"} or target is None:
            return None
        schema, table = (target, target.args["this"]) if target.__class__ is exp.Schema else (None, target)
        items = schema.args.get("expressions") or () if schema is not None else ()
        properties = self._properties(tree)
        columns, partitions = self._columns(items), properties.pop("partition_columns", ())
        columns = _partitioned(columns, partitions)
        name = self._scopes.table_name(table)
        primary, foreign = self._keys(items, name)
        if partitions:
            properties["partitioned_by"] = [column.name for column in partitions]
        fact = TableFact(
            name,
            NodeKind.VIEW if kind == "VIEW" else NodeKind.TABLE,
            _with_keys(columns, primary),
            foreign,
            line,
            parser,
            properties=properties,
        )
        return self.put(self._copy_like(fact), keep=bool(tree.args.get("exists")))

    def _copy_like(self, table: TableFact) -> TableFact:
        like = table.properties.get("like")
        if not like or table.columns:
            return table
        model = self.tables.get(like)
        if model is not None and model.columns:
            return replace(table, columns=model.columns)
        return replace(table, properties={**table.properties, "projection": [{"star": like}]})

    def alter(self, tree: Any, parser: str, line: int) -> None:
        """Apply ALTER TABLE or ALTER VIEW; on a table of another file it leaves a fact that does not define."""
        name = self._scopes.table_name(tree.args["this"])
        kind = NodeKind.VIEW if str(tree.args.get("kind")).upper() == "VIEW" else NodeKind.TABLE
        table = self.tables.get(name) or TableFact(name, kind, line=line, parser=parser, defines=False)
        known = len(table.foreign_keys)
        for action in tree.args.get("actions") or ():
            table = self._act(table, action)
        keys = (*table.foreign_keys[:known], *(replace(key, line=line) for key in table.foreign_keys[known:]))
        self.tables[table.name] = replace(table, foreign_keys=keys)

    def _act(self, table: TableFact, action: Any) -> TableFact:
        kind = action.__class__
        args = action.args
        if kind is exp.AddConstraint:
            primary, foreign = self._keys(args["expressions"], table.name)
            columns = list(table.columns)
            missing = [name for name in primary if not table.defines and name not in {c.name for c in columns}]
            columns += [ColumnFact(name, None, ordinal=len(columns) + i) for i, name in enumerate(missing)]
            return replace(table, columns=_with_keys(columns, primary), foreign_keys=(*table.foreign_keys, *foreign))
        if kind is exp.AlterRename:
            return self._rename(table, args["this"])
        if kind in (exp.Schema, exp.ColumnDef):
            added = self._columns(args["expressions"] if kind is exp.Schema else [action], first=len(table.columns))
            return replace(table, columns=_before_partitions(table.columns, added))
        if kind is exp.ReplaceColumns:
            return replace(table, columns=_before_partitions(_partitions(table), self._columns(args["expressions"])))
        if kind is exp.AlterColumn:
            return self._change(table, args)
        if kind is exp.Drop and str(args.get("kind")).upper() == "COLUMN":
            gone = {self._scopes.name(column) for column in args.get("tables") or ()}
            return replace(table, columns=_numbered(c for c in table.columns if c.name not in gone))
        if kind is exp.AlterSet:
            return replace(table, properties={**table.properties, **self._settings(args)})
        return table

    def _rename(self, table: TableFact, to: Any) -> TableFact:
        target = self._scopes.table_name(to)
        self.tables.pop(table.name, None)
        return replace(table, name=target, properties={**table.properties, "renamed_from": table.name})

    def _change(self, table: TableFact, args: Any) -> TableFact:
        name = self._scopes.name(args["this"])
        renamed = self._scopes.name(args.get("rename_to")) or name
        declared = self._type(args["dtype"]) if isinstance(args.get("dtype"), exp.Expr) else None
        comment = args["comment"].name if isinstance(args.get("comment"), exp.Expr) else None
        if name not in {column.name for column in table.columns}:
            column = ColumnFact(renamed, declared, comment=comment, ordinal=len(table.columns))
            return replace(table, columns=(*table.columns, column))
        return replace(
            table,
            columns=tuple(
                replace(c, name=renamed, type=declared or c.type, comment=comment or c.comment) if c.name == name else c
                for c in table.columns
            ),
        )

    def _settings(self, args: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if args.get("location") is not None:
            found["location"] = args["location"].name
        for group in args.get("expressions") or ():
            pairs = [item for item in group.args.get("expressions") or () if item.__class__ is exp.Property]
            if pairs:
                found["tblproperties"] = {str(item.args["this"].name): item.args["value"].name for item in pairs}
        return found

    def drop(self, names: Iterable[str]) -> None:
        """Mark tables that this file made itself as dropped; what other files define is only mentioned."""
        for name in names:
            table = self.tables.get(name)
            if table is not None and table.defines:
                self.tables[name] = replace(table, properties={**table.properties, "dropped": True})

    def comment(self, tree: Any, parser: str, line: int) -> None:
        """Apply COMMENT ON TABLE or COLUMN."""
        target, text = tree.args["this"], tree.args["expression"].name
        if target.__class__ is exp.Column:
            parts = [self._scopes.name(target.args[part]) for part in ("db", "table") if target.args.get(part)]
            if len(parts) == 1 and self._scopes.database:
                parts.insert(0, self._scopes.database)
            name, column = ".".join(parts), self._scopes.name(target.args["this"])
            table = self.tables.get(name) or TableFact(name, NodeKind.TABLE, line=line, parser=parser, defines=False)
            columns = [replace(c, comment=text) if c.name == column else c for c in table.columns]
            if column not in {c.name for c in columns}:
                columns.append(ColumnFact(column, None, comment=text, ordinal=len(columns)))
            self.tables[name] = replace(table, columns=tuple(columns))
        elif target.__class__ is exp.Table:
            name = self._scopes.table_name(target)
            table = self.tables.get(name) or TableFact(name, NodeKind.TABLE, line=line, parser=parser, defines=False)
            self.tables[name] = replace(table, properties={**table.properties, "comment": text})

    def _columns(self, items: Iterable[Any], first: int = 0) -> tuple[ColumnFact, ...]:
        found: list[ColumnFact] = []
        for item in items:
            if item.__class__ is exp.ColumnDef:
                found.append(self._column(item, first + len(found)))
            elif item.__class__ in (exp.Identifier, exp.Column):
                found.append(ColumnFact(self._scopes.name(item), None, ordinal=first + len(found)))
        return tuple(found)

    def _column(self, definition: Any, ordinal: int) -> ColumnFact:
        nullable: bool | None = None
        comment = default = None
        primary = False
        for constraint in definition.args.get("constraints") or ():
            kind = constraint.args.get("kind")
            if kind.__class__ is exp.NotNullColumnConstraint:
                nullable = bool(kind.args.get("allow_null"))
            elif kind.__class__ is exp.PrimaryKeyColumnConstraint:
                primary = True
            elif kind.__class__ is exp.CommentColumnConstraint:
                comment = kind.name
            elif kind.__class__ is exp.DefaultColumnConstraint:
                value = kind.args.get("this")
                default = value.name if value.__class__ is exp.Literal else value.sql() if value is not None else None
        declared = definition.args.get("kind")
        return ColumnFact(
            self._scopes.name(definition.args["this"]),
            self._type(declared) if declared is not None else None,
            False if primary and nullable is None else nullable,
            comment,
            default,
            primary_key=primary,
            ordinal=ordinal,
        )

    def _type(self, declared: Any) -> str:
        """The type in the dialect's spelling, lower case. Generating text is slow, and few types are many columns."""
        args = declared.args
        inner = args.get("expressions")
        key: tuple[str, ...] | None = None
        if not args.get("nested") and args.get("kind") is None and args["this"].__class__ is exp.DType:
            # The member's own text: hashing an enumeration's member is a call of its own
            key = (self._scopes.dialect.spelling, args["this"]._value_)
            if inner:
                plain = all(item.__class__ is exp.DataTypeParam for item in inner)
                key = (*key, *(str(item.args["this"].args.get("this")) for item in inner)) if plain else None
        if key is not None and (known := _rendered_types.get(key)) is not None:
            return known
        rendered = restore_type(declared.sql(dialect=self._scopes.dialect.spelling or None).lower())
        if key is not None and len(_rendered_types) < _MAX_RENDERED_TYPES:
            _rendered_types[key] = rendered
        return rendered

    def _keys(self, items: Iterable[Any], table: str) -> tuple[tuple[str, ...], tuple[ForeignKey, ...]]:
        """Primary-key columns and foreign keys of column definitions and table constraints."""
        primary: list[str] = []
        foreign: list[ForeignKey] = []
        pending: list[tuple[Any, str | None]] = [(item, None) for item in reversed(list(items))]
        while pending:
            item, name = pending.pop()
            kind = item.__class__
            if kind is exp.Constraint:
                inner = self._scopes.name(item.args["this"])
                pending += [(part, inner) for part in reversed(item.args["expressions"])]
            elif kind is exp.PrimaryKey:
                primary += [self._key_column(column) for column in item.args["expressions"]]
            elif kind is exp.ForeignKey and item.args.get("reference") is not None:
                columns = tuple(self._key_column(column) for column in item.args["expressions"])
                foreign.append(self._reference(columns, item.args["reference"], name))
            elif kind is exp.ColumnDef:
                for constraint in item.args.get("constraints") or ():
                    reference = constraint.args.get("kind")
                    if reference.__class__ is exp.Reference:
                        foreign.append(self._reference((self._scopes.name(item.args["this"]),), reference, None))
        return tuple(primary), tuple(foreign)

    def _key_column(self, node: Any) -> str:
        return self._scopes.name(node)

    def _reference(self, columns: tuple[str, ...], reference: Any, name: str | None) -> ForeignKey:
        target = reference.args["this"]
        schema, table = (target, target.args["this"]) if target.__class__ is exp.Schema else (None, target)
        keys = tuple(self._scopes.name(key) for key in schema.args["expressions"]) if schema is not None else ()
        return ForeignKey(columns, self._scopes.table_name(table), keys, name)

    def _properties(self, tree: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        group = tree.args.get("properties")
        for item in group.args["expressions"] if group is not None else ():
            kind = item.__class__
            if kind in _FLAGS:
                found[_FLAGS[kind]] = True
            elif kind in _TEXTS:
                found[_TEXTS[kind]] = item.name
            elif kind is exp.Property:
                found.setdefault("tblproperties", {})[str(item.args["this"].name)] = item.args["value"].name
            else:
                found |= self._special_property(item, kind)
        return found

    def _special_property(self, item: Any, kind: type) -> dict[str, Any]:
        args = item.args
        if kind is exp.FileFormatProperty:
            inner = args["this"]
            return {
                "format": inner.sql(dialect="hive") if inner.__class__ is exp.InputOutputFormat else item.name.lower()
            }
        if kind is exp.RowFormatSerdeProperty:
            options = args.get("serde_properties")
            return {"serde": item.name, **({"serde_properties": _pairs(options)} if options is not None else {})}
        if kind is exp.SerdeProperties:
            return {"serde_properties": _pairs(item)}
        if kind is exp.RowFormatDelimitedProperty:
            return {"row_format": {key: value.name for key, value in args.items() if isinstance(value, exp.Expr)}}
        if kind is exp.PartitionedByProperty:
            inner = args["this"]
            return {"partition_columns": self._columns(inner.args.get("expressions") or ())}
        if kind is exp.ClusteredByProperty:
            buckets = args.get("buckets")
            return {
                "buckets": {
                    "columns": [self._scopes.name(column) for column in args["expressions"]],
                    "sorted_by": [self._scopes.name(column) for column in args.get("sorted_by") or ()],
                    "count": int(buckets.name) if buckets is not None and buckets.name.isdigit() else None,
                }
            }
        if kind is exp.LikeProperty:
            return {"like": self._scopes.table_name(args["this"])}
        return {}


def _pairs(group: Any) -> dict[str, str]:
    return {item.args["this"].name: item.args["value"].name for item in group.args["expressions"]}


def _numbered(columns: Iterable[ColumnFact]) -> tuple[ColumnFact, ...]:
    return tuple(replace(column, ordinal=i) if column.ordinal != i else column for i, column in enumerate(columns))


def _with_keys(columns: Iterable[ColumnFact], primary: Iterable[str]) -> tuple[ColumnFact, ...]:
    keys = frozenset(primary)
    if not keys:
        return tuple(columns)
    return tuple(
        replace(c, primary_key=True, nullable=False if c.nullable is None else c.nullable) if c.name in keys else c
        for c in columns
    )


def _partitioned(columns: tuple[ColumnFact, ...], partitions: tuple[ColumnFact, ...]) -> tuple[ColumnFact, ...]:
    """Partition columns stand last in Hive; a PARTITIONED BY that only names columns marks them in place."""
    if not partitions:
        return columns
    names = {column.name for column in partitions}
    declared = {column.name for column in columns}
    marked = [replace(column, partition=True) if column.name in names else column for column in columns]
    marked += [replace(column, partition=True) for column in partitions if column.name not in declared]
    return _numbered(marked)


def _partitions(table: TableFact) -> tuple[ColumnFact, ...]:
    return tuple(column for column in table.columns if column.partition)


def _before_partitions(columns: tuple[ColumnFact, ...], added: tuple[ColumnFact, ...]) -> tuple[ColumnFact, ...]:
    fresh = {column.name for column in added}
    plain = [column for column in columns if not column.partition and column.name not in fresh]
    return _numbered((*plain, *added, *(c for c in columns if c.partition and c.name not in fresh)))
