"""Importing, listing and reading data sets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

from bailiwick.clock import Clock
from bailiwick.datasets import store
from bailiwick.datasets.canonical import content_of, digest, pack, to_bytes, unpack
from bailiwick.datasets.cleaning import clean, without_leaks
from bailiwick.datasets.from_graph import GraphSelection, rows_from_graph
from bailiwick.datasets.model import FROM_GRAPH, Dataset, Findings, Row, Split
from bailiwick.datasets.readers import Columns, Read, Source, open_file, read_rows
from bailiwick.datasets.splitting import Shares, assign, assign_alone
from bailiwick.errors import InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.graph.ports import GraphStore
from bailiwick.models.model import LabelledText
from bailiwick.storage.database import Database

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_CACHED_SNAPSHOTS = 8
_CACHED_CONTENTS = 10_000


class DatasetService:
    """Data sets: immutable snapshots of labelled rows, each row in one split.

    Args:
        database: holds the records and the rows.
        audit: gets an entry per new snapshot.
        clock: dates them.
    """

    def __init__(self, database: Database, audit: AuditTrail, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._rows = lru_cache(_CACHED_SNAPSHOTS)(self._read_rows)
        self._content = lru_cache(_CACHED_CONTENTS)(self._read_content)

    def import_file(
        self,
        path: Path,
        *,
        actor: Actor,
        name: str | None = None,
        columns: Columns | None = None,
        domain: str | None = None,
        test: Path | None = None,
        validation: Path | None = None,
        shares: Shares | None = None,
        independent_units: bool = False,
    ) -> Dataset:
        """Snapshot labelled files.

        Args:
            path: a CSV or JSON-lines file, all of it, or the training part when ``test`` is given.
            actor: who imports.
            name: default: the name of the file, or of its folder for names such as ``train.csv``.
            columns: which column holds what; usual names are found without it.
            domain: of every row; default: the column ``domain``.
            test: a file whose rows judge.
            validation: a file whose rows choose.
            shares: of the rows without a split.
            independent_units: clean and split each unit on its own, as private training needs (`Findings.independent`).

        Returns:
            The new data set, or the one that already holds exactly these rows under this name.

        Raises:
            InvalidInput: a file cannot be used as it is; nothing was stored.
        """
        sources = [open_file(path, Split.TRAIN if test else None)]
        sources += [
            open_file(part, split) for part, split in ((test, Split.TEST), (validation, Split.VALIDATION)) if part
        ]
        return self.import_sources(
            sources,
            name=name or _usual_name(path),
            actor=actor,
            columns=columns,
            domain=domain,
            shares=shares,
            independent_units=independent_units,
        )

    def import_sources(
        self,
        sources: Sequence[Source],
        *,
        name: str,
        actor: Actor,
        columns: Columns | None = None,
        domain: str | None = None,
        shares: Shares | None = None,
        independent_units: bool = False,
    ) -> Dataset:
        """Snapshot labelled content that is in memory already, such as the body of a request. See `import_file`."""
        chosen = columns or Columns()
        found = (read for source in sources for read in read_rows(source, chosen, domain=domain))
        described = ", ".join(Path(source.name).name for source in sources)
        made = Findings(unit_column=chosen.unit, independent=independent_units)
        return self._snapshot(name, found, described, actor, shares or Shares(), made)

    def import_graph(
        self, graph: GraphStore, selection: GraphSelection, *, name: str, actor: Actor, shares: Shares | None = None
    ) -> Dataset:
        """Snapshot what detection has tagged: texts of statements, tables and columns with their domain as label.

        Raises:
            InvalidInput: nothing in the graph is selected.
        """
        return self._snapshot(name, rows_from_graph(graph, selection), FROM_GRAPH, actor, shares or Shares())

    def get(self, id_or_name: str) -> Dataset:
        """The data set of that id, or the newest of that name.

        Raises:
            NotFound: there is none.
        """
        with self._database.read() as connection:
            found = store.find(connection, id_or_name)
        if found is None:
            raise NotFound(
                f"no data set {id_or_name!r}",
                what="dataset",
                requested=id_or_name,
                remedy="see `bailiwick dataset list`, or import one with `bailiwick dataset import FILE`",
            )
        return found

    def list(self, name: str | None = None) -> Sequence[Dataset]:
        """Every data set, newest first."""
        with self._database.read() as connection:
            return store.listing(connection, name)

    def contents(self, name: str) -> Sequence[str]:
        """Hashes of the texts of every version of a data set, each once: what a privacy budget is bound to."""
        found = (version.content or self._content(version.sha256) for version in self.list(name))
        return sorted(set(found))

    def rows(self, id_or_name: str, split: Split | None = None, domain: str | None = None) -> Sequence[Row]:
        """Rows of a data set, in canonical order.

        Raises:
            NotFound: no such data set.
            Conflict: the stored rows were damaged or changed.
        """
        return [
            row
            for row in self._rows(self.get(id_or_name).sha256)
            if (split is None or row.split is split) and (domain is None or row.domain == domain)
        ]

    def rows_of_snapshot(self, sha256: str, split: Split | None = None, domain: str | None = None) -> Sequence[Row]:
        """Rows of a snapshot by its hash. Raises as `rows`."""
        return [
            row
            for row in self._rows(sha256)
            if (split is None or row.split is split) and (domain is None or row.domain == domain)
        ]

    def examples(self, id_or_name: str, split: Split, domain: str | None = None) -> Sequence[LabelledText]:
        """What a model family trains on or is judged by. Raises as `rows`."""
        return [LabelledText(row.text, row.label, row.unit) for row in self.rows(id_or_name, split, domain)]

    def _read_rows(self, sha256: str) -> tuple[Row, ...]:
        with self._database.read() as connection:
            packed = store.content(connection, sha256)
        if packed is None:
            raise NotFound(f"no snapshot {sha256[:12]}", what="dataset", requested=sha256)
        return unpack(packed, sha256)

    def _read_content(self, sha256: str) -> str:
        return content_of(self._read_rows(sha256))

    def _snapshot(
        self,
        name: str,
        found: Iterable[Read],
        source: str,
        actor: Actor,
        shares: Shares,
        made: Findings = Findings(),  # noqa: B008 - frozen
    ) -> Dataset:
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"{name!r} cannot name a data set",
                what="name",
                requested=name,
                allowed="a letter, then letters, digits, - and _, lower-case, at most 64 in all",
                remedy="give another with --name",
            )
        rows, findings = clean(found)
        if not rows:
            raise InvalidInput("no row has a text, a label and a domain", what="rows", where=source)
        findings = replace(findings, unit_column=made.unit_column, independent=made.independent)
        if made.independent:
            rows = assign_alone(rows, shares, salt=name)
        else:
            rows, findings = without_leaks(assign(rows, shares, salt=name), findings)
        content = to_bytes(rows)
        sha256 = digest(content)
        snapshot = Dataset(
            id=f"{name}-{sha256[:12]}",
            name=name,
            sha256=sha256,
            created_at=self._clock.now(),
            created_by=actor.name,
            source=source,
            rows=len(rows),
            domains=_count(rows, "split"),
            labels=_count(rows, "label"),
            findings=findings,
            content=content_of(rows),
        )
        with self._database.write() as connection:
            if not store.insert(self._database, connection, snapshot):
                known = store.find(connection, snapshot.id)
                assert known is not None
                return known
            store.insert_content(self._database, connection, sha256, pack(content))
            after = {"sha256": sha256, "rows": len(rows), "source": source, "findings": asdict(findings)}
            self._audit.record(connection, actor, "dataset.import", f"dataset:{snapshot.id}", after=after)
        return snapshot


def _count(rows: Sequence[Row], field: str) -> Mapping[str, Mapping[str, int]]:
    counted: dict[str, Counter[str]] = {}
    for row in rows:
        counted.setdefault(row.domain, Counter())[str(getattr(row, field))] += 1
    return {domain: dict(sorted(counted[domain].items())) for domain in sorted(counted)}


def _usual_name(path: Path) -> str:
    stem = path.stem if path.stem.lower() not in ("train", "training", "data", "all") else path.resolve().parent.name
    return re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_") or "data"
