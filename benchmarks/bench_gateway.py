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
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.records import publish, record

ROOT = Path(__file__).resolve().parents[1]
REQUESTS = 2_000
WARM_UP = 200
RUNS = 3
STREAMS = 500
CHUNKS = 32
CONNECTIONS = (1, 16, 64)
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


CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"echo",'
    b'"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The peer and the upstream: reads the body, answers a fixed completion, or 32 events one by one."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if b'"stream":true' in body.replace(b" ", b""):
        kind = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        for _ in range(CHUNKS):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


_asked = 0


async def flaky(scope: Any, receive: Any, send: Any) -> None:
    """The echo, which answers every tenth request with 503."""
    global _asked
    _asked += 1
    if _asked % 10:
        await echo(scope, receive, send)
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def serve_echo(application: Any = echo) -> None:
    """Run the peer until stopped; prints its port."""
    import uvicorn

    from bailiwick.cli.serve import bound_socket

    listening = bound_socket("127.0.0.1", 0)
    print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
    config = uvicorn.Config(
        application,
        interface="asgi3",
        http="httptools",
        loop="uvloop",
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
    uvicorn.Server(config).run(sockets=[listening])


def build_estate(home: Path, upstream: str, failing: str) -> None:
    """The sample estate's cards domain, trained and deployed, and domains whose models are the echo."""
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
    for name, url in (("proxied", upstream), ("flaky", failing)):
        backend = Backend("openai-compatible", base_url=f"{url}/v1", model="echo")
        platform.domains.create(Domain(name, name, "bench", backend=backend), Actor("bench"), activate=True)
    platform.close()


@contextmanager
def process(*words: str, **variables: str) -> Iterator[tuple[int, str]]:
    """A server process that prints a JSON object with its url; gives its id and the url."""
    environment = {**_environment(), **variables}
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, env=environment, text=True) as running:
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


async def load(url: str, model: str, connections: int, requests: int, *, stream: bool = False) -> None:
    """Send that many requests over that many connections and check that every answer is whole, with status 200."""
    asked = {"model": model, "messages": [{"role": "user", "content": QUERY}], "user": "bench", "stream": stream}
    body = json.dumps(asked).encode()
    host, _, port = url.removeprefix("http://").partition(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    message = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(number):
            writer.write(message)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            if stream:
                events = await reader.readuntil(b"\r\n0\r\n\r\n")
                assert events.count(b"chat.completion.chunk") == CHUNKS and b"[DONE]" in events, events
                continue
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    await asyncio.gather(*(one(requests // connections) for _ in range(connections)))


def us_per_request(pid: int, url: str, model: str, connections: int, *, stream: bool = False) -> float:
    """CPU microseconds of the server process per request: the median of a few runs."""
    requests = STREAMS if stream else REQUESTS
    asyncio.run(load(url, model, connections, max(connections, WARM_UP), stream=stream))
    found = []
    for _ in range(RUNS):
        before = cpu_s(pid)
        asyncio.run(load(url, model, connections, requests, stream=stream))
        sent = requests // connections * connections
        found.append((cpu_s(pid) - before) / sent * 1e6)
    return statistics.median(found)


def run() -> list[dict[str, Any]]:
    """Every figure."""
    with (
        tempfile.TemporaryDirectory() as folder,
        process("-c", "from benchmarks.bench_gateway import serve_echo; serve_echo()") as (echo_pid, echo_url),
        process("-c", "from benchmarks.bench_gateway import flaky, serve_echo; serve_echo(flaky)") as (_, failing_url),
    ):
        build_estate(Path(folder), echo_url, failing_url)
        return [*_in_process(folder, echo_pid, echo_url), *_proxied(folder), _survived(folder)]


def _survived(folder: str) -> dict[str, Any]:
    """Requests that fail while every tenth call to the upstream does."""
    asked = {"model": "flaky", "messages": [{"role": "user", "content": QUERY}]}
    body = json.dumps(asked).encode()
    with process("-m", "bailiwick", "--home", folder, "--json", "serve", "--port", "0") as (_, url):

        def one(_number: int) -> bool:
            request = urllib.request.Request(f"{url}/v1/chat/completions", body)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.read() != ANSWER.replace(b" ", b"")
            except urllib.error.HTTPError:
                return True

        with ThreadPoolExecutor(8) as threads:
            failed = sum(threads.map(one, range(REQUESTS)))
    return record(
        f"gateway: failed requests of {REQUESTS:,}, an upstream that answers 503 to every tenth",
        failed,
        "requests",
        better="lower",
        goal=0,
        peer="calls that the upstream failed",
        peer_value=REQUESTS // 9,
    )


def _in_process(folder: str, echo_pid: int, echo_url: str) -> Iterator[dict[str, Any]]:
    """Local models, beside an application that does nothing."""
    with process("-m", "bailiwick", "--home", folder, "--json", "serve", "--port", "0") as (pid, url):
        for connections in CONNECTIONS:
            peer = us_per_request(echo_pid, echo_url, "echo", connections)
            for name, model, goal in (
                ("local model, named domain", "cards", 350),
                ("local model, auto (detection)", "auto", 800),
            ):
                yield record(
                    f"gateway CPU per request: {name}, {connections} connections",
                    us_per_request(pid, url, model, connections),
                    "us",
                    better="lower",
                    goal=goal,
                    peer="bare uvicorn echo",
                    peer_value=peer,
                    runs=RUNS,
                )


def _proxied(folder: str) -> Iterator[dict[str, Any]]:
    """An upstream's model, beside the same gateway with aiohttp as its client."""
    serve = ("-m", "bailiwick", "--home", folder, "--json", "serve", "--port", "0")
    with (
        process(*serve) as (pid, url),
        process(*serve, BAILIWICK_UPSTREAM_CLIENT="aiohttp") as (peer_pid, peer_url),
    ):
        for stream, name, goal in (
            (False, "proxied upstream", 250),
            (True, f"proxied stream of {CHUNKS} events", 500),
        ):
            for connections in CONNECTIONS:
                yield record(
                    f"gateway CPU per request: {name}, {connections} connections",
                    us_per_request(pid, url, "proxied", connections, stream=stream),
                    "us",
                    better="lower",
                    goal=goal,
                    peer="the same with aiohttp",
                    peer_value=us_per_request(peer_pid, peer_url, "proxied", connections, stream=stream),
                    runs=RUNS,
                )


def main(publish_records: Callable[[str, list[dict[str, Any]]], None] = publish) -> None:
    """Measure and publish."""
    publish_records("gateway", run())


if __name__ == "__main__":
    main()
