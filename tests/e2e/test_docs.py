"""Every command in the README and the docs runs, in order, from a fresh folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Done, run_apart, run_forked

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)

# Most pages begin alike: copy the estate, import it, train. What a page does first is done once for all of them.
SHARED = re.compile(r"bailiwick (estate|domain import|dataset import|train cards --dataset queries$|deploy cards$)")


def commands(page: Path) -> list[str]:
    """The lines that begin with ``$ bailiwick``, in the order of the page."""
    lines = [line for block in BLOCK.findall(page.read_text("utf-8")) for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ bailiwick ")]


def check(lines: list[str], folder: Path, run: Callable[[str, Path], Done]) -> None:
    for line in lines:
        expected = re.search(r"# exits with (\d+)", line)
        done = run(line, folder)
        assert done.exit_code == int(expected[1] if expected else 0), f"{line}\n{done.output}\n{done.errors}"
        assert "Traceback" not in done.errors, f"{line}\n{done.errors}"


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_docs__each_command_in_order__exits_as_the_page_says(
    page: Path, tmp_path: Path, beginnings: Beginnings
) -> None:
    lines = commands(page)
    assert lines, f"{page.name} shows no command"
    own = next((index for index, line in enumerate(lines) if not SHARED.match(line)), len(lines))
    folder = tmp_path / "page"
    shutil.copytree(beginnings.after(tuple(lines[:own])), folder)
    check(lines[own:], folder, run_forked)


def test_readme__each_command_in_order_as_a_newcomer_types_it__exits_as_the_page_says(tmp_path: Path) -> None:
    lines = commands(ROOT / "README.md")
    assert lines, "the README shows no command"
    check(lines, tmp_path, run_apart)
