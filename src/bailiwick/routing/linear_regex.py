r"""Regular expressions whose time is linear in the text, whatever the expression. Pure.

Python's ``re`` tries alternatives one after the other: ``(a+)+b`` takes seconds on thirty letters, and a rule is
matched on every request. Here all alternatives are followed at once: a nondeterministic automaton whose sets of states
become the states of a deterministic one as texts need them, so a character costs one look into a table.

Understood: literals, ``.``, classes ``[a-z]`` ``[^0-9]``, ``\d \w \s \D \W \S``, ``\b \B ^ $``, groups ``(...)`` and
``(?:...)``, ``|``, ``? * + {m} {m,} {m,n}``. Back references and lookaround, which no automaton can do, are refused.
Matching ignores case.

Source: Thompson, "Regular expression search algorithm", CACM 11(6), 1968; Cox, "Regular expression matching can be
simple and fast", 2007.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bailiwick.errors import InvalidInput

MAX_PATTERN = 300
MAX_STATES = 400
_MAX_REPEAT = 100
_MAX_CACHED = 4_000
_MAX_DEPTH = 40

_WORD, _OTHER, _EDGE = 0, 1, 2

Test = Callable[[str], bool]


@dataclass(slots=True)
class _State:
    """A test with one way on, or ways on without a test; ``assertion`` guards the latter.

    ``reads`` is what the test is for: one sign, or a class as it is written.
    """

    test: Test | None = None
    reads: str = ""
    ways: list[int] = field(default_factory=list)
    assertion: str = ""


class LinearPattern:
    r"""A compiled expression.

    >>> LinearPattern(r"order #?\d{3,}").search("where is Order 1234?")
    True
    >>> LinearPattern("(a+)+b").search("a" * 5_000)
    False

    Args:
        pattern: at most 300 characters, and at most 400 states once repetitions are written out.

    Raises:
        InvalidInput: it is no expression of the kind above, or too large.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._states, self._start, end = _Parser(pattern).parsed()
        self._final = 1 << end
        self._width = len(self._states) // 8 + 1
        self._literals: dict[str, int] = {}
        self._classes: dict[str, tuple[Test, int]] = {}
        for number, state in enumerate(self._states):
            if state.test is not None:
                self._reads(state.test, state.reads, 1 << number)
        self._reached: list[dict[int, int]] = [{} for _ in range(9)]
        self._forget()

    @property
    def size(self) -> int:
        """How many states it has: what one character may cost at most is in proportion to them."""
        return len(self._states)

    def search(self, text: str) -> bool:
        """Whether the expression matches anywhere in the text."""
        current = self._first
        for character in text.lower():
            table = self._next[current]
            following = table.get(character)
            current = self._stepped(current, character) if following is None else following
            if current == _MATCH:
                return True
        return self._ends(current)

    def _reads(self, test: Test, reads: str, bit: int) -> None:
        """Remember which states read what; those that read the same are asked once."""
        if len(reads) > 1:
            self._classes[reads] = test, self._classes.get(reads, (test, 0))[1] | bit
            return
        for sign in {reads, reads.lower()}:
            self._literals[sign] = self._literals.get(sign, 0) | bit

    def _forget(self) -> None:
        self._cached = 0
        self._next: list[dict[str, int]] = [{}]
        self._sets: list[tuple[int, int]] = [(0, _EDGE)]  # 0 stands for a match
        self._known: dict[tuple[int, int], int] = {}
        self._at_end: dict[int, bool] = {}
        self._accepted: dict[str, int] = {}
        self._first = self._number(1 << self._start, _EDGE)

    def _number(self, kernel: int, before: int) -> int:
        found = self._known.get((kernel, before))
        if found is None:
            found = self._known[(kernel, before)] = len(self._sets)
            self._sets.append((kernel, before))
            self._next.append({})
        return found

    def _stepped(self, current: int, character: str) -> int:
        kernel, before = self._sets[current]
        if self._cached >= _MAX_CACHED:
            self._forget()  # memory stays bounded; the text goes on from here
            current = self._number(kernel, before)
        self._cached += 1
        kind = _kind(character)
        closed = self._closure(kernel, before, kind)
        if closed & self._final:
            found = _MATCH
        else:  # what is read leads from a state to the next one, see `_Parser._single`
            found = self._number((closed & self._accepting(character)) << 1 | 1 << self._start, kind)
        self._next[current][character] = found
        return found

    def _ends(self, current: int) -> bool:
        found = self._at_end.get(current)
        if found is None:
            kernel, before = self._sets[current]
            found = self._at_end[current] = bool(self._closure(kernel, before, _EDGE) & self._final)
        return found

    def _accepting(self, character: str) -> int:
        """The states that read a character, as bits."""
        found = self._accepted.get(character)
        if found is None:
            found = self._literals.get(character, 0)
            for test, bits in self._classes.values():
                if test(character):
                    found |= bits
            self._accepted[character] = found
        return found

    def _closure(self, kernel: int, before: int, after: int) -> int:
        """Every state that is reached without reading, between two characters of these kinds; all as bits.

        Eight states are looked up at a time: texts that need a new set of states with every character must not be slow.
        """
        reached = self._reached[3 * before + after]
        closed = 0
        for place, eight in enumerate(kernel.to_bytes(self._width, "little")):
            if eight:
                found = reached.get(eight << 8 | place)
                if found is None:
                    found = reached[eight << 8 | place] = self._walked(eight, place, before, after)
                closed |= found
        return closed

    def _walked(self, eight: int, place: int, before: int, after: int) -> int:
        waiting = [8 * place + bit for bit in range(8) if eight >> bit & 1]
        seen = sum(1 << number for number in waiting)
        while waiting:
            state = self._states[waiting.pop()]
            if state.test is None and _holds(state.assertion, before, after):
                for way in state.ways:
                    if not seen >> way & 1:
                        seen |= 1 << way
                        waiting.append(way)
        return seen


