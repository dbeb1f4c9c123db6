from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from deliveries import register
from rollouts import CORRECT, FAILED, a_rollout, of
from typer.testing import CliRunner

from bailiwick.cli.main import app
from bailiwick.cli.rollout import parse_duration
from bailiwick.cli.rollout_views import interval, ladder
from bailiwick.delivery.rollout.model import Finding, RolloutState
from bailiwick.errors import InvalidInput
from bailiwick.platform import Platform
from bailiwick.settings import Settings

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def invoke(*words: str) -> Result:
        return CliRunner().invoke(app, ["--home", str(tmp_path), *words])

    return invoke


@pytest.fixture
def versions(tmp_path: Path) -> list[str]:
    """Three good versions of the domain `cards`, older first; the oldest serves."""
    platform = Platform(Settings(home=tmp_path))
    try:
        made = register(platform, "cards", 3)
    finally:
        platform.close()
    assert CliRunner().invoke(app, ["--home", str(tmp_path), "deploy", made[0]]).exit_code == 0
    return made


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_rollout__started_steered_and_aborted__each_command_says_where_it_stands(run: Run, versions: list[str]) -> None:
    started = run("rollout", "start", versions[1], "--steps", "2,20,100", "--dwell", "10m", "--hold-back", "10%")
    assert started.exit_code == 0, started.output
    assert "◉ 2 % ── ○ 20 % ── ○ 90 % ── ○ 100 %" in started.output
    shown = run("rollout", "show", "cards").output
    assert "running at 2 %" in shown
    assert "no data on failed" in shown
    assert "no gateway is running" in shown
    assert "is compared with a control of 2 %" in run("traffic", "show", "cards").output.replace("\n", " ")
    assert answer(run("rollout", "weight", "cards", "1%", "--json"))["share_percent"] == 1.0
    assert answer(run("rollout", "pause", "cards", "--json"))["state"] == "paused"
    assert answer(run("rollout", "resume", "cards", "--json"))["state"] == "running"
    assert run("rollout", "promote", "cards").exit_code == 7
    assert run("rollout", "promote", "cards", "--expected", "1", "--force", "--reason", "x").exit_code == 4
    assert run("rollout", "abort", "cards", "--reason", "enough").exit_code == 0
    assert "aborted" in run("rollout", "list").output
    assert "0 succeeded, 1 aborted (0 on evidence of harm), 0 superseded" in run("rollout", "summary").output
    assert run("rollout", "watch", "cards").exit_code == 4
    reported = run("rollout", "report", "cards").output
    assert "enough" in reported
    assert "2 % of the domain's users" in reported


def test_rollout__taken_back_at_night__one_short_command(run: Run, versions: list[str]) -> None:
    assert run("rollout", "start", versions[1]).exit_code == 0
    assert run("rollout", "abort", "cards").exit_code == 0
    assert "taken back by hand" in run("rollout", "report", "cards").output


def test_lists__of_rollouts_and_deployments__fit_a_terminal(run: Run, versions: list[str]) -> None:
    assert run("rollout", "start", versions[1]).exit_code == 0
    for noun in ("rollout", "deployment"):
        shown = run(noun, "list").output
        assert versions[1] in shown
        assert f"{noun}-20" in shown
        assert max(map(len, shown.splitlines())) <= 80


def test_rollout__policy_file__flags_win_over_it(run: Run, versions: list[str], tmp_path: Path) -> None:
    policy = tmp_path / "careful.toml"
    policy.write_text(
        'guard_s = 60\nrule = "thresholds"\n[[steps]]\nshare_percent = 7\n[[steps]]\nshare_percent = 100\n'
    )
    made = answer(run("rollout", "start", versions[1], "--policy", str(policy), "--guard", "2m", "--json"))["rollout"]
    assert (made["share_percent"], made["policy"]["guard_s"], made["policy"]["rule"]) == (7.0, 120.0, "thresholds")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("nothing",), 3),
        (("cards", "--steps", "10,5,100"), 2),
        (("cards", "--steps", "10,x"), 2),
        (("cards", "--dwell", "soon"), 2),
        (("cards", "--policy", "missing.toml"), 2),
        (("cards", "--hold-back", "60%"), 2),
    ],
)
def test_rollout_start__that_cannot_be__exits_and_changes_nothing(
    run: Run, versions: list[str], words: tuple[str, ...], code: int
) -> None:
    assert run("rollout", "start", *words).exit_code == code
    assert answer(run("rollout", "list", "--json")) == []


@pytest.mark.parametrize("text", ["", "10", "m", "-1s", "1e99d", "nans", "1w"])
def test_parse_duration__no_duration__refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_duration(text)


def test_ladder__each_state__shows_how_far_it_came() -> None:
    assert ladder(a_rollout(step=1, weight=1_000)) == "● 1 % ── ◉ 10 % ── ○ 50 % ── ○ 95 % ── ○ 100 %"
    assert ladder(a_rollout(state=RolloutState.GUARDING, step=4)).endswith("● 50 % ── ◉ 95 % ── ○ 100 %")
    assert ladder(a_rollout(state=RolloutState.SUCCEEDED, step=4)).endswith("● 95 % ── ● 100 %")
    assert ladder(a_rollout(state=RolloutState.ABORTED, step=1)).startswith("● 1 % ── ✗ 10 %")


def test_interval__drawn__margin_on_the_side_of_harm() -> None:
    worse_up = replace(of(FAILED, Finding.UNDECIDED), difference=0.0, low=-0.02, high=0.02, margin=0.01)
    drawn = interval(worse_up)
    assert drawn is not None
    assert drawn.index("├") < drawn.index("●") < drawn.index("╎") < drawn.index("┤")
    assert drawn.endswith("-2 points to +2 points")
    worse_down = interval(replace(worse_up, rule=CORRECT))
    assert worse_down is not None
    assert worse_down.index("╎") < worse_down.index("●")
    assert interval(of(FAILED, Finding.NO_DATA)) is None
