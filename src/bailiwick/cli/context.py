"""What every command gets from the root options."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from functools import cached_property

import typer

from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.settings import Settings, load_settings


@dataclass
class Flags:
    """The root options, and the platform they lead to (built when first asked for)."""

    home: str | None = None
    database_url: str | None = None
    json: bool = False

    @property
    def given(self) -> dict[str, str | None]:
        """The settings that the root flags name."""
        return {"home": self.home, "database_url": self.database_url}

    @cached_property
    def settings(self) -> Settings:
        """Settings with the root flags applied."""
        return load_settings(**self.given)

    @cached_property
    def platform(self) -> Platform:
        """Stores and services."""
        return Platform(self.settings)

    def actor(self, reason: str | None = None) -> Actor:
        """Who runs this command, for the audit trail."""
        return Actor(name=f"cli:{getpass.getuser()}", reason=reason)


def flags(ctx: typer.Context) -> Flags:
    """The root options of a command's context."""
    found: Flags = ctx.find_root().obj
    return found
