"""`bailiwick` command lines, each in a process of its own.

`run_apart` starts an interpreter for every command, as a shell would. `run_forked` forks it from a server process that
has imported the packages already: the same entry point, a fresh process and a real exit code, without a second of
imports each time. The server is the one of `multiprocessing`; it has no threads of its own to be caught in a fork.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SOURCE = Path(__file__).resolve().parents[1] / "src"
_ENVIRONMENT = {"PYTHONPATH": str(_SOURCE), "BAILIWICK_PORT": "0"}
_LIMIT_S = 240
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)

# What commands import when they run. Nothing of it starts a thread or opens a file when it is imported.
_PRELOADED = ["bailiwick.cli.main", "bailiwick.platform", "alembic.command", "scipy.optimize", "scipy.special"]


_EXPORT = re.compile(r"export (\w+)=(\S+)$")


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    exit_code: int | None
    output: str
    errors: str


Run = Callable[[str, Path, Mapping[str, str]], Done]
StandIn = Callable[[str, str], dict[str, str]]


def _as_shown(name: str, value: str) -> dict[str, str]:
    return {name: value}


def shown(page: Path) -> list[str]:
    """The lines of a page that begin with ``$ bailiwick`` or ``$ export``, in order."""
    lines = [line for block in _BLOCK.findall(page.read_text("utf-8")) for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith(("$ bailiwick ", "$ export "))]


def check(lines: Sequence[str], folder: Path, run: Run, stand_in: StandIn = _as_shown) -> None:
    """Run commands in order; each must exit with 0, or as its comment ``# exits with N`` says.

    Args:
        lines: commands, and ``export NAME=VALUE``, which holds for the commands after it.
        folder: where they run.
        run: runs one command.
        stand_in: the variables that are set in place of an exported one.
    """
    exported: dict[str, str] = {}
    for line in lines:
        if named := _EXPORT.match(line):
            exported |= stand_in(named[1], named[2])
            continue
        expected = re.search(r"# exits with (\d+)", line)
        done = run(line, folder, exported)
        assert done.exit_code == int(expected[1] if expected else 0), f"{line}\n{done.output}\n{done.errors}"
        assert "Traceback" not in done.errors, f"{line}\n{done.errors}"


def run_apart(line: str, folder: Path, exported: Mapping[str, str]) -> Done:
    """Run ``bailiwick ...`` in a folder, in an interpreter of its own."""
    words = [sys.executable, "-m", "bailiwick", *_words(line)]
    environment = {**os.environ, **_ENVIRONMENT, **exported}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def run_forked(line: str, folder: Path, exported: Mapping[str, str]) -> Done:
    """Run ``bailiwick ...`` in a folder, in a process forked from one that has imported what it needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    output, errors = folder / ".stdout", folder / ".stderr"
    variables = {**_ENVIRONMENT, **exported}
    process = context.Process(target=_command, args=(_words(line), str(folder), str(output), str(errors), variables))
    process.start()
    process.join(_LIMIT_S)
    if process.is_alive():
        process.kill()
        process.join()
    return Done(process.exitcode, output.read_text("utf-8"), errors.read_text("utf-8"))


def _words(line: str) -> list[str]:
    return shlex.split(line, comments=True)[1:]


def _command(words: list[str], folder: str, output: str, errors: str, variables: dict[str, str]) -> None:
    for descriptor, path in ((1, output), (2, errors)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(folder)
    os.environ.update(variables)
    from bailiwick.cli.main import run

    sys.argv = ["bailiwick", *words]
    run()
