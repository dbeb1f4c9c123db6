from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from unit.extraction.conftest import Estate

from bailiwick.errors import InvalidInput, NotFound
from bailiwick.extraction import service as service_module
from bailiwick.extraction.executors import WorkerPool
from bailiwick.extraction.reading import ReadResult, ReadTask, read_first
from bailiwick.extraction.report import ExtractionReport, FileReport, FileStatus
from bailiwick.governance.audit import Actor
from bailiwick.graph.model import EdgeKind, NodeKind
from bailiwick.platform import Platform
from bailiwick.settings import Settings


def status(report: ExtractionReport) -> dict[str, FileStatus]:
    return {file.name.removeprefix("estate/"): file.status for file in report.files}


def failed(report: ExtractionReport) -> FileReport:
    (file,) = report.failed
    return file


def test_extract__small_estate__finds_every_kind_of_asset(small_estate: Estate) -> None:
    report = small_estate.extract()
    assert report.complete
    assert set(report.assets) >= {"folder", "file", "database", "table", "column", "statement", "job", "condition"}
    relations = {"has", "references", "reads", "writes", "derives", "precedes", "raises", "awaits", "runs"}
    assert set(report.relations) >= relations
    assert status(report)["readme.md"] is FileStatus.SKIPPED
    assert status(report)["settings.json"] is FileStatus.SKIPPED
    assert [(key.column, key.references) for key in report.inferred_keys] == [
        ("crm.orders.customer_id", "crm.customer.id")
    ]
    assert {"crm.customer.name", "NIGHT/LOAD", "estate/crm/load.sql"} <= small_estate.names()
    assert small_estate.platform.graph.stats().nodes == report.assets


def test_extract__again__writes_nothing(small_estate: Estate) -> None:
    first = small_estate.extract()
    second = small_estate.extract()
    assert second.sync is not None
    assert (second.sync.added, second.sync.changed, second.sync.tombstoned) == (0, 0, 0)
    assert second.sync.unchanged == len(first.nodes) + len(first.edges)
    assert set(status(second).values()) == {FileStatus.UNCHANGED, FileStatus.SKIPPED}
    assert second.statements == first.statements


@pytest.mark.corpora
def test_extract__corpora__twice_changes_nothing_and_counts_hold(estate: Estate, corpora: Path) -> None:
    paths = [corpora / "carddemo", corpora / "json-tables"]
    service = estate.platform.extraction
    first = service.extract(paths, actor=Actor("test"))
    second = service.extract(paths, actor=Actor("test"))
    assert (first.assets["job_folder"], first.assets["job"], first.assets["condition"]) == (5, 15, 11)
    assert first.relations["precedes"] == 12
    assert first.dangling_conditions == ()
    assert first.failed == ()
    assert second.sync is not None
    assert (second.sync.added, second.sync.changed, second.sync.tombstoned) == (0, 0, 0)


def test_extract__one_file_changed__reads_that_file_and_what_rests_on_it(small_estate: Estate) -> None:
    small_estate.extract()
    small_estate.write("crm/orders.json", '[{"id": 1, "customer_id": 7, "total": 1.5}]')
    report = small_estate.extract()
    read = {name for name, what in status(report).items() if what is FileStatus.READ}
    assert read == {"crm/orders.json"}
    assert report.sync is not None
    assert report.sync.added == 2  # the column and its place in the table
    assert report.sync.tombstoned == 0


def test_extract__definition_changed__reads_the_statements_on_it_again(small_estate: Estate) -> None:
    small_estate.extract()
    small_estate.write(
        "crm/ddl.sql",
        "CREATE TABLE customer (id INT, name STRING, born DATE);\nCREATE TABLE vip (id INT, name STRING);\n",
    )
    read = {name for name, what in status(small_estate.extract()).items() if what is FileStatus.READ}
    assert read == {"crm/ddl.sql", "crm/load.sql"}


def test_extract__file_removed__its_elements_go_and_come_back(small_estate: Estate) -> None:
    small_estate.extract()
    content = (small_estate.folder / "crm/orders.json").read_bytes()
    (small_estate.folder / "crm/orders.json").unlink()
    report = small_estate.extract()
    assert report.sync is not None
    assert report.sync.tombstoned > 0
    assert "crm.orders" not in small_estate.names()
    small_estate.write("crm/orders.json", content)
    small_estate.extract()
    assert "crm.orders" in small_estate.names()


def test_extract__file_removed_while_another_fails__nothing_goes(small_estate: Estate) -> None:
    small_estate.extract()
    (small_estate.folder / "crm/orders.json").unlink()
    small_estate.write("jobs/night.xml", "<DEFTABLE><FOLDER")
    report = small_estate.extract()
    assert not report.complete
    assert report.sync is not None
    assert (report.sync.tombstoned, report.sync.held_back > 0) == (0, True)
    assert {"crm.orders", "NIGHT/LOAD"} <= small_estate.names()


