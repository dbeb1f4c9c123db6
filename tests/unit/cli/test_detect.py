from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from bailiwick.cli.main import app

DOMAINS = {
    "domains": {
        "cards": {"keywords": ["card", "pin"]},
        "loans": {"keywords": ["loan", "mortgage"]},
    }
}
ROWS = [
    f"{text} {extra},{label},{domain},u{number}"
    for number, extra in enumerate(["today", "please", "now", "again", "soon", "at last", "for me", "or not"] * 2)
    for text, label, domain in (
        ("my plastic was swallowed", "lost", "cards"),
        ("chip does not work", "broken", "cards"),
        ("repay the debt", "repay", "loans"),
        ("what interest", "rate", "loans"),
    )
]


def bailiwick(*words: str, code: int = 0, given: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(app, list(words), input=given)
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


@pytest.fixture(autouse=True)
def _domains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("domains.json").write_text(json.dumps(DOMAINS), "utf-8")
    bailiwick("domain", "import", "domains.json")


def test_detect__text__says_domain_and_why() -> None:
    assert "cards" in bailiwick("detect", "my card is lost").output
    explained = bailiwick("detect", "my card is lost", "--explain").output
    assert "keyword" in explained
    assert "0.73" in explained
    assert json.loads(bailiwick("detect", "bake bread", "--json").output) == {
        "domain": None,
        "score": 0.0,
        "method": "none",
        "ranking": [],
    }


def test_detect__file_with_bytes_that_are_no_text__one_answer_per_line() -> None:
    Path("lines.txt").write_bytes(b"my card\n\xff\xfe\x00\n\n a mortgage\n")
    found = json.loads(bailiwick("detect", "--file", "lines.txt", "--json").output)
    assert [each["domain"] for each in found] == ["cards", None, "loans"]
    piped = bailiwick("detect", "--file", "-", "--json", given="a loan\n")
    assert json.loads(piped.output)[0]["domain"] == "loans"


def test_detect__empty_graph__says_what_to_do() -> None:
    assert "bailiwick extract" in bailiwick("detect").output
    report = json.loads(bailiwick("detect", "--json").output)
    assert (report["nodes"], report["domains"]) == (0, [])


def test_detect__learn_from__then_finds_texts_without_keywords() -> None:
    Path("queries.csv").write_text("\n".join(["text,label,domain,customer", *ROWS]) + "\n", "utf-8")
    bailiwick("dataset", "import", "queries.csv", "--unit-column", "customer")
    assert "Learned from" in bailiwick("detect", "--learn-from", "queries").output
    assert "already" in bailiwick("detect", "--learn-from", "queries").output
    found = json.loads(bailiwick("detect", "the debt to repay", "--json").output)
    assert (found["domain"], found["method"]) == ("loans", "classifier")
    assert "Familiarity" in bailiwick("detect", "the debt to repay", "--explain").output


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["x", "--file", "lines.txt"], 2),
        (["--file", "absent.txt"], 2),
        (["--learn-from", "absent"], 3),
        (["--relearn"], 2),
        (["--asset", "core.absent"], 3),
        (["x", "--threshold", "7"], 2),
        (["x", "--domains-url", "file:///etc/passwd"], 2),
        (["x", "--domains-url", "http://127.0.0.1:1"], 8),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_detect__bad_arguments__exit_code_and_nothing_done(words: list[str], code: int) -> None:
    bailiwick("detect", *words, code=code)


def tagged(domain: str) -> set[str]:
    found = json.loads(bailiwick("graph", "find", "--domain", domain, "--json").output)
    return {each["qualified_name"] for each in found}


def test_detect__keyword_removed__its_tags_go_with_the_next_run() -> None:
    Path("bank").mkdir()
    Path("bank/a.sql").write_text("CREATE TABLE mortgage (x INT);\nCREATE TABLE card (y INT);\n")
    bailiwick("extract", "bank")
    bailiwick("detect")
    assert "bank.mortgage" in tagged("loans")
    bailiwick("domain", "update", "loans", "--remove-keyword", "mortgage")
    bailiwick("detect")
    assert tagged("loans") == set()
    assert "bank.card" in tagged("cards")


def test_detect__all_examples_removed__their_tags_go_with_the_next_run() -> None:
    Path("shop").mkdir()
    Path("shop/a.sql").write_text("CREATE TABLE returned (rectangle INT, swallowed INT, machine INT, monday INT);\n")
    for domain, words in (("cards", "rectangle swallowed machine"), ("loans", "house financing years")):
        texts = [f"{words} {extra}" for extra in ("monday", "again", "please", "today", "soon")]
        bailiwick("domain", "update", domain, *(word for text in texts for word in ("--example", text)))
    bailiwick("extract", "shop")
    bailiwick("detect")
    assert "shop.returned" in tagged("cards")
    for domain in ("cards", "loans"):
        bailiwick("domain", "update", domain, "--set", "examples=[]")
    bailiwick("detect")
    assert tagged("cards") == set()
