"""The questions whose answers are kept, by everything but their wording; and the most alike of them. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bailiwick.caching.similarity import Floats, Similarity

MOST = 1_000
"""Questions of one context that are compared at most; beyond it each new one takes the place of another. It bounds the
time of a look-up."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, apart from its context.

    Args:
        context: digest of everything that must be equal: all that an answer's key holds but the last question's words,
            and of these what `lexical.gate_of` finds.
        vector: of the question's text.
    """

    context: bytes
    vector: Floats = field(repr=False)


class _Context:
    __slots__ = ("keys", "rows")

    def __init__(self, width: int) -> None:
        self.keys: list[bytes] = []
        self.rows = np.empty((4, width), np.float32)

    def add(self, key: bytes, vector: Floats) -> None:
        if len(self.keys) == len(self.rows):
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)])
        self.rows[len(self.keys)] = vector
        self.keys.append(key)

    def drop(self, position: int) -> None:
        """The last question takes the place of the one that leaves."""
        last = len(self.keys) - 1
        self.rows[position] = self.rows[last]
        self.keys[position] = self.keys[last]
        self.keys.pop()


class Neighbours:
    """Keys of kept answers by context and question."""

    def __init__(self, similarity: Similarity) -> None:
        self._similarity = similarity
        self._contexts: dict[bytes, _Context] = {}
        self._context_of: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._context_of)

    def add(self, question: Question, key: bytes) -> None:
        """Remember that the answer to a question is kept under a key."""
        self.forget(key)
        context = self._contexts.get(question.context)
        if context is None:
            context = self._contexts[question.context] = _Context(len(question.vector))
        if len(context.keys) >= MOST:
            self._context_of.pop(context.keys[0], None)
            context.drop(0)
        context.add(key, question.vector)
        self._context_of[key] = question.context

    def forget(self, key: bytes) -> None:
        """The answer under a key is kept no longer."""
        name = self._context_of.pop(key, None)
        if name is None:
            return
        context = self._contexts[name]
        context.drop(context.keys.index(key))
        if not context.keys:
            del self._contexts[name]

    def nearest(self, question: Question, threshold: float) -> tuple[bytes, float] | None:
        """The key of the most alike question of the same context with its likeness; None below the threshold."""
        context = self._contexts.get(question.context)
        if context is None:
            return None
        alike = self._similarity.alike(context.rows[: len(context.keys)], question.vector)
        best = int(alike.argmax())
        found = float(alike[best])
        return (context.keys[best], found) if found >= threshold else None
