"""From a syntax tree to `Query`: which names stand in which scope."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlglot import exp

from bailiwick.extraction.sql.dialect import SqlDialect, fold
from bailiwick.extraction.sql.query import CommonTable, Output, Query, Select, Source, Step

_COLUMN, _QUERY, _AGGREGATE, _WINDOW = 1, 2, 3, 4
_GENERATED: Final = {"posexplode": ("pos", "col"), "explode": ("col",)}
_SELECT_PARTS = frozenset({"expressions", "from_", "joins", "laterals", "with_", "hint", "distinct", "limit", "into"})


# Dialects in which every query has the word SELECT in it; others know FROM-first queries or pipes
_SELECT_ONLY = frozenset({"hive", "ansi", "db2", "oracle", "tsql", "sqlite", "teradata", "redshift"})


class _Roles(dict[type, int]):
    """What a class of tree nodes means here; looked up once per class, since walks ask it for every node."""

    def __missing__(self, kind: type) -> int:
        role = 0
        if issubclass(kind, exp.Column):
            role = _COLUMN
        elif issubclass(kind, (exp.Query, exp.Subquery)):
            role = _QUERY
        elif issubclass(kind, exp.AggFunc):
            role = _AGGREGATE
        elif issubclass(kind, exp.Window):
            role = _WINDOW
        self[kind] = role
        return role


_ROLES = _Roles()


class Scopes:
    """Reduces trees of one dialect.

    Args:
        dialect: whose rules fold the case of names.
        database: what unqualified tables belong to, from the last USE; empty where there was none.
    """

    def __init__(self, dialect: SqlDialect, database: str = "") -> None:
        self.dialect = dialect
        self.database = database
        self._wanted = self._seen = 0
        self._deferred: list[tuple[list[Query], list[Any]]] = []
        self.temporary: dict[str, str] = {}  # temporary tables of the file, by the name that its statements use

    def begin(self, text: str) -> None:
        """Start on a statement. Its text tells how many queries there may be."""
        self._wanted, self._seen = text.lower().count("select"), 0
        self._deferred.clear()

    def finish(self) -> None:
        """Search the filters for queries, which most statements have none of: stop when every SELECT was met."""
        while self._deferred:
            found, roots = self._deferred.pop()
            if self._seen < self._wanted or self.dialect.name not in _SELECT_ONLY:
                found += self.inner_queries(roots)

    def name(self, node: Any) -> str:
        """The folded name of an identifier, or of anything that holds one; empty for None."""
        if node is None:
            return ""
        if node.__class__ is exp.Identifier:
            args = node.args
            name: str = args["this"]
            return fold(name, True, self.dialect) if args.get("quoted") else name.lower()
        if isinstance(node, str):
            return fold(node, False, self.dialect)
        inner = node.args.get("this")
        return self.name(inner) if isinstance(inner, (exp.Expr, str)) else ""

    def table_name(self, table: Any) -> str:
        """The qualified name of a table; the database of the last USE where it has none of its own."""
        args = table.args
        if args.get("db") is None and args["this"].__class__ is exp.Identifier:  # by far the most
            name = self.name(args["this"])
            if self.database:
                name = f"{self.database}.{name}"
            return self.temporary.get(name, name) if self.temporary else name
        parts = [self.name(args.get(part)) for part in ("catalog", "db") if args.get(part) is not None]
        inner = args["this"]
        while inner.__class__ is exp.Dot:  # four-part names
            parts.append(self.name(inner.args["this"]))
            inner = inner.args["expression"]
        short = self.name(inner)
        if not parts and self.database:
            parts.append(self.database)
        name = ".".join((*parts, short))
        return self.temporary.get(name, name) if self.temporary else name

    def query(self, node: Any) -> Query:
        """Reduce a query: SELECT, set operation, VALUES, or one of them in parentheses."""
        result = Query()
        tail: list[Any] = []
        while True:
            self._with(node, result)
            if isinstance(node, exp.SetOperation):
                tail.append(node.args["expression"])
                node = node.args["this"]
            elif node.__class__ in (exp.Subquery, exp.Paren) and not _has_joins(node):
                node = node.args["this"]
            else:
                break
        self._branch(node, result)
        for other in reversed(tail):
            nested = self.query(other)
            if nested.common:
                result.branches.append(_whole(nested))
            else:
                result.branches += nested.branches
        return result

    def _with(self, node: Any, result: Query) -> None:
        clause = node.args.get("with_")
        if clause is None:
            return
        found = [self._common(cte) for cte in clause.args["expressions"]]
        result.common = [*found, *result.common]
        result.recursive = result.recursive or bool(clause.args.get("recursive"))

    def _common(self, cte: Any) -> CommonTable:
        alias, columns = self._alias(cte)
        return CommonTable(alias, self.query(cte.args["this"]), columns)

    def with_clause(self, node: Any, query: Query) -> Query:
        """The query with the WITH clause of the statement around it."""
        self._with(node, query)
        return query

    def _branch(self, node: Any, result: Query) -> None:
        kind = node.__class__
        if kind is exp.Select:
            result.branches.append(self.select(node))
        elif kind is exp.Values or kind is exp.Tuple:
            result.branches.append(self._values(node))
        elif kind is exp.Table or kind is exp.Subquery or kind is exp.Paren:
            result.branches.append(self._all_of(node))
        else:  # a form without a SELECT list, such as a pipe or a procedure call: at least what it reads
            result.branches.append(Select(filters=self.inner_queries([node])))

    def select(self, node: Any, shared: Sequence[Source] = ()) -> Select:
        """Reduce one SELECT.

        Args:
            node: the SELECT.
            shared: sources from a leading FROM, for multi-table INSERT.
        """
        args = node.args
        self._seen += 1
        result = Select(list(shared))
        if (source := args.get("from_")) is not None:
            result.sources = self._sources(source.args["this"], result.filters)
        self._joins(args.get("joins"), result)
        for lateral in args.get("laterals") or ():
            result.sources += self._sources(lateral, result.filters)
        items = args["expressions"]
        if items and items[0].__class__ is exp.Alias and items[0].args["this"].__class__ is exp.QueryTransform:
            result.outputs = self._transformed(items)
        else:
            for i, item in enumerate(items):
                result.outputs += self._outputs(item, i)
        rest = [value for key, value in args.items() if value and key not in _SELECT_PARTS]
        if rest:
            self._deferred.append((result.filters, rest))
        return result

    def _joins(self, joins: Iterable[Any] | None, result: Select) -> None:
        for join in joins or ():
            result.sources += self._sources(join.args["this"], result.filters)
            if using := join.args.get("using"):
                result.using += tuple(self.name(column) for column in using)
            if (condition := join.args.get("on")) is not None:
                self._deferred.append((result.filters, [condition]))

    def sources(self, node: Any) -> Select:
        """The sources of a FROM clause by itself, as a SELECT without outputs. Its filters are complete at the end."""
        result = Select()
        result.sources = self._sources(node, result.filters)
        return result

    def _all_of(self, node: Any) -> Select:
        result = self.sources(node)
        result.outputs = [Output("", star="")]
        return result

    def _sources(self, node: Any, filters: list[Query]) -> list[Source]:
        """What a node of a FROM clause brings in; ``filters`` receives the queries of its join conditions."""
        found = self._source(node, filters)
        args = node.args
        if args.get("joins") or args.get("laterals"):
            nested = Select(filters=filters)
            self._joins(args.get("joins"), nested)
            for lateral in args.get("laterals") or ():
                nested.sources += self._sources(lateral, filters)
            found += nested.sources
        return found

    def _source(self, node: Any, filters: list[Query]) -> list[Source]:
        kind = node.__class__
        args = node.args
        if kind is exp.Table and args["this"].__class__ in (exp.Identifier, exp.Dot):
            alias, columns = self._alias(node)
            table = self.table_name(node)
            short = table.rpartition(".")[2]
            return [Source(alias or short, table, "" if args.get("db") is not None else short, columns=columns)]
        if kind is exp.Subquery or kind is exp.Paren:
            return self._subquery(node, filters)
        if kind is exp.Lateral and args["this"].__class__ is exp.Subquery:
            alias, columns = self._alias(node)
            return [Source(alias, query=self.query(args["this"]), columns=columns)]
        if kind in (exp.Select, exp.Values) or isinstance(node, exp.SetOperation):
            alias, columns = self._alias(node)
            return [Source(alias, query=self.query(node), columns=columns)]
        return [self._generated(node)]

    def _subquery(self, node: Any, filters: list[Query]) -> list[Source]:
        alias, columns = self._alias(node)
        inner = node.args["this"]
        if inner.__class__ is exp.Table and not alias:
            return self._sources(inner, filters)
        if inner.__class__ in (exp.Table, exp.Lateral):
            return [Source(alias, query=Query([self._all_of(inner)]), columns=columns)]
        query = self.query(inner)
        self._with(node, query)
        return [Source(alias, query=query, columns=columns)]

    def _generated(self, node: Any) -> Source:
        alias, columns = self._alias(node)
        references, _, _ = self._contents([value for key, value in node.args.items() if key not in {"alias", "joins"}])
        if not columns and alias and node.__class__ is exp.Unnest:
            columns = (alias,)
        if not columns:
            columns = _GENERATED.get(getattr(node.args.get("this"), "key", ""), ())
        return Source(alias, columns=columns, references=references)

    def _alias(self, node: Any) -> tuple[str, tuple[str, ...]]:
        alias = node.args.get("alias")
        if alias is None:
            return "", ()
        if alias.__class__ is not exp.TableAlias:
            return self.name(alias), ()
        return self.name(alias.args.get("this")), tuple(self.name(column) for column in alias.args.get("columns") or ())

    def _values(self, node: Any) -> Select:
        rows = node.args["expressions"]
        first = rows[0] if rows else None
        items = first.args["expressions"] if first.__class__ is exp.Tuple else rows
        return Select(outputs=[self._output(f"_c{i}", item) for i, item in enumerate(items)])

    def _outputs(self, item: Any, position: int) -> list[Output]:
        kind = item.__class__
        if kind is exp.Column and item.args["this"].__class__ is exp.Identifier:
            reference = self._reference(item)
            return [Output(reference[-1], (reference,))]
        if kind is exp.Alias:
            return [self._output(self.name(item.args["alias"]), item.args["this"])]
        if kind is exp.Star:
            return [Output("", star="", excluded=self._excluded(item))]
        if kind is exp.Column and item.args["this"].__class__ is exp.Star:
            qualifier = self.name(item.args.get("table"))
            return [Output("", star=qualifier, excluded=self._excluded(item.args["this"]))]
        if kind is exp.Aliases:
            made = self._output("", item.args["this"])
            names = (self.name(name) for name in item.args["expressions"])
            return [Output(name, made.references, made.queries, Step.EXPRESSION) for name in names]
        if kind is exp.QueryTransform and item.args.get("schema") is not None:
            made = self._output("", exp.Tuple(expressions=item.args["expressions"]))
            names = (self.name(column) for column in item.args["schema"].args["expressions"])
            return [Output(name, made.references, made.queries, Step.EXPRESSION) for name in names]
        name = self.name(item.args["expression"]) if kind is exp.Dot else f"_c{position}"
        return [self._output(name or f"_c{position}", item)]

    def _transformed(self, items: Sequence[Any]) -> list[Output]:
        """``TRANSFORM(a, b) USING 'script' AS x, y``: what looks like further columns are names of the script's."""
        made = self._output("", exp.Tuple(expressions=items[0].args["this"].args["expressions"]))
        names = [self.name(items[0].args["alias"]), *(self.name(item) for item in items[1:])]
        return [Output(name, made.references, made.queries, Step.EXPRESSION) for name in names]

    def _excluded(self, star: Any) -> tuple[str, ...]:
        return tuple(self.name(column) for column in star.args.get("except_") or ())

    def _output(self, name: str, expression: Any) -> Output:
        while expression.__class__ is exp.Paren:
            expression = expression.args["this"]
        if expression.__class__ is exp.Column:
            return Output(name, (self._reference(expression),))
        references, queries, step = self._contents([expression])
        return Output(name, references, queries, step)

    def outputs_of(self, assignments: Iterable[tuple[Any, Any]]) -> list[Output]:
        """Outputs from pairs of a target column and the expression it is set to."""
        return [self._output(self.name(column), value) for column, value in assignments]

    def _reference(self, column: Any) -> tuple[str, ...]:
        args = column.args
        name = self.name(args["this"])
        if args.get("table") is None:
            return (name,)
        if args.get("db") is None:
            return (self.name(args["table"]), name)
        return (*(self.name(args[part]) for part in ("catalog", "db", "table") if args.get(part) is not None), name)

    def _contents(self, roots: Sequence[Any]) -> tuple[tuple[tuple[str, ...], ...], tuple[Query, ...], Step]:
        """Column references, sub-queries and the step of expressions, sub-queries not entered."""
        references: dict[tuple[str, ...], None] = {}
        queries: list[Query] = []
        step = Step.EXPRESSION
        stack = list(reversed(roots))
        while stack:
            node = stack.pop()
            if node.__class__ is list:
                stack += reversed(node)
                continue
            if not isinstance(node, exp.Expr):
                continue
            role = _ROLES[node.__class__]
            if role == _COLUMN:
                if node.args["this"].__class__ is not exp.Star:
                    references[self._reference(node)] = None
                continue
            if role == _QUERY:
                queries.append(self.query(node))
                continue
            if role == _AGGREGATE:
                step = max(step, Step.AGGREGATE)
            elif role == _WINDOW:
                step, stack = self._window(node, step, stack)
                continue
            stack += node.args.values()
        return tuple(references), tuple(queries), step

    @staticmethod
    def _window(node: Any, step: Step, stack: list[Any]) -> tuple[Step, list[Any]]:
        """An aggregate directly under OVER is a window function; its arguments may hold real aggregates."""
        inner = node.args["this"]
        stack += [value for key, value in node.args.items() if key != "this"]
        stack += inner.args.values()
        return max(step, Step.WINDOW), stack

    def inner_queries(self, roots: Iterable[Any]) -> list[Query]:
        """The outermost queries inside of expressions."""
        found: list[Query] = []
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node.__class__ is list:
                stack += node
            elif isinstance(node, exp.Expr):
                role = _ROLES[node.__class__]
                if role == _QUERY:
                    found.append(self.query(node))
                elif role != _COLUMN:
                    stack += node.args.values()
        return found


def _has_joins(node: Any) -> bool:
    return bool(node.args.get("joins")) or node.args["this"].__class__ in (exp.Table, exp.Lateral)


def _whole(query: Query) -> Select:
    """A query with its own WITH clause as one branch of another."""
    return Select([Source("", query=query)], [Output("", star="")])
