from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bailiwick.extraction.report import ExtractionReport
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.settings import Settings


class Estate:
    """A folder of files, and a platform to extract it into."""

    def __init__(self, folder: Path, platform: Platform) -> None:
        self.folder = folder
        self.platform = platform

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def extract(self, **options: Any) -> ExtractionReport:
        return self.platform.extraction.extract(
            [self.folder], **{"actor": Actor("test"), "source": "estate", **options}
        )

    def names(self) -> set[str]:
        return {node.qualified_name for node in self.platform.graph.nodes()}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    found = Platform(Settings(home=tmp_path / "home"))
    yield found
    found.close()


@pytest.fixture
def estate(tmp_path: Path, platform: Platform) -> Iterator[Estate]:
    folder = tmp_path / "estate"
    folder.mkdir()
    yield Estate(folder, platform)
    shutil.rmtree(folder, ignore_errors=True)


JOBS = """<DEFTABLE><FOLDER FOLDER_NAME="NIGHT">
<JOB JOBNAME="LOAD" CMDLINE="hive -f crm/load.sql"><OUTCOND NAME="LOADED" ODATE="ODAT" SIGN="+"/></JOB>
<JOB JOBNAME="REPORT"><INCOND NAME="LOADED" ODATE="ODAT" AND_OR="A"/></JOB>
</FOLDER></DEFTABLE>"""


@pytest.fixture
def small_estate(estate: Estate) -> Estate:
    """One of everything: DDL, a load, a JSON table, a schedule, and files that nobody reads."""
    estate.write(
        "crm/ddl.sql", "CREATE TABLE customer (id INT, name STRING);\nCREATE TABLE vip (id INT, name STRING);\n"
    )
    estate.write("crm/load.sql", "INSERT INTO TABLE vip SELECT id, upper(name) FROM customer;\n")
    estate.write("crm/orders.json", '[{"id": 1, "customer_id": 7}, {"id": 2, "customer_id": 8}]')
    estate.write("jobs/night.xml", JOBS)
    estate.write("readme.md", "# hello")
    estate.write("settings.json", '{"port": 1}')
    return estate