def test_extract__most_of_it_gone__is_held_back_until_asked_for(small_estate: Estate) -> None:
    before = small_estate.extract()
    for name in ("crm/ddl.sql", "crm/load.sql", "crm/orders.json", "jobs/night.xml"):
        (small_estate.folder / name).unlink()
    report = small_estate.extract()
    assert report.sync is not None
    assert (report.sync.tombstoned, report.sync.held_back > len(before.nodes) / 2) == (0, True)
    forced = small_estate.extract(max_removed_fraction=1.0)
    assert forced.sync is not None
    assert forced.sync.tombstoned == report.sync.held_back


def test_extract__file_fails_after_it_was_read__what_was_known_stays_as_it_was(small_estate: Estate) -> None:
    small_estate.extract()
    small_estate.write("crm/ddl.sql", b"\x00\x01\x02\x03 not text any more")
    report = small_estate.extract()
    assert (failed(report).name, failed(report).message) == ("estate/crm/ddl.sql", "binary content, not text")
    assert report.sync is not None
    assert (report.sync.added, report.sync.changed, report.sync.tombstoned) == (0, 0, 0)
    small_estate.write(
        "crm/ddl.sql", "CREATE TABLE customer (id INT, name STRING);\nCREATE TABLE vip (id INT, name STRING);\n"
    )
    assert small_estate.extract().complete


def test_extract__dry_run__writes_nothing_at_all(small_estate: Estate) -> None:
    report = small_estate.extract(dry_run=True)
    assert report.sync is None
    assert report.assets["table"] >= 3
    assert small_estate.names() == set()
    assert small_estate.platform.extraction.runs() == []
    assert small_estate.platform.audit.entries() == []


def test_extract__hostile_files__are_outcomes_and_the_rest_is_read(small_estate: Estate) -> None:
    bomb = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><DEFTABLE>&b;</DEFTABLE>'
    small_estate.write("bad/bomb.xml", bomb)
    small_estate.write("bad/deep.json", "[" * 100_000)
    small_estate.write("bad/cut.json", '[{"a": 1}, {"a"')
    small_estate.write("bad/cut.sql", "select 'é".encode()[:-1])
    small_estate.write("bad/binary.sql", bytes(range(256)) * 10)
    os.mkfifo(small_estate.folder / "bad" / "pipe.sql")
    report = small_estate.extract()
    assert {file.name.split("/")[-1] for file in report.failed} == {
        "bomb.xml",
        "deep.json",
        "cut.json",
        "cut.sql",
        "binary.sql",
    }
    assert all(file.message for file in report.failed)
    assert status(report)["bad/pipe.sql"] is FileStatus.SKIPPED
    assert "crm.customer" in small_estate.names()
    count, recorded = small_estate.platform.extraction.outcomes(report.run, outcome="failed")
    assert count == 5
    assert {(row.kind, row.outcome) for row in recorded} == {("file", "failed")}


def test_extract__long_line_of_sql__ends_with_an_outcome(estate: Estate) -> None:
    estate.write("db/long.sql", "SELECT " + ", ".join(f"c{i}" for i in range(100_000)) + " FROM t;")
    estate.write("db/ok.sql", "CREATE TABLE t (a INT);")
    report = estate.extract(workers=1)
    assert report.complete
    assert sum(report.outcomes.values()) == 2
    assert "db.t" in estate.names()


