"""Rules of an installation: words, patterns and attributes that send a query to a domain before anything else. Pure.

A rule holds when everything that it asks for holds. The rule with the highest priority decides; among equals the one
whose name comes first. All words of all rules are looked for in one pass; patterns run in linear time.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ahocorasick

from bailiwick.detection.words import matchable, phrases
from bailiwick.errors import InvalidInput
from bailiwick.routing.checks import known_keys, name_of, texts_of, whole_of
from bailiwick.routing.linear_regex import LinearPattern
from bailiwick.traffic.conditions import Attributes, Check, compile_condition
from bailiwick.traffic.model import Condition, Operator

MAX_RULES = 1_000
MAX_PATTERNS = 50
MAX_STATES = 2_000
"""Of all patterns together: each character of a query may cost something for each of them."""

MAX_WORDS = 100
READ_CHARACTERS = 2_000
"""A rule looks at so much of a query: its time is linear in it, and must stay bounded."""

_KEYS = ("name", "domain", "priority", "keywords", "pattern", "where")
_CONDITION_KEYS = ("attribute", "operator", "values")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Args:
        name: unique, shown in explanations and logs.
        domain: that answers.
        priority: higher ones are looked at first.
        keywords: one of them must be in the query, as whole words.
        pattern: must be found in the query; see `linear_regex`.
        conditions: of headers, the body's ``metadata``, ``user``, ``session`` and ``operation``; all must hold.
    """

    name: str
    domain: str
    priority: int = 0
    keywords: tuple[str, ...] = ()
    pattern: str | None = None
    conditions: tuple[Condition, ...] = ()


class RuleBook:
    """Rules, compiled. Immutable but for the tables of patterns; to be used by one thread.

    >>> book = RuleBook([Rule("orders", "shop", pattern="#[0-9]+"), Rule("refunds", "pay", 9, ("refund",))])
    >>> book.match("Refund order #12", {}.get).name, book.match("order #12", {}.get).name, book.match("hi", {}.get)
    ('refunds', 'orders', None)

    Args:
        rules: in any order.

    Raises:
        InvalidInput: a pattern or condition is malformed.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: (-rule.priority, rule.name)))
        self._patterns = [LinearPattern(rule.pattern) if rule.pattern else None for rule in self.rules]
        self._checks: list[list[Check]] = [[compile_condition(each) for each in rule.conditions] for rule in self.rules]
        self._automaton = ahocorasick.Automaton()
        by_word: dict[str, set[int]] = {}
        for number, rule in enumerate(self.rules):
            for keyword in rule.keywords:
                for phrase in phrases(keyword):
                    by_word.setdefault(phrase, set()).add(number)
        for word, numbers in by_word.items():
            self._automaton.add_word(f" {word} ", tuple(numbers))
        self._has_words = bool(by_word)
        self._wordless = [number for number, rule in enumerate(self.rules) if not rule.keywords]
        if by_word:
            self._automaton.make_automaton()

    @property
    def states(self) -> int:
        """Of all patterns together; see `MAX_STATES`."""
        return sum(pattern.size for pattern in self._patterns if pattern is not None)

    def match(self, text: str, attributes: Attributes) -> Rule | None:
        """The rule that decides, or None.

        Args:
            text: the query.
            attributes: by name in lower case, such as ``x-team``, ``metadata.team``, ``user``, ``operation``.
        """
        return next(iter(self.matches(text, attributes, most=1)), None)

    def matches(self, text: str, attributes: Attributes, most: int = 20) -> list[Rule]:
        """The rules that hold, first the one that decides."""
        read = text[:READ_CHARACTERS]
        spoken: set[int] = set()
        if self._has_words:
            for _, numbers in self._automaton.iter(matchable(read)):
                spoken.update(numbers)
        found = []
        for number in sorted(spoken.union(self._wordless)):
            rule = self.rules[number]
            if self._holds(number, read, attributes):
                found.append(rule)
                if len(found) >= most:
                    break
        return found

    def _holds(self, number: int, text: str, attributes: Attributes) -> bool:
        if not all(check(attributes) for check in self._checks[number]):
            return False
        pattern = self._patterns[number]
        return pattern is None or pattern.search(text)


def parse_rules_text(text: str, where: str) -> tuple[Rule, ...]:
    """Rules from a TOML document with ``[[rule]]`` tables.

    Raises:
        InvalidInput: it is no TOML, or as `parse_rules` says.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"the rules are not TOML: {error}", what="rules", where=where) from error
    known_keys(document, ("rule",), where)
    return parse_rules(document.get("rule", []), where)


