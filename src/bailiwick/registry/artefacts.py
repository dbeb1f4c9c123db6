"""Artefacts as folders named by their sha256: written whole or not at all, verified on every read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bailiwick.errors import Conflict, InvalidInput, NotFound

MANIFEST = "manifest.json"
MAX_FILES = 64
MAX_ARTEFACT_BYTES = 4 * 1024 * 1024 * 1024
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_MANIFEST_BYTES = 64 * 1024
_ATTEMPTS = 5


def manifest_of(files: Mapping[str, bytes]) -> bytes:
    """Names, sizes and sha256 of the files, sorted; its own sha256 is the artefact's."""
    listed = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    return json.dumps(listed, sort_keys=True, separators=(",", ":")).encode()


class ArtefactStore:
    """A folder of artefacts.

    Args:
        folder: created when the first artefact is put.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, files: Mapping[str, bytes]) -> tuple[str, int]:
        """Store an artefact; one that is there already is left as it is, unless it is damaged, then it is replaced.

        Returns:
            Its sha256 and its size in bytes.

        Raises:
            InvalidInput: no file, too many, or a name that is not a plain lower-case file name.
        """
        if not 0 < len(files) <= MAX_FILES:
            raise InvalidInput(f"an artefact of {len(files)} files", what="files", allowed=f"1 to {MAX_FILES}")
        for name in files:
            if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
                raise InvalidInput(f"{name!r} cannot name a file of an artefact", what="files", requested=name)
        manifest = manifest_of(files)
        sha256 = hashlib.sha256(manifest).hexdigest()
        size = sum(map(len, files.values()))
        if self._is_whole(sha256):
            return sha256, size
        self._path(sha256).parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=self._folder, prefix=".draft-"))
        try:
            for name, content in {**files, MANIFEST: manifest}.items():
                _write_durably(draft / name, content)
            self._move_into_place(draft, sha256)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return sha256, size

    def get(self, sha256: str) -> dict[str, bytes]:
        """The files of an artefact, every one verified.

        Raises:
            NotFound: there is none with that hash.
            Conflict: what is stored is not what was put: a file was changed, added, removed or cut.
            InvalidInput: the hash is none.
        """
        folder = self._path(sha256)
        if not folder.is_dir():
            raise NotFound(
                f"the artefact {sha256[:12]} is not in {str(self._folder)!r}",
                what="artefact",
                requested=sha256,
                remedy="train the version again, or copy the folder from where it was trained",
            )
        manifest = _read(folder / MANIFEST, _MAX_MANIFEST_BYTES, sha256)
        if hashlib.sha256(manifest).hexdigest() != sha256:
            raise _damaged(sha256, MANIFEST, "was changed")
        listed: dict[str, dict[str, Any]] = json.loads(manifest)
        there = _names_in(folder, sha256) - {MANIFEST}
        if there != set(listed):
            raise _damaged(sha256, sorted(there ^ set(listed))[0], "was added or removed")
        files = {}
        for name, expected in listed.items():
            content = _read(folder / name, expected["bytes"], sha256)
            if hashlib.sha256(content).hexdigest() != expected["sha256"]:
                raise _damaged(sha256, name, "was changed")
            files[name] = content
        return files

    def _move_into_place(self, draft: Path, sha256: str) -> None:
        """Rename the whole folder. Losing the race to an equal one is fine; a damaged one is set aside first."""
        target = self._path(sha256)
        for attempt in range(_ATTEMPTS):
            try:
                draft.rename(target)
                return
            except OSError:
                if self._is_whole(sha256):
                    return
            aside = self._folder / f"{draft.name}-old-{attempt}"
            with suppress(OSError):  # somebody else may have set it aside
                target.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        raise Conflict(f"the artefact {sha256[:12]} cannot be put in its place", what="artefact", where=str(target))

    def _is_whole(self, sha256: str) -> bool:
        try:
            self.get(sha256)
        except (NotFound, Conflict):
            return False
        return True

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise InvalidInput(f"{sha256!r} is not a sha256", what="artefact", requested=sha256)
        return self._folder / sha256[:2] / sha256


def _read(path: Path, most: int, sha256: str) -> bytes:
    try:
        if path.is_symlink() or not path.is_file():
            raise _damaged(sha256, path.name, "is missing")
        if path.stat().st_size > min(most, MAX_ARTEFACT_BYTES):
            raise _damaged(sha256, path.name, "has grown")
        return path.read_bytes()
    except OSError as error:
        raise _damaged(sha256, path.name, f"cannot be read ({error.strerror})") from error


def _names_in(folder: Path, sha256: str) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError as error:
        raise _damaged(sha256, folder.name[:12], f"cannot be read ({error.strerror})") from error


def _damaged(sha256: str, name: str, how: str) -> Conflict:
    return Conflict(
        f"the artefact {sha256[:12]} is damaged: {name!r} {how}",
        what="artefact",
        where=name,
        requested=sha256,
        remedy="restore it, or train the version again",
    )


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
