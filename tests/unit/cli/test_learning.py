from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from learning_examples import examples, write_csv
from typer.testing import CliRunner

from bailiwick.cli.main import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "bank.csv", examples(90))
    run("domain", "create", "bank", "--name", "Bank", "--activate")
    return tmp_path


def run(*words: str, expect: int = 0) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == expect, done.output
    return done.output


def run_json(*words: str) -> Any:
    return json.loads(run(*words, "--json"))


def test_commands__import_train_show_compare__work_in_order(home: Path) -> None:
    assert "bailiwick train bank --dataset bank" in run("dataset", "import", "bank.csv")
    assert "block_card" in run("dataset", "show", "bank", "--domain", "bank")
    assert "bank" in run("dataset", "list")
    report = run("train", "bank", "--dataset", "bank")
    for words in ("accuracy", "macro F1", "validation loss", "Weakest labels", "Confidence and truth"):
        assert words in report
    (version,) = run_json("model", "list", "--domain", "bank")
    tuned = run_json("train", "bank", "--dataset", "bank", "--from-version", version["id"], "--epochs", "2")
    assert tuned["run"]["start_version"] == version["id"]
    assert len(tuned["run"]["losses"]) == 2
    assert "Training curve" in run("model", "show", version["id"])
    assert "accuracy" in run("model", "evaluate", "bank")
    compared = run_json("model", "compare", "bank~1", "bank")
    assert (compared["first"], compared["second"]) == (version["id"], tuned["run"]["version"])
    assert "verdict" in run("model", "compare", "bank~1", "bank")
    for bad in ("bank~2", "bank~x", "bank~", "none", "bank~²"):
        run("model", "show", bad, expect=3)


def test_train_all__one_domain_cannot_be_trained__others_are_and_exit_is_2(home: Path) -> None:
    lines = (home / "bank.csv").read_text() + "just one,lonely,u,odd\n"
    (home / "mixed.csv").write_text(lines)
    run("dataset", "import", "mixed.csv")
    run("domain", "create", "odd", "--name", "Odd")
    run("train", "--all", "--dataset", "mixed", expect=2)
    assert [version["domain"] for version in run_json("model", "list")] == ["bank"]


def test_train__no_domain_or_both__says_which(home: Path) -> None:
    run("dataset", "import", "bank.csv")
    run("train", "--dataset", "bank", expect=2)
    run("train", "bank", "--all", "--dataset", "bank", expect=2)
    run("train", "bank", "--dataset", "bank", "--set", "hidden", expect=2)
    run("train", "bank", "--dataset", "none", expect=3)


def test_train__domain_that_nobody_created__exits_3(home: Path) -> None:
    write_csv(home / "loans.csv", examples(30), domain="loans")
    run("dataset", "import", "loans.csv")
    run("train", "loans", "--dataset", "loans", expect=3)


def test_from_graph__nothing_tagged__says_what_to_do(home: Path) -> None:
    assert "detect" in run("dataset", "from-graph", "bank", expect=2)
