"""What people see of the demo."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bailiwick.cli.console import out, print_table, progress_bar
from bailiwick.cli.demo_stages import Tell


class Show:
    """Prints stages, findings and progress; silent when a program reads the report instead."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self._start = time.monotonic()
        self.stages: dict[str, float] = {}
        """When each stage began, in seconds since the demo did."""

    def stage(self, title: str) -> None:
        """Begin a stage."""
        self.stages[title] = round(self.seconds, 1)
        if not self.quiet:
            out.print(f"\n[bold cyan]{len(self.stages)}. {title}[/]  [dim]{self.seconds:.0f} s[/]")

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._start

    def say(self, text: str, *, whole: bool = False) -> None:
        """A paragraph of rich markup, or with ``whole`` a line that is not wrapped, so that it can be copied."""
        if not self.quiet:
            out.print(text, soft_wrap=whole)

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, whole: Sequence[str] = ()
    ) -> None:
        """A table; see `print_table`."""
        if not self.quiet:
            print_table(title, columns, rows, whole=whole)

    @contextmanager
    def progress(self) -> Iterator[Tell]:
        """A bar on standard error, driven by the given function."""
        with progress_bar() as bar:
            task = bar.add_task("", total=None)
            yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total)
