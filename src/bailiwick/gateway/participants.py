"""Who asks, as experiments see it: units by kind, attributes by name. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from bailiwick.traffic.model import Scalar

_HEADER = "header:"
_MAX_UNIT = 512


class Participant(Protocol):
    """Whoever may take part in experiments."""

    def unit(self, kind: str) -> str | None:
        """The unit of a kind (see `ExperimentPlan.unit`), or None."""
        ...

    def attribute(self, name: str) -> Scalar | None:
        """What is known under a name in lower case, or None."""
        ...


class Asker:
    """The sender of a request for a model.

    Args:
        headers: of the request, names in lower case.
        user: the body's ``user``; the header ``x-user-id`` stands in.
        request_id: of the request.
        may_ask: the domains that the sender's key is for; None: all.
        client: the id of the sender's key; empty: it has none of ours.
    """

    __slots__ = ("_headers", "_request_id", "_user", "client", "may_ask")

    def __init__(
        self,
        headers: Mapping[bytes, bytes],
        user: str | None,
        request_id: str,
        may_ask: Callable[[str], bool] | None = None,
        client: str = "",
    ) -> None:
        self.may_ask = may_ask
        self.client = client
        self._headers = headers
        self._user = user
        self._request_id = request_id

    def unit(self, kind: str) -> str | None:
        """The user, the session of ``x-session-id``, the request, or the value of a header."""
        if kind == "user":
            return self._user or self._header("x-user-id")
        if kind == "session":
            return self._header("x-session-id")
        return self._request_id if kind == "request" else self._header(kind.removeprefix(_HEADER).lower())

    def attribute(self, name: str) -> Scalar | None:
        """``user``, ``session``, or a header."""
        if name in ("user", "session"):
            return self.unit(name)
        value = self._headers.get(name.encode("utf-8", "replace"))
        return None if value is None else value.decode("utf-8", "replace")

    def _header(self, name: str) -> str | None:
        value = self._headers.get(name.encode("ascii"))
        return value.decode("utf-8", "replace") if value and len(value) <= _MAX_UNIT else None


class Evaluated:
    """The subject of an OpenFeature evaluation.

    Args:
        targeting_key: stands for the user.
        context: the rest of the evaluation context; nested values are not attributes.
        request_id: of the evaluation.
    """

    __slots__ = ("_attributes", "_request_id", "_targeting_key")

    def __init__(self, targeting_key: str | None, context: Mapping[str, object], request_id: str) -> None:
        self._targeting_key = targeting_key
        self._request_id = request_id
        self._attributes: dict[str, Scalar] = {
            name.lower(): value for name, value in context.items() if isinstance(value, str | int | float)
        }

    def unit(self, kind: str) -> str | None:
        """The targeting key, the context's ``session`` or the attribute named like the header; the request."""
        if kind == "user":
            return self._targeting_key
        if kind == "request":
            return self._request_id
        value = self._attributes.get(kind.removeprefix(_HEADER).lower())
        return value if isinstance(value, str) and value and len(value) <= _MAX_UNIT else None

    def attribute(self, name: str) -> Scalar | None:
        """``user`` is the targeting key; anything else is looked up in the context."""
        return self._targeting_key if name == "user" else self._attributes.get(name)
