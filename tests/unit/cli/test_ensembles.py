from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from learning_examples import examples, write_csv
from typer.testing import CliRunner

from bailiwick.cli.main import app


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_csv(folder / "bank.csv", examples(400))
        run("domain", "create", "bank", "--name", "Bank", "--activate")
        run("dataset", "import", "bank.csv")
        for seed in ("1", "2"):
            run("train", "bank", "--dataset", "bank", "--seed", seed, "--epochs", "2")
        yield folder


def run(*words: str, expect: int = 0) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == expect, done.output
    return done.output


def run_json(*words: str) -> Any:
    return json.loads(run(*words, "--json"))


def test_ensemble__create_fit_show_evaluate_explain_deploy__work_in_order(home: Path) -> None:
    assert "None yet" in run("ensemble", "list")
    made = run("ensemble", "create", "bank", "--member", "bank~1,bank~0")
    assert "bailiwick ensemble evaluate" in made
    report = run("ensemble", "evaluate", "bank")
    for words in ("members asked per text", "Against its members", "(best on held-out)"):
        assert words in report
    costs = ("--cost", "bank~2=1", "--cost", "bank~1=10")
    pair = ("--member", "bank~2", "--member", "bank~1", "--dataset", "bank")
    fitted = run_json("ensemble", "fit", "bank", "--strategy", "cascade", *pair, *costs, "--max-loss", "0.3")
    members = fitted["spec"]["members"]
    assert [member["cost"] for member in members] == [1, 10]
    assert members[0]["threshold"] is not None and members[1]["threshold"] is None
    assert "threshold" in run("ensemble", "show", "bank")
    explained = run_json("ensemble", "explain", "bank", "block my stolen card")
    assert explained["label"] == "block_card"
    assert "Who decided" in run("ensemble", "evaluate", "bank")
    assert len(run_json("ensemble", "list", "--domain", "bank")) == 2
    assert "Deployed" in run("deploy", "bank")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("create", "bank", "--member", "bank"), 2),
        (("create", "bank", "--member", "nobody~1"), 3),
        (("create", "bank", "--member", "bank~0", "--strategy", "stacking"), 2),
        (("create", "bank", "--member", "bank~0", "--cost", "bank~1=2"), 2),
        (("create", "bank", "--member", "bank~0", "--cost", "bank~0=cheap"), 2),
        (("create", "bank", "--member", "bank~0", "--quorum", "2"), 2),
        (("create", "bank", "--member", "bank~0", "--strategy", "best-of"), 2),
        (("fit", "bank", "--member", "bank~0", "--dataset", "nothing"), 3),
        (("fit", "bank", "--member", "bank~0", "--dataset", "bank", "--split", "test"), 2),
        (("show", "nobody"), 3),
        (("explain", "nobody", "x"), 3),
    ],
)
def test_ensemble__what_does_not_fit__refused_with_a_remedy(home: Path, words: tuple[str, ...], code: int) -> None:
    before = run_json("ensemble", "list")
    run("ensemble", *words, expect=code)
    assert run_json("ensemble", "list") == before
