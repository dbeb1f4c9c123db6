"""The error tree. Every error says what was wrong with which input, and what to do about it.

Raising one of these means that nothing was changed. HTTP statuses and exit codes are mapped in the faces, once.
"""

from __future__ import annotations

from typing import Any


class BailiwickError(Exception):
    """Base of every error that Bailiwick raises on purpose.

    Args:
        message: what went wrong, quoting the offending value with ``!r``.
        what: the name of the input, field or resource at fault.
        where: the place of it: a file with its line, a request path, a setting.
        requested: the value that was asked for.
        allowed: what would have been accepted.
        remedy: what the reader should do next.
    """

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        what: str | None = None,
        where: str | None = None,
        requested: Any = None,
        allowed: Any = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.what = what
        self.where = where
        self.requested = requested
        self.allowed = allowed
        self.remedy = remedy

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.message}{place}{remedy}"

    def fields(self) -> dict[str, Any]:
        """The parts that are set, ready for JSON: code, message, what, where, requested, allowed, remedy."""
        named = {
            "code": self.code,
            "message": self.message,
            "what": self.what,
            "where": self.where,
            "requested": self.requested,
            "allowed": self.allowed,
            "remedy": self.remedy,
        }
        return {key: value for key, value in named.items() if value is not None}


class InvalidInput(BailiwickError):
    """A file, request, configuration or argument that cannot be accepted as it is."""

    code = "invalid_input"


class NotFound(BailiwickError):
    """The named thing does not exist."""

    code = "not_found"


class Conflict(BailiwickError):
    """The thing exists, but its present state forbids the change, or somebody else changed it first."""

    code = "conflict"


class PolicyDenied(BailiwickError):
    """A rule of the house forbids the action for this actor or in this state."""

    code = "policy_denied"


class BudgetExhausted(BailiwickError):
    """A budget does not hold what was requested of it. The refusal itself costs nothing.

    Args:
        message: as for every error.
        spent: what is gone for good.
        held: what running work has reserved.
        remaining: what a request may take.
        rest: what every error takes.
    """

    code = "budget_exhausted"

    def __init__(
        self, message: str, *, spent: Any = None, held: Any = None, remaining: Any = None, **rest: Any
    ) -> None:
        super().__init__(message, **rest)
        self.spent = spent
        self.held = held
        self.remaining = remaining

    def fields(self) -> dict[str, Any]:
        """As for every error, with spent, held and remaining."""
        own = {"spent": self.spent, "held": self.held, "remaining": self.remaining}
        return {**super().fields(), **{key: value for key, value in own.items() if value is not None}}


class GateFailed(BailiwickError):
    """The measured numbers do not allow the deployment."""

    code = "gate_failed"


class Unavailable(BailiwickError):
    """A database, upstream or optional package that is needed cannot be reached."""

    code = "unavailable"
