"""The README's commands run as a newcomer types them: in order, each in an interpreter of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import check, run_apart, shown

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.timeout(900)  # fifteen commands in a row, on a machine that may be busy
def test_readme__each_command_in_order__exits_with_0(tmp_path: Path) -> None:
    lines = shown(README)
    assert lines, "the README shows no command"
    check(lines, tmp_path, run_apart)