_MATCH = 0


def _kind(character: str) -> int:
    return _WORD if character.isalnum() or character == "_" else _OTHER


def _holds(assertion: str, before: int, after: int) -> bool:
    if not assertion:
        return True
    if assertion == "^":
        return before == _EDGE
    if assertion == "$":
        return after == _EDGE
    return ((before == _WORD) != (after == _WORD)) is (assertion == "b")


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _not(test: Test) -> Test:
    return lambda character: not test(character)


_ESCAPES: dict[str, Test] = {"d": str.isdecimal, "w": _is_word, "s": str.isspace}
_ESCAPES |= {letter.upper(): _not(test) for letter, test in _ESCAPES.items()}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}

Part = tuple[int, int]  # first and last state


class _Parser:
    """Recursive descent over the expression; what it builds is bounded."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self._states: list[_State] = []

    def parsed(self) -> tuple[list[_State], int, int]:
        """States, the first and the last."""
        if not self._pattern or len(self._pattern) > MAX_PATTERN:
            raise self._wrong(f"needs 1 to {MAX_PATTERN} characters")
        first, last = self._choice()
        if self._at < len(self._pattern):
            raise self._wrong("closes a group that is not open")
        return self._states, first, last

    def _choice(self) -> Part:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._wrong(f"nests deeper than {_MAX_DEPTH} groups")
        ways = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            ways.append(self._sequence())
        self._depth -= 1
        if len(ways) == 1:
            return ways[0]
        first, last = self._new(), self._new()
        for start, end in ways:
            self._states[first].ways.append(start)
            self._states[end].ways.append(last)
        return first, last

    def _sequence(self) -> Part:
        first = last = self._new()
        while self._peek() not in ("", "|", ")"):
            start, end = self._repeated()
            self._states[last].ways.append(start)
            last = end
        return first, last

    def _repeated(self) -> Part:
        begins = self._at
        part = self._atom()
        ends = self._at
        count = self._count()
        if count is None:
            return part
        if self._peek() in ("?", "*", "+", "{") and self._peek():
            raise self._wrong("repeats a repetition")
        least, most = count
        return self._written_out(part, begins, ends, least, most)

    def _written_out(self, part: Part, begins: int, ends: int, least: int, most: int | None) -> Part:
        """``x{2,}`` as ``xx`` and a loop, ``x{1,3}`` as ``x(x(x)?)?``; each copy is parsed again."""
        copies = [part]
        resume = self._at
        while len(copies) < max(least, 1 if most is None else most):
            self._at = begins
            copies.append(self._atom())
        self._at = resume
        first = last = self._new()
        final = self._new()
        for number, (start, end) in enumerate(copies if most != 0 else []):
            if number >= least:
                self._states[last].ways.append(final)
            self._states[last].ways.append(start)
            last = end
        if most is None:
            self._states[last].ways.append(copies[-1][0])
            if least == 0:
                self._states[first].ways.append(final)
        self._states[last].ways.append(final)
        return first, final

    def _count(self) -> tuple[int, int | None] | None:
        sign = self._peek()
        simple: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}
        if sign in simple:
            self._at += 1
            return simple[sign]
        if sign != "{":
            return None
        close = self._pattern.find("}", self._at)
        low, comma, high = self._pattern[self._at + 1 : max(close, 0)].partition(",")
        if close < 0 or not (low.isdecimal() and low.isascii()) or (high and not (high.isdecimal() and high.isascii())):
            raise self._wrong("has a { that is no count", r"{2}, {2,} or {2,5}; write \{ for the sign itself")
        least, most = int(low), (int(high) if high else None) if comma else int(low)
        if max(least, most or 0) > _MAX_REPEAT or (most is not None and most < least):
            raise self._wrong(f"repeats {self._pattern[self._at : close + 1]}", f"rising counts up to {_MAX_REPEAT}")
        self._at = close + 1
        return least, most

    def _atom(self) -> Part:
        begins = self._at
        sign = self._peek()
        self._at += 1
        if sign == "(":
            return self._group()
        if sign == "[":
            test = self._bracket()
            return self._single(test, self._pattern[begins : self._at])
        if sign == ".":
            return self._single(lambda character: character != "\n", "any")
        if sign in ("^", "$"):
            return self._assertion(sign)
        if sign == "\\":
            escape = self._escape()
            if isinstance(escape, str):
                return self._assertion(escape)
            return self._single(escape, self._pattern[begins : self._at])
        if sign in ("*", "+", "?", "{"):
            raise self._wrong(f"repeats nothing with {sign!r}")
        return self._single(_same(sign), sign)

    def _group(self) -> Part:
        if self._peek() == "?":
            if self._pattern[self._at : self._at + 2] != "?:":
                raise self._wrong("uses a group that no automaton can follow", "(...) and (?:...)")
            self._at += 2
        part = self._choice()
        if self._peek() != ")":
            raise self._wrong("leaves a group open")
        self._at += 1
        return part

    def _escape(self) -> Test | str:
        letter = self._peek()
        self._at += 1
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter in ("b", "B"):
            return letter
        if letter in _CONTROLS:
            return _same(_CONTROLS[letter])
        if not letter or letter.isalnum():
            raise self._wrong(f"has an escape \\{letter} that is not understood", r"\d \w \s \D \W \S \b \B")
        return _same(letter)

    def _bracket(self) -> Test:
        negated = self._peek() == "^"
        self._at += negated
        tests: list[Test] = []
        singles: set[str] = set()
        while self._peek() != "]" or not (tests or singles):
            if not self._peek():
                raise self._wrong("leaves a class open")
            low = self._class_sign()
            if not isinstance(low, str):
                tests.append(low)
                continue
            if self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._class_sign()
                if not isinstance(high, str) or high < low:
                    raise self._wrong("has a range that does not rise")
                tests.append(_within(low, high))
            else:
                singles.update((low, *low.lower()))
        self._at += 1
        held, several = frozenset(singles), tuple(tests)
        return lambda character: (character in held or any(test(character) for test in several)) is not negated

    def _class_sign(self) -> Test | str:
        sign = self._peek()
        self._at += 1
        if sign != "\\":
            return sign
        letter = self._peek()
        self._at += 1
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if not letter or (letter.isalnum() and letter not in _CONTROLS):
            raise self._wrong(f"has an escape \\{letter} that is not understood in a class", r"\d \w \s")
        return _CONTROLS.get(letter, letter)

    def _single(self, test: Test, reads: str) -> Part:
        """One character; the state after it is the next in number, which `LinearPattern` relies on."""
        first, last = self._new(test, reads), self._new()
        self._states[first].ways.append(last)
        return first, last

    def _assertion(self, assertion: str) -> Part:
        first, last = self._new(), self._new()
        self._states[first].assertion = assertion
        self._states[first].ways.append(last)
        return first, last

    def _new(self, test: Test | None = None, reads: str = "") -> int:
        if len(self._states) >= MAX_STATES:
            raise self._wrong(f"needs more than {MAX_STATES} states", "fewer or smaller repetitions")
        self._states.append(_State(test, reads))
        return len(self._states) - 1

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _wrong(self, problem: str, allowed: str | None = None) -> InvalidInput:
        return InvalidInput(
            f"the pattern {self._pattern[:80]!r} {problem}",
            what="pattern",
            where=f"character {self._at + 1}",
            requested=self._pattern[:MAX_PATTERN],
            allowed=allowed,
            remedy="see the page on routing for what patterns may hold",
        )


def _same(sign: str) -> Test:
    lowered = sign.lower()
    return lambda character: character in (sign, lowered)


def _within(low: str, high: str) -> Test:
    def test(character: str) -> bool:
        return low <= character <= high or low <= character.upper()[:1] <= high

    return test
