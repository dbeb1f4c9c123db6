"""What may be the name of a unit, a namespace, a lineage or a domain. Pure."""

from __future__ import annotations

from bailiwick.errors import InvalidInput


def named(value: str, name: str) -> None:
    """Refuse what cannot be a name: empty, too long, with a slash or what does not print.

    Args:
        value: the name.
        name: of the field, for the error.

    Raises:
        InvalidInput: it is none.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or "/" in value or not value.isprintable():
        raise InvalidInput(
            f"{name} {value!r} is no name",
            what=name,
            requested=repr(value)[:220],
            allowed="1 to 200 printable characters without a slash",
        )
