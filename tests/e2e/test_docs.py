"""Every command in the docs runs, in order, from a fresh folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(page for page in (ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def commands(page: Path) -> list[str]:
    """The lines that begin with ``$ bailiwick``, in the order of the page."""
    lines = [line for block in BLOCK.findall(page.read_text("utf-8")) for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ bailiwick ")]


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "bailiwick", *shlex.split(line, comments=True)[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "100", "BAILIWICK_PORT": "0"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_docs__each_command_in_order__exits_0(page: Path, tmp_path: Path) -> None:
    for line in commands(page):
        expected = re.search(r"# exits with (\d+)", line)
        done = run(line, tmp_path)
        assert done.returncode == int(expected[1] if expected else 0), f"{line}\n{done.stdout}\n{done.stderr}"
