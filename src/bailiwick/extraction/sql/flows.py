"""Which data a statement moves: INSERT, CREATE AS, views, multi-table INSERT, MERGE, UPDATE, SELECT into flows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlglot import exp

from bailiwick.extraction.sql.query import Flow, Query, Select
from bailiwick.extraction.sql.scopes import Scopes


@dataclass(frozen=True, slots=True)
class Movement:
    """What a statement does to data.

    Args:
        kind: of the statement.
        writes: tables it changes beyond the targets of its flows.
    """

    kind: str
    flows: tuple[Flow, ...] = ()
    writes: tuple[str, ...] = ()


def movement(tree: Any, scopes: Scopes, text: str) -> Movement:
    """Reduce a statement's tree.

    Args:
        tree: of the statement.
        scopes: spells names.
        text: of the statement, to know how many queries there are to find.
    """
    scopes.begin(text)
    reader = _READERS.get(tree.__class__)
    if reader is not None:
        found = reader(tree, scopes)
    elif isinstance(tree, exp.Query):
        found = _select(tree, scopes)
    else:
        return Movement(tree.key)
    scopes.finish()
    return found


def _select(tree: Any, scopes: Scopes) -> Movement:
    flow = Flow(scopes.query(tree))
    into = tree.args.get("into")
    if into is not None and into.args.get("this") is not None:
        flow.target, flow.by_name, flow.creates = scopes.table_name(into.args["this"]), True, True
        return Movement("select_into", (flow,))
    return Movement("select", (flow,))


def _create(tree: Any, scopes: Scopes) -> Movement:
    kind = f"create_{str(tree.args.get('kind') or 'other').lower()}"
    target, source = tree.args["this"], tree.args.get("expression")
    columns: tuple[str, ...] = ()
    if target.__class__ is exp.Schema:
        columns = tuple(scopes.name(column) for column in target.args.get("expressions") or ())
        target = target.args["this"]
    if target.__class__ is not exp.Table or kind not in {"create_table", "create_view"}:
        return Movement(kind)
    name = scopes.table_name(target)
    if source is None or not isinstance(source, (exp.Query, exp.Subquery)):
        return Movement(kind, writes=(name,))
    query = scopes.with_clause(tree, scopes.query(source))
    return Movement(kind, (Flow(query, name, columns, by_name=not columns, creates=True),))


def _insert(tree: Any, scopes: Scopes) -> Movement:
    source = tree.args.get("expression")
    target, columns, fixed = _target(tree.args["this"], scopes)
    if source is None or not isinstance(source, (exp.Query, exp.Subquery, exp.Table)):
        return Movement("insert", writes=(target,) if target else ())
    query = scopes.with_clause(tree, scopes.query(source))
    return Movement("insert", (Flow(query, target, columns, fixed),))


def _target(node: Any, scopes: Scopes) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """Table, named columns and columns with fixed partition values of an INSERT target; no table for a directory."""
    columns: tuple[str, ...] = ()
    if node.__class__ is exp.Schema:
        columns = tuple(scopes.name(column) for column in node.args["expressions"])
        node = node.args["this"]
    if node.__class__ is not exp.Table:
        return None, (), ()
    partition = node.args.get("partition")
    parts = partition.args["expressions"] if partition is not None else ()
    fixed = tuple(scopes.name(part.args["this"]) for part in parts if part.__class__ is exp.EQ)
    dynamic = tuple(scopes.name(part) for part in parts if part.__class__ in (exp.Column, exp.Identifier))
    return scopes.table_name(node), (*columns, *dynamic) if columns else (), fixed


def _multi_insert(tree: Any, scopes: Scopes) -> Movement:
    shared = scopes.sources(tree.args["source"])
    flows = []
    for insert in tree.args["expressions"]:
        target, columns, fixed = _target(insert.args["this"], scopes)
        source = insert.args.get("expression")
        if source.__class__ is exp.Select and source.args.get("from_") is None:
            select = scopes.select(source, shared.sources)
            select.filters.append(_filters_of(shared))
            query = Query([select])
        else:
            query = scopes.query(source)
        flows.append(Flow(scopes.with_clause(tree, query), target, columns, fixed))
    return Movement("insert", tuple(flows))


def _filters_of(shared: Select) -> Query:
    """The queries in the join conditions of sources, which are only found once the whole statement was walked."""
    return Query([Select(filters=shared.filters)])


def _merge(tree: Any, scopes: Scopes) -> Movement:
    source = scopes.sources(tree.args["using"])
    into = scopes.sources(tree.args["this"])
    target, _, _ = _target(tree.args["this"], scopes)
    conditions = [tree.args["on"]] if tree.args.get("on") is not None else []
    filters = [_filters_of(source), *scopes.inner_queries(conditions)]
    flows = []
    for when in tree.args["whens"].args["expressions"]:
        act = when.args.get("then")
        if act.__class__ is exp.Update:
            pairs = _assignments(act)
            flow = Flow(Query(), target, by_name=True)
        elif act.__class__ is exp.Insert and act.args.get("expression") is not None:
            values = act.args["expression"].args.get("expressions") or ()
            columns = act.args["this"].args["expressions"] if act.args.get("this") is not None else ()
            pairs = list(zip(columns, values, strict=False)) if columns else [("", value) for value in values]
            flow = Flow(Query(), target, by_name=bool(columns))
        else:
            continue
        # Source columns come first: an unqualified name in a WHEN NOT MATCHED clause means the source.
        flow.query.branches = [
            Select([*source.sources, *into.sources], scopes.outputs_of(pairs), filters=list(filters))
        ]
        flows.append(flow)
    return Movement("merge", tuple(scopes_with(tree, scopes, flows)), (target,) if target else ())


def _update(tree: Any, scopes: Scopes) -> Movement:
    table = tree.args["this"]
    into = scopes.sources(table)
    target = into.sources[0].table if into.sources else None
    other = Select()
    source = tree.args.get("from_")
    if source is not None:
        other = scopes.sources(source.args["this"])
        for join in source.args.get("joins") or ():
            other.sources += scopes.sources(join.args["this"]).sources
        target = next(
            (s.table for s in other.sources if s.alias == target and s.table), target
        )  # UPDATE alias ... FROM
    rest = [value for key, value in tree.args.items() if key in {"where", "order", "returning"} and value]
    outputs = scopes.outputs_of(_assignments(tree))
    select = Select([*into.sources, *other.sources], outputs, filters=[_filters_of(other), *scopes.inner_queries(rest)])
    flow = Flow(Query([select]), target, by_name=True)
    return Movement("update", tuple(scopes_with(tree, scopes, [flow])), (target,) if target else ())


def _assignments(update: Any) -> list[tuple[Any, Any]]:
    return [
        (item.args["this"], item.args["expression"])
        for item in update.args.get("expressions") or ()
        if item.__class__ is exp.EQ
    ]


def scopes_with(tree: Any, scopes: Scopes, flows: list[Flow]) -> list[Flow]:
    """The flows, each inside of the statement's WITH clause."""
    for flow in flows:
        scopes.with_clause(tree, flow.query)
    return flows


