from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from routing_log import decide, router
from typer.testing import CliRunner

from bailiwick.cli.main import app
from bailiwick.domains.model import Backend, Domain
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.routing.logged import LoggedDecision
from bailiwick.routing.policy import Algorithm, Knobs, Policy
from bailiwick.settings import Settings

Run = Callable[..., Result]
EVEN = Policy(Knobs(Algorithm.STATIC, weights={"cards": {"cards": 0.5, "loans": 0.5}}))


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(Settings(home=tmp_path / "home"))
    elsewhere = Backend("openai-compatible", base_url="http://127.0.0.1:9/v1", model="m")
    for name in ("cards", "loans", "misc"):
        domain = Domain(name, name, f"agent-{name}", keywords=(name,), backend=elsewhere)
        made.domains.create(domain, Actor("ada"), activate=True)
    made.domains.set_default("misc", Actor("ada"))
    yield made
    made.close()


@pytest.fixture
def run(tmp_path: Path, platform: Platform) -> Run:
    def invoke(*words: str) -> Result:
        return CliRunner().invoke(app, ["--home", str(tmp_path / "home"), "route", *words])

    return invoke


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def served(platform: Platform, count: int) -> None:
    """Decisions of mode on, half of each domain; of which `loans` is right."""
    now = platform.clock.now() - timedelta(hours=1)
    decided = [decide(router(policy=EVEN), number) for number in range(count)]
    platform.routing.write(
        [
            LoggedDecision(f"r{n}", now + timedelta(seconds=n), each, each.domain, "v1", 200, 20.0, 9)
            for n, each in enumerate(decided)
        ]
    )
    for n, each in enumerate(decided):
        platform.metrics.feedback(f"r{n}", value=float(each.domain == "loans"))
    assert platform.routing.step().judgements == count


def test_rules__file_takes_the_place_and_is_listed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[[rule]]\nname = "a"\ndomain = "loans"\nkeywords = ["house"]\npriority = 4\n')
    assert [each["name"] for each in answer(run("rules", str(file), "--reason", "houses", "--json"))] == ["a"]
    assert "house" in run("rules").stdout
    assert answer(run("explain", "my house", "--json"))["domain"] == "loans"
    assert "rule 'a' holds" in run("explain", "my house").stdout
    file.write_text('[[rule]]\nname = "a"\ndomain = "loans"\npattern = "(a"\n')
    refused = run("rules", str(file))
    assert refused.exit_code == 2
    assert "leaves a group open" in refused.stderr
    assert [each["reason"] for each in answer(run("history", "--json"))] == ["houses"]


def test_policy__harm_is_refused_better_is_applied(run: Run, platform: Platform, tmp_path: Path) -> None:
    served(platform, 400)
    file = tmp_path / "policy.toml"
    file.write_text('algorithm = "static"\nweights = { cards = { cards = 1.0 } }\n')
    found = answer(run("evaluate", str(file), "--json"))
    assert found["verdict"] == "harm"
    assert [each["method"] for each in found["estimates"]] == ["inverse propensity", "self-normalised", "doubly robust"]
    assert "harm" in run("evaluate", str(file)).stdout
    refused = run("apply", str(file))
    assert refused.exit_code == 7
    file.write_text('algorithm = "static"\nweights = { cards = { loans = 1.0 } }\n')
    applied = answer(run("apply", str(file), "--reason", "they are right", "--json"))
    assert applied["evaluation"]["verdict"] == "better"
    assert answer(run("status", "--json"))["policy"]["weights"] == {"cards": {"loans": 1.0}}
    assert "static" in run("status").stdout


def test_propose__what_was_learned(run: Run, platform: Platform) -> None:
    served(platform, 60)
    found = answer(run("propose", "--json"))
    assert found["decisions"] == 60
    assert found["means"]["cards|*"]["loans"][1] == 1.0
    assert "cards|*" in run("propose").stdout


def test_analytics__and_a_past_request(run: Run, platform: Platform) -> None:
    served(platform, 200)
    found = answer(run("analytics", "--json"))
    by_domain = {each["domain"]: each for each in found["domains"]}
    assert by_domain["loans"]["accuracy"] == 1.0
    assert by_domain["cards"]["regret"]["best"] == "loans"
    assert "best in hindsight" in run("analytics").stdout
    logged = answer(run("explain", "--request", "r7", "--json"))
    assert logged["replayed"]
    assert logged["feedback"]["metric"] == "correct"
    assert "the draw gives the same again" in run("explain", "--request", "r7").stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("explain",), 2),
        (("explain", "x", "--request", "y"), 2),
        (("explain", "x", "--header", "nonsense"), 2),
        (("explain", "x", "--model", "nowhere"), 3),
        (("explain", "--request", "unknown"), 3),
        (("mode", "loud"), 2),
        (("apply", "--force"), 2),
        (("evaluate", "no-such-file.toml"), 2),
    ],
)
def test_refusals__exit_codes(run: Run, words: tuple[str, ...], code: int) -> None:
    assert run(*words).exit_code == code


def test_mode__is_told(run: Run) -> None:
    assert "on" in run("mode", "on", "--reason", "now").stdout
    assert answer(run("status", "--json"))["mode"] == "on"
