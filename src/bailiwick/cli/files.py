"""Files that commands write."""

from __future__ import annotations

import os
from pathlib import Path

from bailiwick.errors import InvalidInput


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it.

    Raises:
        InvalidInput: it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise InvalidInput(f"the file cannot be written: {error.strerror}", what="--output", where=str(path)) from error
