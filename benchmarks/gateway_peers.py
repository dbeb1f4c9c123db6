"""LiteLLM and TensorZero, each in an environment of its own below the checkout, in front of the same upstream.

LiteLLM's proxy runs as its documentation starts it: one worker, a master key, no database. TensorZero's gateway is the
one that its Python package starts inside a process, with observability off; its last release is 2026.6.0.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.gateway_load import ROOT, Target, process

PACKAGES = {
    "litellm": ("litellm[proxy]==1.106.2",),
    "tensorzero": ("tensorzero==2026.6.0", "openai==3.54.0"),
}
_KEY = "sk-bench-0123456789abcdef"
_START_S = 180
_TENSORZERO = """
[gateway]
observability.enabled = false

[models.echo]
routing = ["echo"]

[models.echo.providers.echo]
type = "openai"
model_name = "echo"
api_base = "{url}/v1/"
api_key_location = "none"
"""
_START_TENSORZERO = """
import json, sys, threading
from openai import OpenAI
from tensorzero import patch_openai_client
client = patch_openai_client(OpenAI(api_key="x"), config_file=sys.argv[1], async_setup=False)
print(json.dumps({"url": str(client.base_url)}), flush=True)
threading.Event().wait()
"""
_LITELLM = """
model_list:
  - model_name: echo
    litellm_params: {{model: openai/echo, api_base: "{url}/v1", api_key: unused}}
general_settings: {{master_key: {key}}}
litellm_settings: {{telemetry: false}}
"""


def interpreter(name: str) -> str | None:
    """The Python that has a peer, its environment made where it is missing; None, and why, where that fails.

    ``$BAILIWICK_PEER_LITELLM`` and ``$BAILIWICK_PEER_TENSORZERO`` name other ones.
    """
    if given := os.environ.get(f"BAILIWICK_PEER_{name.upper()}"):
        return given
    folder = ROOT / f".venv-peers-{name}"
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            print(f"Installing {name}, once ...", file=sys.stderr)
            venv.create(folder, with_pip=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", *PACKAGES[name]],
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        print(f"Without {name}: {said[-1] if said else error!r}", file=sys.stderr)
        return None
    return str(python)


@contextmanager
def tensorzero(folder: Path, upstream: str, *, quiet: bool) -> Iterator[Target | None]:
    """TensorZero's gateway: as it starts, which logs each request, or without its log."""
    python = interpreter("tensorzero")
    if python is None:
        yield None
        return
    config = folder / "tensorzero.toml"
    config.write_text(_TENSORZERO.format(url=upstream))
    words = ("-c", _START_TENSORZERO, str(config))
    with process(*words, interpreter=python, **({"RUST_LOG": "error"} if quiet else {})) as (pid, url):
        base, _, path = url.removeprefix("http://").partition("/")
        yield Target(pid, f"http://{base}", "tensorzero::model_name::echo", f"/{path.strip('/')}/chat/completions")


@contextmanager
def litellm(folder: Path, upstream: str) -> Iterator[Target | None]:
    """LiteLLM's proxy. It is slow, so that fewer requests do."""
    python = interpreter("litellm")
    if python is None:
        yield None
        return
    config = folder / "litellm.yaml"
    config.write_text(_LITELLM.format(url=upstream, key=_KEY))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(Path(python).parent / "litellm"),
        "--config",
        str(config),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    variables = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "DO_NOT_TRACK": "1"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=variables) as running:
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_for(url, running)
            headers = {"authorization": f"Bearer {_KEY}"}
            yield Target(running.pid, url, "echo", headers=headers, whole=200, streams=60)
        finally:
            running.terminate()


def _wait_for(url: str, running: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _START_S
    while True:
        assert running.poll() is None and time.monotonic() < ends, "LiteLLM does not start"
        try:
            with urllib.request.urlopen(f"{url}/health/liveliness", timeout=5) as answer:
                json.load(answer)
                return
        except (OSError, urllib.error.URLError, ValueError):
            time.sleep(0.5)
