"""CPU time of the gateway per request, beside a bare uvicorn application that echoes, on the same machine and run.

CPU seconds (user and system, of the serving process alone) are what stays comparable on a shared machine; requests per
second are not reported. The load comes over loopback from another process, on connections that are kept open.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.records import publish, record

ROOT = Path(__file__).resolve().parents[1]
REQUESTS = 2_000
WARM_UP = 200
RUNS = 3
CONNECTIONS = (1, 16)
QUERY = "my debit card has not arrived in the post yet"
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "echo",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x" * 120}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42},
    }
).encode()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The peer: reads the body, answers a fixed completion."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def serve_echo() -> None:
    """Run the peer until stopped; prints its port."""
    import uvicorn

    from bailiwick.cli.serve import bound_socket

    listening = bound_socket("127.0.0.1", 0)
    print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
    config = uvicorn.Config(
        echo, interface="asgi3", http="httptools", loop="uvloop", lifespan="off", log_level="warning", access_log=False
    )
    uvicorn.Server(config).run(sockets=[listening])


def build_estate(home: Path, upstream: str) -> None:
    """The sample estate's cards domain, trained and deployed, and a domain whose model is the echo."""
    from bailiwick.domains.model import Backend, Domain
    from bailiwick.governance.audit import Actor
    from bailiwick.platform import Platform
    from bailiwick.settings import Settings

    def run(*words: str) -> None:
        command = [sys.executable, "-m", "bailiwick", "--home", str(home), *words]
        subprocess.run(command, cwd=home, env=_environment(), check=True, capture_output=True)

    run("estate")
    run("domain", "import", "estate/domains.json")
    run("dataset", "import", "estate/queries.csv", "--name", "queries")
    run("train", "cards", "--dataset", "queries")
    run("deploy", "cards", "--force", "--reason", "a benchmark")
    run("detect", "warm", "--learn-from", "queries")
    platform = Platform(Settings(home=home))
    backend = Backend("openai-compatible", base_url=f"{upstream}/v1", model="echo")
    platform.domains.create(Domain("proxied", "Proxied", "bench", backend=backend), Actor("bench"), activate=True)
    platform.close()


@contextmanager
def process(*words: str) -> Iterator[tuple[int, str]]:
    """A server process that prints a JSON object with its url; gives its id and the url."""
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, env=_environment(), text=True) as running:
        assert running.stdout is not None
        printed = ""
        while "}" not in printed:
            line = running.stdout.readline()
            assert line, f"{words} ended"
            printed += line
        try:
            yield running.pid, json.loads(printed)["url"]
        finally:
            running.terminate()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(url: str, model: str, connections: int, requests: int) -> None:
    """Send that many requests over that many connections and check that every answer is a 200."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": QUERY}], "user": "bench"}).encode()
    host, _, port = url.removeprefix("http://").partition(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    message = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(number):
            writer.write(message)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    await asyncio.gather(*(one(requests // connections) for _ in range(connections)))


def us_per_request(pid: int, url: str, model: str, connections: int) -> float:
    """CPU microseconds of the server process per request: the median of a few runs."""
    asyncio.run(load(url, model, connections, WARM_UP))
    found = []
    for _ in range(RUNS):
        before = cpu_s(pid)
        asyncio.run(load(url, model, connections, REQUESTS))
        sent = REQUESTS // connections * connections
        found.append((cpu_s(pid) - before) / sent * 1e6)
    return statistics.median(found)


def run() -> list[dict[str, Any]]:
    """Every figure."""
    cases: list[tuple[str, str, float]] = [
        ("local model, named domain", "cards", 350),
        ("local model, auto (detection)", "auto", 800),
        ("proxied upstream", "proxied", 800),
    ]
    records = []
    with (
        tempfile.TemporaryDirectory() as folder,
        process("-c", "from benchmarks.bench_gateway import serve_echo; serve_echo()") as (echo_pid, echo_url),
    ):
        build_estate(Path(folder), echo_url)
        with process("-m", "bailiwick", "--home", folder, "--json", "serve", "--port", "0") as (pid, url):
            for connections in CONNECTIONS:
                peer = us_per_request(echo_pid, echo_url, "echo", connections)
                for name, model, goal in cases:
                    value = us_per_request(pid, url, model, connections)
                    records.append(
                        record(
                            f"gateway CPU per request: {name}, {connections} connections",
                            value,
                            "us",
                            better="lower",
                            goal=goal,
                            peer="bare uvicorn echo",
                            peer_value=peer,
                            runs=RUNS,
                        )
                    )
    return records


def main(publish_records: Callable[[str, list[dict[str, Any]]], None] = publish) -> None:
    """Measure and publish."""
    publish_records("gateway", run())


if __name__ == "__main__":
    main()
