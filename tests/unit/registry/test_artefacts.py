from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.registry.artefacts import MANIFEST, ArtefactStore

FILES = {"model.json": b"{}", "weights.safetensors": b"\x00" * 64}


@pytest.fixture
def stored(tmp_path: Path) -> tuple[ArtefactStore, str, Path]:
    store = ArtefactStore(tmp_path / "artefacts")
    sha256, _ = store.put(FILES)
    return store, sha256, tmp_path / "artefacts" / sha256[:2] / sha256


def test_put__twice__same_hash_and_no_litter(stored: tuple[ArtefactStore, str, Path]) -> None:
    store, sha256, folder = stored
    assert store.put(dict(reversed(FILES.items()))) == (sha256, 66)
    assert store.get(sha256) == FILES
    assert [path.name for path in folder.parent.parent.iterdir()] == [sha256[:2]]


def test_get__any_byte_changed__refused(stored: tuple[ArtefactStore, str, Path]) -> None:
    store, sha256, folder = stored
    for name in (*FILES, MANIFEST):
        content = (folder / name).read_bytes()
        for bad in (content[:-1], content + b"x", bytes([content[0] ^ 1]) + content[1:], b""):
            (folder / name).write_bytes(bad)
            with pytest.raises(Conflict, match="damaged"):
                store.get(sha256)
        (folder / name).write_bytes(content)
    assert store.get(sha256) == FILES


def test_get__file_added_removed_or_linked__refused(stored: tuple[ArtefactStore, str, Path]) -> None:
    store, sha256, folder = stored
    (folder / "evil.py").write_text("")
    with pytest.raises(Conflict, match=r"evil\.py"):
        store.get(sha256)
    (folder / "evil.py").unlink()
    shutil.copy(folder / "model.json", folder.parent / "elsewhere")
    (folder / "model.json").unlink()
    with pytest.raises(Conflict):
        store.get(sha256)
    (folder / "model.json").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(Conflict):
        store.get(sha256)


def test_put__over_a_damaged_one__restores_it(stored: tuple[ArtefactStore, str, Path]) -> None:
    store, sha256, folder = stored
    (folder / "model.json").write_bytes(b"[]")
    assert store.put(FILES)[0] == sha256
    assert store.get(sha256) == FILES


def test_get__unknown_or_malformed_hash__typed_error(stored: tuple[ArtefactStore, str, Path]) -> None:
    store, _, _ = stored
    with pytest.raises(NotFound):
        store.get("0" * 64)
    for bad in ("", "../../etc/passwd", "A" * 64, "0" * 63):
        with pytest.raises(InvalidInput):
            store.get(bad)


def test_put__names_that_leave_the_folder__refused(stored: tuple[ArtefactStore, str, Path]) -> None:
    store, _, _ = stored
    for name in ("../x", "/x", "a/b", "", ".hidden", MANIFEST, "A", "x" * 200):
        with pytest.raises(InvalidInput):
            store.put({name: b""})
    with pytest.raises(InvalidInput):
        store.put({})
