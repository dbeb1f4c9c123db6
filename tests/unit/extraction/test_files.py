from __future__ import annotations

import os
import pickle  # noqa: TID251 - how errors cross process borders
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bailiwick.errors import InvalidInput
from bailiwick.extraction.files import Unreadable, Unrecognised, decode, read_bytes, walk


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user may enter (pytest's own may not be)."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def names(path: Path) -> list[str]:
    return [found.name for found in walk([path]).files]


def test_walk__any_machine__names_are_relative_sorted_and_typed(tmp_path: Path) -> None:
    root = tmp_path / "estate"
    for name in ("b/z.SQL", "b/a.hql", "a.json", "notes.txt", ".git/config", "b/.hidden.sql"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    listing = walk([root])
    assert [(found.name, found.kind) for found in listing.files] == [
        ("estate/a.json", "json"),
        ("estate/b/a.hql", "sql"),
        ("estate/b/z.SQL", "sql"),
        ("estate/notes.txt", "other"),
    ]
    assert listing.files[1].folder == "estate/b"


def test_walk__one_file__is_named_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "ddl").mkdir()
    (tmp_path / "ddl" / "a.sql").write_text("x")
    assert names(tmp_path / "ddl" / "a.sql") == ["ddl/a.sql"]


def test_walk__two_folders_of_one_name__stay_apart(tmp_path: Path) -> None:
    for side in ("left", "right"):
        (tmp_path / side / "ddl").mkdir(parents=True)
        (tmp_path / side / "ddl" / "a.sql").write_text(side)
    found = [file.name for file in walk([tmp_path / "left" / "ddl", tmp_path / "right" / "ddl"]).files]
    assert len(set(found)) == 2
    assert [name.split("/")[-3:] for name in found] == [["left", "ddl", "a.sql"], ["right", "ddl", "a.sql"]]


def test_walk__missing_path__is_invalid_input(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no file or folder"):
        walk([tmp_path / "absent"])
    with pytest.raises(InvalidInput):
        walk([])


def test_walk__links__loops_and_escapes_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.sql").write_text("x")
    (tmp_path / "secret.sql").write_text("x")
    (root / "sub" / "loop").symlink_to(root)
    (root / "out.sql").symlink_to(tmp_path / "secret.sql")
    (root / "twin.sql").symlink_to(root / "sub" / "a.sql")
    (root / "broken.sql").symlink_to(root / "nowhere")
    (root / "self").symlink_to(root / "self")
    listing = walk([root])
    assert [found.name for found in listing.files] == ["root/sub/a.sql"]
    said = {problem.name: problem.message for problem in listing.problems}
    assert set(said) == {"root/sub/loop", "root/out.sql", "root/twin.sql", "root/broken.sql", "root/self"}
    assert not any(problem.failed for problem in listing.problems)


def test_walk__pipes_and_sockets__are_left_out_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.sql")
    with socket.socket(socket.AF_UNIX) as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)  # a socket's path must be short
        server.bind("s.sql")
        listing = walk([tmp_path])
    assert listing.files == ()
    assert {Path(problem.name).name for problem in listing.problems} == {"pipe.sql", "s.sql"}
    with pytest.raises(Unreadable, match="regular"):
        read_bytes(tmp_path / "pipe.sql")


def test_walk__folder_without_permission__is_a_failure_not_a_crash(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir()
    (closed / "a.sql").write_text("x")
    closed.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)  # root may enter anything
    try:
        listing = walk([open_folder])
    finally:
        if user == 0:
            os.seteuid(0)
        closed.chmod(0o755)
    assert [(Path(p.name).name, p.failed, p.message) for p in listing.problems] == [
        ("closed", True, "Permission denied")
    ]


def test_walk__name_that_is_no_text__is_printable(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.sql")).write_text("x")
    (found,) = walk([tmp_path]).files
    found.name.encode("utf-8")
    assert read_bytes(found.path) == b"x"


def test_read__larger_than_the_limit__is_refused(tmp_path: Path) -> None:
    (tmp_path / "big.sql").write_bytes(b"x" * 101)
    with pytest.raises(Unreadable, match="limit of 100 bytes"):
        read_bytes(tmp_path / "big.sql", limit=100)
    assert len(read_bytes(tmp_path / "big.sql", limit=101)) == 101


def test_read__gone_meanwhile__is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        read_bytes(tmp_path / "gone.sql")


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"select 1", "utf-8"),
        (b"\xef\xbb\xbfselect 1", "utf-8-sig"),
        ("select 'é'".encode("utf-16"), "utf-16"),
        ("select 1".encode("utf-16-le"), "utf-16-le"),
        ("select 1".encode("utf-16-be"), "utf-16-be"),
        ("select 'é' from t".encode("latin-1"), "latin-1"),
        (b"", "utf-8"),
    ],
)
def test_decode__known_encodings__are_detected(data: bytes, encoding: str) -> None:
    text, found = decode(data)
    assert found == encoding
    assert text.startswith("select") or not data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x10\x20", "binary"),
        (bytes(range(1, 30)) * 10, "binary"),
        ("select 'é".encode()[:-1], "truncated"),
        ("select 1".encode("utf-16")[:-1], "not utf-16"),
    ],
)
def test_decode__binary_or_cut__is_refused(data: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        decode(data)


def test_errors__sent_between_processes__keep_their_place() -> None:
    for kind in (Unreadable, Unrecognised):
        again = pickle.loads(pickle.dumps(kind("why", line=7)))
        assert (type(again), again.message, again.line) == (kind, "why", 7)
