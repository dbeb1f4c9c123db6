"""What keeping answers saves, how often a similar question would be answered wrongly, and what batching gains.

CPU seconds (user and system) of the serving process alone, as in `bench_gateway`.
"""

from __future__ import annotations

import asyncio
import csv
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.bench_gateway import CONNECTIONS, build_estate
from benchmarks.gateway_load import RUNS, Target, environment, process, us_per_request
from benchmarks.gateway_upstreams import command
from benchmarks.records import CORPORA, RESULTS, publish, record

BUDGETS = (0.02, 0.05, 0.10)
SEEDS = (1, 2, 3)
TEXTS = 4_096


def run(parts: Sequence[str]) -> list[dict[str, Any]]:
    """The figures of some parts."""
    threadpool_limits(limits=1)  # as every gateway does
    return [each for part in parts for each in PARTS[part]()]


def _served() -> Iterator[dict[str, Any]]:
    """Three gateways that run side by side and are measured in turn: plain, with kept answers, with batching."""
    serve = ("-m", "bailiwick", "--json", "serve", "--port", "0")
    with tempfile.TemporaryDirectory() as folder, process(*command("echo")) as (_, upstream):
        plain, kept, batched = (Path(folder) / name for name in ("plain", "kept", "batched"))
        plain.mkdir()
        build_estate(plain, upstream, upstream)
        for copy in (kept, batched):
            shutil.copytree(plain, copy)
        _bailiwick(kept, "domain", "update", "proxied", "--set", "generation.temperature=0")
        for domain in ("proxied", "cards"):
            _bailiwick(kept, "cache", "on", domain)
        _bailiwick(batched, "domain", "update", "cards", "--set", 'batching={"size": 64}')
        with (
            process(*serve, BAILIWICK_HOME=str(plain)) as usual,
            process(*serve, BAILIWICK_HOME=str(kept)) as keeping,
            process(*serve, BAILIWICK_HOME=str(batched)) as batching,
        ):
            for connections in CONNECTIONS:
                proxied = us_per_request(Target(*usual, "proxied", whole=1_000), connections)
                hit = us_per_request(Target(*keeping, "proxied", whole=1_000), connections)
                alone = us_per_request(Target(*usual, "cards", whole=1_000), connections)
                local_hit = us_per_request(Target(*keeping, "cards", whole=1_000), connections)
                together = us_per_request(Target(*batching, "cards", whole=1_000), connections)
                again = us_per_request(Target(*usual, "cards", whole=1_000), connections)
                alone = (alone + again) / 2
                size = f"{connections} connections"
                yield _us(f"cache hit, upstream model, {size}", hit, proxied, "the same, not kept", 150)
                yield _us(f"cache hit, local model, {size}", local_hit, alone, "the same, not kept", None)
                yield _us(f"local model, batching, {size}", together, alone, "each by itself", None)


def _us(name: str, value: float, peer_value: float | None, peer: str | None, goal: float | None) -> dict[str, Any]:
    return record(
        f"gateway CPU per request: {name}",
        value,
        "us",
        better="lower",
        goal=goal,
        peer=peer,
        peer_value=peer_value,
        runs=RUNS,
    )


def _bailiwick(home: Path, *words: str) -> None:
    given = [sys.executable, "-m", "bailiwick", "--home", str(home), *words]
    subprocess.run(given, env=environment(), check=True, capture_output=True)


def _banking() -> tuple[list[Any], list[Any]]:
    from bailiwick.models.model import LabelledText

    def rows(name: str) -> list[LabelledText]:
        with (CORPORA / "banking77" / name).open(encoding="utf-8", newline="") as file:
            return [LabelledText(row[0], row[1]) for row in list(csv.reader(file))[1:]]

    return rows("train.csv"), rows("test.csv")


def _model(examples: Sequence[Any], seed: int) -> Any:
    from bailiwick.models.catalogue import family

    return family().train(examples[:4_500], examples[4_500:5_000], seed=seed)


