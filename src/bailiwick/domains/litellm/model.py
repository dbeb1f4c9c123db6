"""The nouns: an entry of ``model_list``, a note, a conversion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is not carried over as it was.

    Args:
        where: the setting, such as ``router_settings.timeout``.
        says: what becomes of it, and what to do.
    """

    where: str
    says: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One deployment that can be carried over.

    Args:
        group: its ``model_name``.
        where: its place in the file.
        address: of the upstream, with its ``/v1``.
        model: the upstream's name of it.
        shares: ``weight``, ``rpm`` and ``tpm``, where given.
        generation: defaults for requests that do not say.
    """

    group: str
    where: str
    address: str
    model: str
    api_key_env: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    timeout_s: float | None = None
    retries: int | None = None
    generation: Mapping[str, float] = field(default_factory=dict)

    @property
    def served(self) -> tuple[str, str | None]:
        """What replicas of one domain have in common: the model's name and the key's variable."""
        return self.model, self.api_key_env


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a configuration comes to.

    Args:
        document: of domains, as `bailiwick domain import` takes it.
        notes: what is not carried over as it was, in the order of the file.
        commands: that do what no document says.
    """

    document: Mapping[str, Any]
    notes: Sequence[Note]
    commands: Sequence[str]