def parse_rules(documents: Any, where: str = "rules") -> tuple[Rule, ...]:
    """Rules from plain documents, all checked: two of one name, or one that asks for nothing, are refused.

    Raises:
        InvalidInput: naming the rule and the field at fault.
    """
    if not isinstance(documents, list) or len(documents) > MAX_RULES:
        raise InvalidInput(f"rules must be a list of at most {MAX_RULES}", what="rules", where=where)
    rules = tuple(_rule(each, f"{where}: rule {number + 1}") for number, each in enumerate(documents))
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(f"two rules are called {twice!r}", what="name", where=where, remedy="give each its own name")
    if sum(rule.pattern is not None for rule in rules) > MAX_PATTERNS:
        raise InvalidInput(
            f"more than {MAX_PATTERNS} rules hold a pattern", what="pattern", where=where, remedy="join them with |"
        )
    states = RuleBook(rules).states
    if states > MAX_STATES:
        raise InvalidInput(
            f"the patterns of all rules need {states:,} states together",
            what="pattern",
            where=where,
            requested=states,
            allowed=f"at most {MAX_STATES:,}",
            remedy="repeat less ({2,100} is written out a hundred times), or say it with keywords",
        )
    return rules


def rule_document(rule: Rule) -> dict[str, Any]:
    """A rule for JSON; `parse_rules` reads it."""
    found: dict[str, Any] = {"name": rule.name, "domain": rule.domain, "priority": rule.priority}
    if rule.keywords:
        found["keywords"] = list(rule.keywords)
    if rule.pattern:
        found["pattern"] = rule.pattern
    if rule.conditions:
        found["where"] = [
            {"attribute": each.attribute, "operator": each.operator.value, "values": list(each.values)}
            for each in rule.conditions
        ]
    return found


def _rule(document: Any, where: str) -> Rule:
    if not isinstance(document, dict):
        raise InvalidInput("a rule must be a table", what="rule", where=where)
    known_keys(document, _KEYS, where)
    rule = Rule(
        name=name_of(document, "name", where),
        domain=name_of(document, "domain", where),
        priority=whole_of(document, "priority", 0, -1_000_000, 1_000_000, where),
        keywords=texts_of(document, "keywords", MAX_WORDS, where),
        pattern=document.get("pattern"),
        conditions=tuple(_condition(each, where) for each in _conditions(document, where)),
    )
    if rule.pattern is not None and not isinstance(rule.pattern, str):
        raise InvalidInput("a pattern must be a text", what="pattern", where=where)
    if rule.pattern:
        _check_pattern(rule.pattern, f"{where}, {rule.name!r}")
    if not (rule.keywords or rule.pattern or rule.conditions):
        raise InvalidInput(
            f"the rule {rule.name!r} asks for nothing and would take every query",
            what="rule",
            where=where,
            remedy="give it keywords, a pattern or conditions; for all queries set a default domain",
        )
    wordless = next((word for word in rule.keywords if not phrases(word)), None)
    if wordless is not None:
        raise InvalidInput(f"the keyword {wordless!r} holds no word", what="keywords", where=where)
    return rule


def _check_pattern(pattern: str, where: str) -> None:
    try:
        LinearPattern(pattern)
    except InvalidInput as error:
        error.where = f"{where}: {error.where}"
        raise


def _conditions(document: Mapping[str, Any], where: str) -> list[Any]:
    found = document.get("where", [])
    if not isinstance(found, list) or len(found) > MAX_WORDS:
        raise InvalidInput("where must be a list of conditions", what="where", where=where)
    return found


def _condition(document: Any, where: str) -> Condition:
    if not isinstance(document, dict):
        raise InvalidInput("a condition must be a table", what="where", where=where)
    known_keys(document, _CONDITION_KEYS, where)
    operators = [each.value for each in Operator]
    operator = document.get("operator", "in")
    if operator not in operators:
        raise InvalidInput(
            f"{operator!r} is no operator", what="operator", where=where, requested=str(operator), allowed=operators
        )
    values = document.get("values", [])
    finite = isinstance(values, list) and all(
        isinstance(each, str | int) or (isinstance(each, float) and math.isfinite(each)) for each in values
    )
    if not finite:
        raise InvalidInput("values must be a list of texts or finite numbers", what="values", where=where)
    attribute = document.get("attribute")
    if not isinstance(attribute, str) or not 0 < len(attribute) <= 200:
        raise InvalidInput("a condition must name an attribute", what="attribute", where=where)
    return Condition(attribute, Operator(operator), tuple(values))
