from __future__ import annotations

from typing import Any

import pytest

from bailiwick.errors import InvalidInput
from bailiwick.routing.rules import MAX_PATTERNS, MAX_RULES, RuleBook, parse_rules, parse_rules_text, rule_document


def book(*rules: dict[str, Any]) -> RuleBook:
    return RuleBook(parse_rules(list(rules)))


def rule(name: str, domain: str = "cards", **more: Any) -> dict[str, Any]:
    return {"name": name, "domain": domain, **more}


def matched(made: RuleBook, text: str, **attributes: str) -> str | None:
    found = made.match(text, {name.replace("_", "-"): value for name, value in attributes.items()}.get)
    return None if found is None else found.name


def test_match__several_hold__highest_priority_then_first_name() -> None:
    made = book(rule("b", keywords=["fee"]), rule("a", keywords=["fee"]), rule("z", keywords=["fee"], priority=3))
    assert matched(made, "what fee") == "z"
    assert [each.name for each in made.matches("fee", {}.get)] == ["z", "a", "b"]


def test_match__keywords__whole_words_and_plurals() -> None:
    made = book(rule("a", keywords=["lost card"]))
    assert matched(made, "I LOST CARDS") == "a"
    assert matched(made, "almost cardigan") is None


def test_match__everything_asked_for__must_hold() -> None:
    made = book(
        rule("a", keywords=["order"], pattern="#[0-9]{3}", where=[{"attribute": "X-Team", "values": ["risk", "ops"]}])
    )
    assert matched(made, "order #123", x_team="ops") == "a"
    assert matched(made, "order #123", x_team="shop") is None
    assert matched(made, "order #123") is None
    assert matched(made, "order #12", x_team="ops") is None
    assert matched(made, "#123", x_team="ops") is None


def test_match__text_beyond_what_is_read__has_no_say() -> None:
    assert matched(book(rule("a", pattern="end$")), "x" * 5_000 + "end") is None


def test_document__round_trip() -> None:
    rules = parse_rules(
        [rule("a", priority=2, keywords=["x"], pattern="y", where=[{"attribute": "z", "operator": "present"}])]
    )
    assert parse_rules([rule_document(each) for each in rules]) == rules


def test_toml__rules_and_unknown_tables() -> None:
    assert parse_rules_text('[[rule]]\nname = "a"\ndomain = "cards"\nkeywords = ["x"]', "f")[0].name == "a"
    assert parse_rules_text("", "f") == ()
    for text in ("rule = 3", "[[rules]]", "= nonsense", '[[rule]]\nname = "a"\ndomain = "b"\nkeyword = ["x"]'):
        with pytest.raises(InvalidInput) as refused:
            parse_rules_text(text, "rules.toml")
        assert "rules.toml" in str(refused.value.where)


@pytest.mark.parametrize(
    "documents",
    [
        "rules",
        [3],
        [rule("a")],
        [rule("A B", keywords=["x"])],
        [rule("a", domain="?", keywords=["x"])],
        [rule("a", keywords="x")],
        [rule("a", keywords=["..."])],
        [rule("a", keywords=[""])],
        [rule("a", pattern=3)],
        [rule("a", pattern="(")],
        [rule("a", keywords=["x"], priority="high")],
        [rule("a", keywords=["x"], priority=float("nan"))],
        [rule("a", where=[{"attribute": "x", "operator": "like", "values": ["y"]}])],
        [rule("a", where=[{"attribute": "x", "values": []}])],
        [rule("a", where=[{"attribute": "x", "values": [float("nan")]}])],
        [rule("a", priority=1.5, keywords=["y"])],
        [rule("a", where=[{"attribute": "x", "values": [["y"]]}])],
        [rule("a", where=[{"values": ["y"]}])],
        [rule("a", where={"attribute": "x"})],
        [rule("a", keywords=["x"]), rule("a", keywords=["y"])],
        [rule(f"r{n}", keywords=["x"]) for n in range(MAX_RULES + 1)],
        [rule(f"r{n}", pattern="x") for n in range(MAX_PATTERNS + 1)],
    ],
)
def test_parse__malformed__is_refused(documents: Any) -> None:
    with pytest.raises(InvalidInput):
        parse_rules(documents)


def test_rules__patterns_that_are_dear_together__are_refused_with_what_would_do() -> None:
    dear = [{"name": f"r{number}", "domain": "cards", "pattern": "(a|b)*a[ab]{90}c"} for number in range(12)]
    assert len(parse_rules(dear[:10])) == 10
    with pytest.raises(InvalidInput) as refused:
        parse_rules(dear)
    assert (refused.value.what, refused.value.requested) == ("pattern", 12 * 197)
    assert refused.value.remedy


def test_rules__a_pattern_that_is_none__names_file_rule_and_character() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_rules_text('[[rule]]\nname = "x"\ndomain = "cards"\npattern = "(a"\n', "rules.toml")
    assert refused.value.where == "rules.toml: rule 1, 'x': character 3"
