from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from learning_examples import ADA, examples, write_csv
from private_rows import import_units, open_budget
from typer.testing import CliRunner

from bailiwick.cli.context import Flags
from bailiwick.cli.privacy import app
from bailiwick.domains.model import Domain
from bailiwick.errors import BudgetExhausted, InvalidInput

BANK = ("bank", "--namespace", "bank-customers", "--domain", "bank")


@pytest.fixture
def flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flags:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    flags = Flags(home=str(tmp_path / "home"))
    import_units(flags.platform.datasets, write_csv(tmp_path / "bank.csv", examples(90)))
    open_budget(flags.platform.privacy, "bank", "bank", epsilon="5")
    return flags


def run(flags: Flags, *words: str, refused: type[Exception] | None = None) -> str:
    done = CliRunner().invoke(app, list(words), obj=flags)
    if refused is not None:
        assert isinstance(done.exception, refused), done.output
    else:
        assert done.exit_code == 0, done.output
    return done.output


def run_json(flags: Flags, *words: str) -> Any:
    flags.json = True
    try:
        return json.loads(run(flags, *words))
    finally:
        flags.json = False


def test_plan_then_release__tables_and_report_card(flags: Flags) -> None:
    statistics = ("--statistic", "labels", "--statistic", "text-length", "--statistic", "vocabulary")
    cost = ("--epsilon", "3", "--delta", "1e-6")
    plan = " ".join(run(flags, "plan", *BANK, *statistics, *cost).split())  # lines wrap where the terminal ends
    assert "epsilon 3, delta 0.000001" in plan
    for word in ("95 % within", "naive", "pld", "Nothing was charged"):
        assert word in plan
    found = run(flags, "release", *BANK, *statistics, *cost)
    for word in (
        "Report card",
        "unit of bank-customers",
        "add-remove",
        "never reset",
        "all together",
        "not protected",
        "opendp",
    ):
        assert word in found
    assert run_json(flags, "plan", *BANK, *statistics, *cost)["cost"] == "epsilon 3, delta 0.000001"
    run(flags, "release", *BANK, *statistics, *cost, refused=BudgetExhausted)


def test_release__same_key__said_to_be_a_replay(flags: Flags) -> None:
    words = ("release", *BANK, "--statistic", "rows", "--level", "medium", "--key", "monday")
    first = run_json(flags, *words)
    again = run_json(flags, *words)
    assert again["output"] == first["output"]
    assert "no new noise" in run(flags, *words)


def test_plan_and_release__a_file_without_people__does_not_apply(flags: Flags, tmp_path: Path) -> None:
    (tmp_path / "core.hql").write_text("create table a (b int);")
    words = ("core.hql", "--namespace", "x", "--statistic", "rows", "--epsilon", "1")
    assert "does not apply" in run(flags, "plan", *words)
    assert run_json(flags, "plan", *words) == {"applies": False, "reason": "SQL text has no person-level unit"}
    run(flags, "release", *words, refused=InvalidInput)


def test_release__epsilon_and_level__refused(flags: Flags) -> None:
    words = ("release", *BANK, "--statistic", "rows")
    run(flags, *words, "--epsilon", "1", "--level", "low", refused=InvalidInput)
    for epsilon in ("0", "-1", "nan", "inf", "5e-324"):
        run(flags, *words, f"--epsilon={epsilon}", refused=InvalidInput)


def test_plan__training_and_metrics__nothing_is_charged(flags: Flags) -> None:
    flags.platform.domains.create(Domain("bank", "Bank", "bank-agent"), ADA)
    small = ("--set", "features=64", "--set", "steps=2")
    words = ("plan", "bank", "--train", "bank", "--epsilon", "4", "--delta", "1e-6", *small)
    found = " ".join(run(flags, *words).split())
    for word in (
        "noise multiplier",
        "signal of one unit",
        "epsilon 4, delta 0.000001",
        "rho 8",
        "afterwards",
        "--private",
    ):
        assert word in found
    assert "refused:" in run(flags, *words, "--epsilon", "6")
    assert run_json(flags, *words, "--epsilon", "6")["payments"][0]["afterwards"] is None
    assert run_json(flags, *words)["payments"][0]["afterwards"]["amount"] == "1"
    made = flags.platform.private_training.train("bank", "bank", actor=ADA, epsilon=1, settings={"features": 64})
    asked = ("plan", "--metrics", "bank", "--metric", "accuracy", "--namespace", "bank-customers", "--epsilon", "1")
    assert all(error["within_95"] > 0 for error in run_json(flags, *asked)["errors"])
    assert "95 % within" in run(flags, *asked)
    assert made.version
    assert {each.entries for _, each in flags.platform.privacy.ledger.accounts()} == {4}  # opened, and one training


def test_plan__options_that_would_be_ignored__refused(flags: Flags) -> None:
    for words in (
        (),
        ("--train", "bank", "--statistic", "rows"),
        ("--train", "bank", "--metric", "accuracy"),
        ("--statistic", "rows", "--set", "steps=2", "--namespace", "bank-customers"),
        ("--statistic", "rows", "--epsilon", "1"),
        ("--statistic", "rows", "--delta", "1e-6", "--namespace", "bank-customers"),
    ):
        run(flags, "plan", "bank", *words, refused=InvalidInput)


def test_budget_set__default_epsilon_and_level__take_each_others_place(flags: Flags) -> None:
    key = "bank-customers/bank/bank"
    run(flags, "budget", "set", key, "--default-epsilon", "0.3", "--default-delta", "1e-7")
    plain = ("plan", *BANK, "--statistic", "labels")
    assert run_json(flags, *plain)["cost"] == "epsilon 0.3"
    assert "0.0000001" in run(flags, "budget", "show", key)
    training = ("plan", "bank", "--train", "bank", "--set", "steps=2", "--set", "features=64")
    flags.platform.domains.create(Domain("bank", "Bank", "bank-agent"), ADA)
    assert run_json(flags, *training)["cost"] == "epsilon 0.3, delta 0.0000001"
    run(flags, "budget", "set", key, "--contribution-cap", "1")
    assert run_json(flags, *plain)["cost"] == "epsilon 0.3"
    run(flags, "budget", "set", key, "--level", "high")
    assert run_json(flags, *plain)["cost"] == "epsilon 0.5"
    assert run_json(flags, *training)["cost"] == "epsilon 0.5, delta 0.000001"
    run(flags, "budget", "set", key, "--level", "high", "--default-epsilon", "1", refused=InvalidInput)
