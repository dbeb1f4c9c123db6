from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from learning_examples import examples, write_csv
from private_rows import import_units, open_budget
from typer.testing import CliRunner

from bailiwick.cli.context import Flags
from bailiwick.cli.privacy import app
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
