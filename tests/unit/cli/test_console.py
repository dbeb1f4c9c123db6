from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from rich.console import Console

from bailiwick.backends.model import UpstreamFailed, UpstreamRefused
from bailiwick.cli import console
from bailiwick.cli.console import counted, fail, print_table
from bailiwick.errors import BailiwickError, GateFailed, Unavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GateFailed("held"), 7),
        (Unavailable("away"), 8),
        (UpstreamFailed("away"), 8),
        (UpstreamRefused("no"), 2),
        (BailiwickError("other"), 1),
    ],
)
def test_fail__error_or_one_derived_from_it__its_exit_code(
    error: BailiwickError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        fail(error, as_json=True)
    assert ended.value.code == code
    assert json.loads(capsys.readouterr().err)["error"]["message"] == error.message


WIDE = "deployment-20261123T203611-36a9ca44"


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "out", Console(width=40, highlight=False, color_system=None))


def test_print_table__more_ids_than_the_terminal_is_wide__none_is_broken_or_dropped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table("Titles [are] text", ("id", "from", "n"), [(WIDE, WIDE.upper(), 7)])
    printed = capsys.readouterr().out
    assert "Titles [are] text" in printed
    assert f"{WIDE}  {WIDE.upper()}  7" in printed


def test_print_table__prose__wraps_between_words_within_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", ("name", "meaning"), [("seed", "of every random choice that training makes anywhere")])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(" ".join(lines).split()).endswith("of every random choice that training makes anywhere")


def test_print_table__whole_column__keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("cards", f"80 % {WIDE}\n20 % other", "a long reason for the change")]
    print_table("", ("domain", "served by", "why"), rows, whole=("served by",))
    assert f"80 % {WIDE}" in capsys.readouterr().out


def test_print_table__instants_and_absent_values__on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", ("at", "who"), [(datetime(2026, 3, 1, 12, tzinfo=UTC), None)])
    assert "2026-03-01 12:00:00" in capsys.readouterr().out


def test_counted__most_first_and_nothing_of_zero() -> None:
    assert counted({"job_folder": 2, "column": 1_182, "view": 0}) == "1,182 column, 2 job folder"
