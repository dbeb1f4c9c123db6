"""`bailiwick demo` from an empty folder: what it reports is what happened, and it leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
Report = dict[str, Any]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "bailiwick", "--home", "home", *words]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "BAILIWICK_PORT": "0", "COLUMNS": "80"}


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        command(*words), cwd=folder, env=environment(), capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def demo(folder: Path, *words: str) -> Report:
    report: Report = json.loads(run(folder, "demo", "--exit", "--json", *words))
    return report


def servers_over(folder: Path) -> list[int]:
    """The processes that serve what is in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, at = (process / "cmdline").read_bytes().split(b"\0"), (process / "cwd").resolve()
        except OSError:  # it has ended meanwhile
            continue
        if b"serve" in words and at == folder.resolve():
            found.append(int(process.name))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def sample(folder: Path) -> Report:
    return demo(folder)


def check_traffic(report: Report) -> None:
    split = report["split"]
    assert split["asked"] == 0.2
    assert abs(split["share"] - 0.2) < 0.08  # 4.5 standard deviations of 500 users
    assert split["moved"] == 0
    assert report["promoted"] == {"version": report["challenger"]["version"], "share": 1.0}
    assert report["challenger"]["champion"] in {model["version"] for model in report["models"]}


def test_demo__sample_bank__goes_the_whole_way(sample: Report) -> None:
    assert len(sample["domains"]) >= 5
    assert sample["extraction"]["assets"]["table"] > 20
    assert len(sample["extraction"]["longest_lineage"]) >= 3
    assert sample["detection"]["queries"] >= 300
    assert sample["detection"]["right"] > 0.85
    deployed = [model for model in sample["models"] if model["decision"] == "deployed"]
    assert len(deployed) >= 3
    assert all(model["metrics"]["accuracy"] >= 0.85 for model in deployed)
    assert sample["live"]["answered_right"] > 0.8
    check_traffic(sample)


def test_demo__afterwards__other_commands_find_what_it_made(sample: Report, folder: Path) -> None:
    (plan,) = json.loads(run(folder, "traffic", "show", sample["challenger"]["domain"], "--json"))
    assert list(plan["weights"]) == [sample["promoted"]["version"]]
    changes = {entry["action"] for entry in json.loads(run(folder, "audit", "list", "--limit", "500", "--json"))}
    assert {"domain.create", "extraction.run", "graph.detect", "traffic.deploy", "traffic.promote"} <= changes
    stored = json.loads(run(folder, "graph", "stats", "--json"))
    assert stored["nodes"] == sample["extraction"]["assets"]
    assert servers_over(folder) == []


def test_demo__again_on_the_same_home__for_people__fits_80_columns(sample: Report, folder: Path) -> None:
    printed = run(folder, "demo", "--exit")
    assert f"500 of the same 500 users of {sample['challenger']['domain']}" in " ".join(printed.split())
    prose = [line for line in printed.splitlines() if not line.startswith("  ")]  # commands are not broken
    assert max(map(len, prose)) <= 80
    assert "…" not in "".join(line for line in prose if line[:1].isdigit())


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)], ids=lambda number: number.name
)
def test_demo__interrupted_while_it_serves__leaves_no_server(
    number: signal.Signals, sample: Report, folder: Path
) -> None:
    process = subprocess.Popen(
        command("demo"), cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 300
    while process.poll() is None and not servers_over(folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert servers_over(folder)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=120)
    assert servers_over(folder) == []
    assert process.returncode == 130
    assert "Traceback" not in printed


@pytest.mark.slow
def test_demo__real_corpora__goes_the_whole_way(tmp_path: Path, corpora: Path) -> None:
    report = demo(tmp_path, "--data", str(corpora))
    assert {"banking", "weather"} <= set(report["domains"])
    assert report["extraction"]["assets"]["job"] == 15
    assert report["detection"]["right"] > 0.92
    accuracies = {model["version"].split("-v")[0]: model["metrics"]["accuracy"] for model in report["models"]}
    assert accuracies["banking"] >= 0.92
    assert sum(model["decision"] == "deployed" for model in report["models"]) >= 10
    assert report["live"]["answered_right"] > 0.8
    check_traffic(report)