def _delete(tree: Any, scopes: Scopes) -> Movement:
    table = tree.args.get("this")
    target = scopes.table_name(table) if table.__class__ is exp.Table else None
    rest = [value for key, value in tree.args.items() if key in {"where", "using"} and value]
    query = Query([Select(filters=scopes.inner_queries(rest))])
    return Movement("delete", (Flow(scopes.with_clause(tree, query)),), (target,) if target else ())


def _alter(tree: Any, scopes: Scopes) -> Movement:
    kind = f"alter_{str(tree.args.get('kind') or 'other').lower()}"
    table = tree.args["this"]
    name = scopes.table_name(table) if table.__class__ is exp.Table else ""
    queries = [action for action in tree.args.get("actions") or () if isinstance(action, exp.Query)]
    if name and queries:
        return Movement(kind, (Flow(scopes.query(queries[0]), name, by_name=True, creates=True),))
    renamed = [
        scopes.table_name(a.args["this"]) for a in tree.args.get("actions") or () if a.__class__ is exp.AlterRename
    ]
    return Movement(kind, writes=(name, *renamed) if name else ())


def _drop(tree: Any, scopes: Scopes) -> Movement:
    kind = f"drop_{str(tree.args.get('kind') or 'other').lower()}"
    tables = [t for t in (tree.args.get("tables") or [tree.args.get("this")]) if t.__class__ is exp.Table]
    names = tuple(scopes.table_name(table) for table in tables) if kind in {"drop_table", "drop_view"} else ()
    return Movement(kind, writes=names)


def _comment(tree: Any, scopes: Scopes) -> Movement:
    target = tree.args["this"]
    return Movement("comment", writes=(scopes.table_name(target),) if target.__class__ is exp.Table else ())


def _load(tree: Any, scopes: Scopes) -> Movement:
    target, _, _ = _target(tree.args["this"], scopes)
    return Movement("load", writes=(target,) if target else ())


def _truncate(tree: Any, scopes: Scopes) -> Movement:
    return Movement("truncate", writes=tuple(scopes.table_name(table) for table in tree.args["expressions"]))


def _cache(tree: Any, scopes: Scopes) -> Movement:
    source = tree.args.get("expression")
    if source is None:
        return Movement("cache")
    flow = Flow(scopes.query(source), scopes.table_name(tree.args["this"]), by_name=True, creates=True)
    return Movement("cache", (flow,))


_READERS: Final[dict[type, Callable[[Any, Scopes], Movement]]] = {
    exp.Create: _create,
    exp.Insert: _insert,
    exp.MultitableInserts: _multi_insert,
    exp.Merge: _merge,
    exp.Update: _update,
    exp.Delete: _delete,
    exp.Alter: _alter,
    exp.Drop: _drop,
    exp.Comment: _comment,
    exp.LoadData: _load,
    exp.TruncateTable: _truncate,
    exp.Cache: _cache,
}
