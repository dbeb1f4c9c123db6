"""Every command in the README and the docs runs, in order, from a fresh folder; every link leads somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import servers

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
LINKING = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "src").rglob("*.md")),
]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
EXPORT = re.compile(r"export (\w+)=(\S+)$")


def commands(page: Path) -> list[str]:
    """The lines that begin with ``$ bailiwick`` or ``$ export``, in the order of the page."""
    lines = [line for block in BLOCK.findall(page.read_text("utf-8")) for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith(("$ bailiwick ", "$ export "))]


def run(line: str, folder: Path, exported: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "bailiwick", *shlex.split(line, comments=True)[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "80", "BAILIWICK_PORT": "0", **exported}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False)


def really(name: str, value: str, folder: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """What an exported variable of a page stands for here: a fresh store on a real server, a folder of this test's."""
    if value.startswith("postgresql://"):
        return {name: request.getfixturevalue("postgres_url")}
    if value.startswith("redis://"):
        return {name: request.getfixturevalue("redis_url")}
    if value.startswith("bolt://"):
        url = request.getfixturevalue("bolt_url")
        return {
            name: url,
            "BAILIWICK_GRAPH_USER": servers.BOLT_USER,
            "BAILIWICK_GRAPH_PASSWORD": servers.BOLT_PASSWORD,
        }
    if value.startswith("/"):
        return {name: str(folder / value.lstrip("/"))}
    return {name: value}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).with_suffix("").as_posix())
def test_docs__each_command_in_order__exits_0(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    exported: dict[str, str] = {}
    for line in commands(page):
        if found := EXPORT.match(line):
            exported |= really(found[1], found[2], tmp_path, request)
            continue
        expected = re.search(r"# exits with (\d+)", line)
        done = run(line, tmp_path, exported)
        assert done.returncode == int(expected[1] if expected else 0), f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr


def test_readme__has_a_tour_that_is_run() -> None:
    assert len(commands(README)) >= 10


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links__lead_to_files_and_headings_that_are_there(page: Path) -> None:
    dead = [link for link in LINK.findall(page.read_text("utf-8")) if not _leads_somewhere(page, link)]
    assert dead == []


def _leads_somewhere(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):  # another site's
        return True
    path, _, heading = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return False
    return not heading or heading in _anchors(target)


def _anchors(page: Path) -> set[str]:
    """The anchors that a Markdown page gives its headings: lower case, words joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_docs_index__names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {link for link in LINK.findall(index) if "/" not in link} == pages
