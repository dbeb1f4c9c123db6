"""Who is one and the same person, and who may approve what. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from bailiwick.errors import PolicyDenied

_FACES = ("cli:", "api:")
_NOBODY = {"", "anonymous", "server", "controller"}


def person(actor: str) -> str:
    """The person behind an actor's name, whichever face they came through.

    >>> person("cli:Ada") == person("api:ada ")
    True
    """
    name = actor
    for face in _FACES:
        if name.startswith(face):
            name = name[len(face) :]
            break
    return unicodedata.normalize("NFKC", name).strip().casefold()


def require_another(approver: str, authors: Iterable[str], what: str) -> None:
    """Four eyes: whoever asked for a deployment or began a rollout, or made its version, cannot approve it.

    Args:
        approver: by name.
        authors: who asked or made it, by name.
        what: id of the deployment or rollout.

    Raises:
        PolicyDenied: the approver is one of the authors, or nobody.
    """
    who = person(approver)
    if who in _NOBODY:
        raise PolicyDenied(
            f"{approver!r} cannot approve: an approval needs a person's name",
            what="actor",
            requested=approver,
            where=what,
            remedy="say who you are: the X-Actor header, or your login on the command line",
        )
    if who in {person(author) for author in authors}:
        raise PolicyDenied(
            f"{approver!r} cannot approve {what!r}: who asked for it, or trained the version, may not",
            what="actor",
            requested=approver,
            where=what,
            remedy="ask somebody else",
        )
