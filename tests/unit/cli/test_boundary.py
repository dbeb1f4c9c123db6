"""Whatever goes wrong at the command line is one typed message and an exit code that is not 0."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bailiwick.cli.boundary import typed
from bailiwick.cli.main import app
from bailiwick.errors import BailiwickError, Unavailable


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def failure(*words: str) -> tuple[int, dict[str, str]]:
    result = CliRunner().invoke(app, ["--json", *words])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    found: dict[str, str] = json.loads(result.stderr)["error"]
    return result.exit_code, found


def test_database_file__is_a_file_of_garbage__unavailable() -> None:
    Path("garbage.db").write_bytes(b"this is no database " * 400)
    code, error = failure("--database-url", "sqlite:///garbage.db", "domain", "list")
    assert (code, error["code"]) == (8, "unavailable")
    assert "not a database" in error["message"]
    assert Path("garbage.db").read_bytes().startswith(b"this is no database")


def test_database_file__is_a_folder__unavailable() -> None:
    Path("folder.db").mkdir()
    assert failure("--database-url", "sqlite:///folder.db", "domain", "list")[0] == 8


@pytest.mark.parametrize("command", [["audit", "list"], ["graph", "stats"], ["domain", "create", "x"]], ids="-".join)
def test_database_file__pages_overwritten__unavailable(command: list[str], sqlite_template: Path) -> None:
    file = Path(".bailiwick/bailiwick.db")
    file.parent.mkdir()
    content = bytearray(sqlite_template.read_bytes())
    assert len(content) > 2 * 4096
    content[4096:] = b"\xa5" * len(content[4096:])
    file.write_bytes(content)
    code, error = failure(*command)
    assert (code, error["code"]) == (8, "unavailable")


def test_home__is_a_file__says_so() -> None:
    Path("afile").write_text("x")
    code, error = failure("--home", "afile", "domain", "list")
    assert (code, error["where"]) == (8, "afile")


def test_home__may_not_be_made__says_so() -> None:
    assert failure("--home", "/proc/bailiwick", "domain", "list")[0] == 8
    assert failure("estate", "/proc/bailiwick")[0] == 2


@pytest.mark.skipif(sys.platform != "linux", reason="root keeps its rights elsewhere")
def test_database_file__may_only_be_read__says_what_right_is_missing(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["domain", "create", "cards", "--name", "Cards"]).exit_code == 0
    home = tmp_path / ".bailiwick"
    for path in home.iterdir():
        path.chmod(0o444)
    home.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-m", "bailiwick", "domain", "create", "loans", "--name", "Loans"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3] / "src"), "COLUMNS": "200"},
        preexec_fn=_obey_file_modes,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    home.chmod(0o755)
    assert done.returncode == 8, done.stderr
    assert "Traceback" not in done.stderr
    assert "readonly" in done.stderr
    assert "right to write" in done.stderr


def _obey_file_modes() -> None:
    """Take from root, for good, the right to write what its mode forbids to write."""
    drop_from_bounding_set, may_override_modes = 24, 1
    ctypes.CDLL(None).prctl(drop_from_bounding_set, may_override_modes, 0, 0, 0)


def test_unknown_setting_in_file__named_with_its_file() -> None:
    Path("bailiwick.toml").write_text("prot = 8701\n")
    code, error = failure("config")
    assert (code, error["where"]) == (2, "bailiwick.toml")
    assert "'prot'" in error["message"]


def test_traffic_history__domain_without_any__not_found() -> None:
    assert failure("traffic", "history", "absent")[0] == 3


def test_graph_export__domain_that_tags_nothing__not_found() -> None:
    assert failure("graph", "export", "--domain", "absent")[0] == 3


def test_typed__exceptions_of_libraries__become_errors_with_a_remedy() -> None:
    assert typed(Unavailable("away")).message == "away"
    missing = typed(FileNotFoundError(2, "No such file or directory", "absent.csv"))
    assert (missing.code, missing.where) == ("invalid_input", "absent.csv")
    odd = typed(KeyError("surprise"))
    assert type(odd) is BailiwickError
    assert odd.remedy is not None
    assert "BAILIWICK_TRACEBACK=1" in odd.remedy
