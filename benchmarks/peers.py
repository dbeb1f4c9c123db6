"""The packages that others use today, in an environment of their own: they need older numpy and pandas than ours."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

PACKAGES = ("gbstats==0.8.0", "growthbook==4.0.0", "numpy<2", "pandas<2")
FOLDER = Path(__file__).parents[1] / ".venv-peers"


def environment(folder: Path = FOLDER) -> str | None:
    """The interpreter of the peers' environment, made where it is missing; None, and why, where that fails."""
    interpreter = folder / "bin" / "python"
    try:
        if not interpreter.exists():
            venv.create(folder, with_pip=True)
        subprocess.run(
            [str(interpreter), "-m", "pip", "install", "--quiet", *PACKAGES], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        print(f"Without peers: {said.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return str(interpreter)


def measured_by_gbstats(interpreter: str) -> dict[str, float]:
    """CPU microseconds of gbstats' ``welch`` and ``analysis``; see `benchmarks/gbstats_peer.py`."""
    source = Path(__file__).with_name("gbstats_peer.py")
    found = json.loads(subprocess.check_output([interpreter, "-W", "ignore", str(source)], text=True))
    return {name: round(float(value), 1) for name, value in found.items()}