def _computed_together() -> Iterator[dict[str, Any]]:
    """CPU of a 77-label model per text, and of the batcher around it under a crowd."""
    from bailiwick.backends.batching import Batcher
    from bailiwick.domains.batching import Batching

    training, test = _banking()
    random.Random(1).shuffle(training)
    model = _model(training, 1)
    texts = ([each.text for each in test] * 2)[:TEXTS]
    model.predict(texts)  # words are looked up once
    alone = _median_us(lambda: [model.predict([text]) for text in texts])
    for size in (4, 16, 64):

        def batches(size: int = size) -> None:
            for begin in range(0, len(texts), size):
                model.predict(texts[begin : begin + size])

        yield _computed(f"batches of {size}", _median_us(batches), alone)

    for clients in CONNECTIONS:

        async def crowd(clients: int = clients) -> None:
            batcher = Batcher(model.predict, Batching(size=64))

            async def client(own: Sequence[str]) -> None:
                for text in own:
                    await batcher.predict([text], 30.0)
                    await asyncio.sleep(0)

            await asyncio.gather(*(client(texts[number::clients]) for number in range(clients)))

        async def by_themselves(clients: int = clients) -> None:
            async def client(own: Sequence[str]) -> None:
                for text in own:
                    model.predict([text])
                    await asyncio.sleep(0)

            await asyncio.gather(*(client(texts[number::clients]) for number in range(clients)))

        together, each = (
            _median_us(lambda story=story: asyncio.run(story()))
            for story in (crowd, by_themselves)  # type: ignore[misc]
        )
        yield _computed(f"through the batcher, {clients} clients", together, each)


def _computed(name: str, value: float, alone: float) -> dict[str, Any]:
    return record(
        f"CPU per text, Banking77 model: {name}",
        value,
        "us",
        better="lower",
        peer="one by one",
        peer_value=alone,
        runs=RUNS,
    )


def _median_us(work: Any) -> float:
    found = []
    for _ in range(RUNS):
        before = time.process_time()
        work()
        found.append((time.process_time() - before) / TEXTS * 1e6)
    return float(np.median(found))


def _similar() -> Iterator[dict[str, Any]]:
    """Hits and wrong hits of similar questions on Banking77: what may differ is what nobody had labelled alike."""
    from bailiwick.caching.calibrate import asked_against_kept, calibrate
    from bailiwick.caching.similarity import Similarity
    from bailiwick.statistics.proportions import wilson_interval

    training, test = _banking()
    outcomes: dict[tuple[str, float], list[Any]] = {}
    curves: dict[tuple[str, float], list[tuple[int, int, int]]] = {}
    for seed in SEEDS:
        shuffled = list(training)
        random.Random(seed).shuffle(shuffled)
        held_out = list({" ".join(each.text.lower().split()): each for each in [*shuffled[5_000:], *test]}.values())
        similarities = {
            "wording": Similarity(),
            "wording and a model's labels": Similarity(_model(shuffled, seed).predict),
        }
        for name, similarity in similarities.items():
            for budget in BUDGETS:
                found = calibrate(held_out, similarity, max_wrong=budget, seed=seed)
                outcomes.setdefault((name, budget), []).append(found)
            alike, wrong = asked_against_kept(held_out, similarity)
            for threshold in (0.7, 0.8, 0.9):
                hit = alike >= threshold
                counts = (len(alike), int(hit.sum()), int(wrong[hit].sum()))
                curves.setdefault((name, threshold), []).append(counts)
    for (name, budget), many in outcomes.items():
        held = [found for found in many if found.holds]
        yield record(
            f"similar questions, {name}: seeds of {len(SEEDS)} whose held-out half proves <= {100 * budget:g} % wrong",
            len(held),
            "seeds",
            better="higher",
        )
        if held:
            hits, asked = sum(found.hits for found in held), sum(found.questions for found in held)
            mistaken = sum(found.wrong for found in held)
            yield record(f"... hit rate there ({budget:g})", 100 * hits / asked, "%", better="higher")
            yield record(
                f"... wrong hits there ({budget:g})", 100 * mistaken / hits, "%", better="lower", goal=100 * budget
            )
    for (name, threshold), many_counts in curves.items():
        asked, hits, mistaken = (sum(column) for column in zip(*many_counts, strict=True))
        low, high = wilson_interval(mistaken, hits) if hits else (0.0, 1.0)
        label = f"similar questions, {name}, threshold {threshold:g}"
        yield record(f"{label}: hit rate", 100 * hits / asked, "%", better="higher", runs=len(SEEDS))
        words = f"{label}: wrong of {hits:,} hits (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
        yield record(words, 100 * mistaken / max(hits, 1), "%", better="lower", runs=len(SEEDS))


PARTS = {"served": _served, "computed": _computed_together, "similar": _similar}


def main() -> None:
    """Measure and publish. With ``--only PART`` one part is measured again; the figures of the others stay."""
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else None
    if only is None:
        publish("cache", run(list(PARTS)))
        return
    kept = json.loads((RESULTS / "cache.json").read_text("utf-8"))["records"]
    fresh = run([only])
    others = [each for each in kept if _part(each) != only]
    publish("cache", fresh + others if only == "served" else others + fresh)


def _part(figure: dict[str, Any]) -> str:
    """The part that a figure belongs to, by its name."""
    name = figure["name"]
    return "served" if name.startswith("gateway") else "computed" if name.startswith("CPU") else "similar"


if __name__ == "__main__":
    main()