def test_extract__file_over_the_limit__fails_without_being_read(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bailiwick.extraction.reading.MAX_FILE_BYTES", 1_000)
    estate.write("db/big.json", "[" + '{"a": 1},' * 200 + '{"a": 1}]')
    assert "limit of 1000 bytes" in str(failed(estate.extract()).message)


def _dies_on_load(shared: None, task: ReadTask) -> ReadResult:
    if task.name.endswith("load.sql"):
        os.kill(os.getpid(), signal.SIGKILL)
    return read_first(shared, task)


def test_extract__worker_killed__is_that_files_outcome(small_estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "read_first", _dies_on_load)
    report = small_estate.extract(executor=WorkerPool(2))
    assert failed(report).name == "estate/crm/load.sql"
    assert "SIGKILL" in str(failed(report).message)
    assert {"crm.customer", "crm.orders", "NIGHT/LOAD"} <= small_estate.names()


def test_extract__in_workers_or_in_process__gives_the_same(small_estate: Estate) -> None:
    here = small_estate.extract(dry_run=True)
    there = small_estate.extract(dry_run=True, executor=WorkerPool(2))
    assert here.assets == there.assets
    assert here.relations == there.relations
    assert here.statements == there.statements


def test_extract__graph_refuses__no_run_and_no_cache_are_left(
    small_estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise InvalidInput("no")

    monkeypatch.setattr(type(small_estate.platform.graph), "sync_source", refuse)
    with pytest.raises(InvalidInput):
        small_estate.extract()
    assert small_estate.platform.extraction.runs() == []
    assert small_estate.platform.extraction.facts("estate") == []


def test_extract__unknown_path_or_dialect__is_invalid_input_and_changes_nothing(small_estate: Estate) -> None:
    with pytest.raises(InvalidInput, match="dialect"):
        small_estate.extract(dialect="klingon")
    small_estate.folder = small_estate.folder / "absent"
    with pytest.raises(InvalidInput, match="absent"):
        small_estate.extract()
    assert small_estate.platform.extraction.runs() == []


def test_runs_and_outcomes__are_recorded_and_audited(small_estate: Estate) -> None:
    report = small_estate.extract()
    (run,) = small_estate.platform.extraction.runs()
    assert (run.run, run.source, run.complete, run.actor) == (report.run, "estate", True, "test")
    assert run.summary["assets"] == report.assets
    (entry,) = small_estate.platform.audit.entries(subject=f"extraction:{report.run}")
    assert (entry.action, entry.actor) == ("extraction.run", "test")
    with pytest.raises(NotFound):
        small_estate.platform.extraction.outcomes("extract-nothing")


def test_two_sources__of_different_folders__leave_each_other_alone(small_estate: Estate) -> None:
    small_estate.extract(source=None)
    other = small_estate.folder.parent / "other"
    other.mkdir()
    (other / "t.sql").write_text("CREATE TABLE t (a INT);")
    small_estate.folder = other
    small_estate.extract(source=None)
    assert {"crm.customer", "other.t"} <= small_estate.names()


def test_progress__is_told_for_every_stage(small_estate: Estate) -> None:
    told: list[tuple[str, int, int]] = []
    small_estate.extract(progress=lambda *step: told.append(step))
    stages = [stage for stage, _, _ in told]
    assert list(dict.fromkeys(stages)) == ["reading", "lineage", "assembling", "writing"]
    assert ("reading", 5, 5) in told


def test_every_relation__in_the_store__has_provenance(small_estate: Estate) -> None:
    report = small_estate.extract()
    for edge in small_estate.platform.graph.edges():
        assert edge.provenance.run == report.run
        assert edge.provenance.parser
    kinds = {edge.kind for edge in small_estate.platform.graph.edges()}
    assert EdgeKind.PRECEDES in kinds
    assert {node.kind for node in small_estate.platform.graph.nodes()} >= {NodeKind.JOB, NodeKind.STATEMENT}


@pytest.mark.postgres
def test_extract__on_postgresql__is_the_same(small_estate: Estate, postgres_url: str, tmp_path: Path) -> None:
    here = small_estate.extract()
    small_estate.write("crm/odd.json", '[{"nul\\u0000name": "half \\ud800 pair", "n": NaN}]')
    platform = Platform(Settings(home=tmp_path / "other", database_url=postgres_url))
    there = Estate(small_estate.folder, platform)
    first, second = there.extract(), there.extract()
    assert first.relations["precedes"] == here.relations["precedes"]
    assert second.sync is not None
    assert (second.sync.added, second.sync.changed, second.sync.tombstoned) == (0, 0, 0)
    assert second.sync.unchanged == len(first.nodes) + len(first.edges)
    assert len(platform.extraction.runs()) == 2
    platform.close()


def test_extract__table_made_by_a_star_over_another_file__has_its_columns(estate: Estate) -> None:
    estate.write("db/a.sql", "CREATE TABLE x AS SELECT * FROM y;")
    estate.write("db/b.sql", "CREATE TABLE y (a INT, b INT);")
    estate.write("db/c.sql", "INSERT INTO TABLE z SELECT * FROM x;")
    report = estate.extract()
    assert {"db.x.a", "db.x.b"} <= estate.names()
    assert report.columns_resolved == report.columns_total


@pytest.mark.corpora
def test_extract__tpcds_inserts__columns_are_traced_through_the_schema_file(estate: Estate, corpora: Path) -> None:
    report = estate.platform.extraction.extract([corpora / "tpcds-inserts"], actor=Actor("test"), dry_run=True)
    columns = [
        edge for edge in report.edges if edge.kind is EdgeKind.DERIVES and edge.properties["transformation"] != "table"
    ]
    assert len(columns) >= 972
    assert report.failed == ()
    assert set(report.outcomes) == {"parsed"}


def test_extract__key_declared_by_a_later_statement__has_the_place_of_that_statement(estate: Estate) -> None:
    estate.write(
        "db/a.sql",
        "CREATE TABLE a (id INT);\nCREATE TABLE b (a_id INT);\n\n"
        "ALTER TABLE b ADD CONSTRAINT fk FOREIGN KEY (a_id) REFERENCES a (id) DISABLE NOVALIDATE;\n",
    )
    for report in (estate.extract(), estate.extract()):  # the second from the cache
        (key,) = [edge for edge in report.edges if edge.kind is EdgeKind.REFERENCES]
        assert (key.provenance.file, key.provenance.line) == ("estate/db/a.sql", 4)


def test_extract__ddl_of_json_tables__keeps_what_the_types_say(estate: Estate) -> None:
    estate.write("shop/DDL.csv", 'table_name,DDL\nt,"CREATE TABLE t (a BOOLEAN, b VARCHAR(19), c SMALLINT, d TEXT)"\n')
    types = {n.name: n.properties.get("type") for n in estate.extract().nodes if n.kind is NodeKind.COLUMN}
    assert types == {"a": "boolean", "b": "varchar(19)", "c": "smallint", "d": "text"}
