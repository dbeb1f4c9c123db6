"""Every command in the docs runs, in the order of its page, from a fresh folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import servers
from commands import check, run_forked, shown

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_COMMANDS = {"README", "delivery-evidence"}  # an index, and figures that a benchmark prints
PAGES = sorted(page for page in (ROOT / "docs").glob("*.md") if page.stem not in WITHOUT_COMMANDS)

# Most pages begin alike: copy the estate, import it, train. What a page does first is done once for all of them.
SHARED = re.compile(r"bailiwick (estate|domain import|dataset import|train cards --dataset queries$|deploy cards$)")


class Beginnings:
    """Folders as they are after the same first commands, each run once and copied for every page that begins so."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._empty = folder / "empty"
        self._empty.mkdir()
        self._made: dict[tuple[str, ...], Path] = {}

    def after(self, lines: tuple[str, ...]) -> Path:
        """The folder after these commands. It is to be copied, not used."""
        if not lines:
            return self._empty
        if lines not in self._made:
            before = self.after(lines[:-1])
            made = self._folder / str(len(self._made))
            shutil.copytree(before, made)
            check([lines[-1]], made, run_forked)
            self._made[lines] = made
        return self._made[lines]


@pytest.fixture(scope="module")
def beginnings(tmp_path_factory: pytest.TempPathFactory) -> Beginnings:
    return Beginnings(tmp_path_factory.mktemp("beginnings"))


def really(name: str, value: str, folder: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """What an exported variable of a page stands for here: a fresh store on a real server, a folder of this test's."""
    if value.startswith("postgresql://"):
        return {name: request.getfixturevalue("postgres_url")}
    if value.startswith("redis://"):
        return {name: request.getfixturevalue("redis_url")}
    if value.startswith("bolt://"):
        credentials = {"BAILIWICK_GRAPH_USER": servers.BOLT_USER, "BAILIWICK_GRAPH_PASSWORD": servers.BOLT_PASSWORD}
        return {name: request.getfixturevalue("bolt_url"), **credentials}
    if value.startswith("/"):
        return {name: str(folder / value.lstrip("/"))}
    return {name: value}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_docs__each_command_in_order__exits_as_the_page_says(
    page: Path, tmp_path: Path, beginnings: Beginnings, request: pytest.FixtureRequest
) -> None:
    lines = shown(page)
    assert lines, f"{page.name} shows no command"
    own = next((index for index, line in enumerate(lines) if not SHARED.match(line)), len(lines))
    folder = tmp_path / "page"
    shutil.copytree(beginnings.after(tuple(lines[:own])), folder)

    def stand_in(name: str, value: str) -> dict[str, str]:
        return really(name, value, tmp_path, request)

    check(lines[own:], folder, run_forked, stand_in)
