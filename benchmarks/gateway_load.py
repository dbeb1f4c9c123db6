"""Load on a gateway over loopback, and the CPU seconds of whoever serves it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REQUESTS = 2_000
WARM_UP = 200
RUNS = 3
STREAMS = 500
CHUNKS = 32
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


@dataclass(frozen=True)
class Target:
    """Who is asked, and how.

    Args:
        pid: of the serving process; its children count too.
        url: without the path.
        model: named in the body.
        path: of chat completions.
        headers: sent besides.
        whole: how many answers make one measurement.
        streams: the same of streams.
    """

    pid: int
    url: str
    model: str
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=dict)
    whole: int = REQUESTS
    streams: int = STREAMS


def environment() -> dict[str, str]:
    """The variables of a process that imports this checkout."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}


@contextmanager
def process(*words: str, interpreter: str = sys.executable, **variables: str) -> Iterator[tuple[int, str]]:
    """A server process that prints a JSON object with its url; gives its id and the url."""
    command = [interpreter, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**environment(), **variables}, text=True) as running:
        assert running.stdout is not None
        printed = ""
        while not (found := re.search(r'"url": ?"(http[^"]+)"', printed)):
            line = running.stdout.readline()
            assert line, f"{words} ended"
            printed += line
        # Whoever logs to a pipe that nobody reads stands still when it is full.
        threading.Thread(target=running.stdout.read, daemon=True).start()
        try:
            yield running.pid, found[1]
        finally:
            running.terminate()


def cpu_s(pid: int) -> float:
    """User and system seconds of a process and its children so far, to the nanosecond; 0 of one that has ended.

    The clock of another process is ``~pid << 3 | CPUCLOCK_SCHED`` (clock_getcpuclockid(3) on Linux).
    """
    try:
        own = time.clock_gettime((~pid << 3) | 2)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    return own + sum(cpu_s(int(child)) for child in children)


def resident_mib(pid: int) -> float:
    """Memory of a process that is in RAM."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


async def load(target: Target, connections: int, requests: int, *, stream: bool = False) -> None:
    """Send that many requests over that many connections and check that every answer is whole, with status 200."""
    asked = {"model": target.model, "messages": [{"role": "user", "content": QUERY}], "user": "bench", "stream": stream}
    message = request_bytes(target, asked)
    host, _, port = target.url.removeprefix("http://").rstrip("/").partition(":")

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(number):
            writer.write(message)
            await read_answer(reader, stream=stream)
        writer.close()

    await asyncio.gather(*(one(requests // connections) for _ in range(connections)))


async def latencies_ms(target: Target, requests: int) -> list[float]:
    """What each of some requests took, one after the other on one connection, ascending; the first tenth warms up."""
    message = request_bytes(target, {"model": target.model, "messages": [{"role": "user", "content": QUERY}]})
    host, _, port = target.url.removeprefix("http://").rstrip("/").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    found = []
    for number in range(requests + requests // 10):
        began = time.perf_counter()
        writer.write(message)
        await read_answer(reader, stream=False)
        if number >= requests // 10:
            found.append((time.perf_counter() - began) * 1e3)
    writer.close()
    return sorted(found)


def request_bytes(target: Target, asked: dict[str, Any]) -> bytes:
    """A request as it goes over the wire."""
    body = json.dumps(asked).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in target.headers.items())
    head = f"POST {target.path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{more}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def read_answer(reader: asyncio.StreamReader, *, stream: bool) -> None:
    """Read one answer to its end; it must be whole."""
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200"), answer
    if stream:
        events = await reader.readuntil(b"\r\n0\r\n\r\n")
        assert events.count(b"chat.completion.chunk") >= CHUNKS and b"[DONE]" in events, events
        return
    length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)


def us_per_request(target: Target, connections: int, *, stream: bool = False) -> float:
    """CPU microseconds of the server per request: the median of a few runs."""
    requests = target.streams if stream else target.whole
    asyncio.run(load(target, connections, max(connections, requests // 10), stream=stream))
    found = []
    for _ in range(RUNS):
        before = cpu_s(target.pid)
        asyncio.run(load(target, connections, requests, stream=stream))
        sent = requests // connections * connections
        found.append((cpu_s(target.pid) - before) / sent * 1e6)
    return statistics.median(found)
