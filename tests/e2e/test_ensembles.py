"""Ensembles through a real server, with the official client, while a member dies and comes back."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from commands import run_apart
from serving import ADA, Fleet, ServerProcess, Upstream, serving

from bailiwick.domains.model import Domain
from bailiwick.models.ensemble.spec import MemberSpec, Strategy
from bailiwick.training.ensembles import Terms

LOST: Any = [{"role": "user", "content": "my card was stolen"}]
_WITHIN_S = 60


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.close()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Fleet:
    """`cards` is a vote of two local versions and an upstream; `panel` falls from a dead upstream to a good one."""
    built = Fleet(tmp_path_factory.mktemp("fleet"))
    built.upstream("outside", upstream.url, timeout_s=1.0, retries=0)
    built.upstream("nowhere", "http://127.0.0.1:9/v1", timeout_s=1.0, retries=0)
    built.create(Domain("panel", "Panel", "agent-panel"))
    built.create(Domain("ghosts", "Ghosts", "agent-ghosts"))
    first = MemberSpec("cards", built.versions["cards"][0])
    second = MemberSpec("cards", built.train("cards"))
    ensembles = built.platform.ensembles
    terms = Terms(quorum=2, deadline_ms=2_000.0)
    vote = ensembles.create("cards", [first, second, MemberSpec("outside")], Strategy.VOTE, actor=ADA, terms=terms)
    built.shift("cards", {vote.id: 10_000})
    members = [MemberSpec("nowhere"), MemberSpec("outside"), MemberSpec("ghosts")]
    panel = ensembles.create("panel", members, Strategy.FIRST_GOOD, actor=ADA)
    built.shift("panel", {panel.id: 10_000})
    built.versions |= {"vote": [vote.id], "panel": [panel.id]}
    return built


@pytest.fixture(scope="module")
def server(fleet: Fleet) -> Iterator[ServerProcess]:
    with serving(fleet.home) as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=30) as made:
        yield made


def fetched(server: ServerProcess, path: str) -> str:
    with urllib.request.urlopen(f"{server.url}{path}", timeout=10) as response:
        text: str = response.read().decode()
        return text


def member(server: ServerProcess, name: str) -> dict[str, Any]:
    """A member of the vote as `/v1/backends` shows it."""
    listed = json.loads(fetched(server, "/v1/backends"))["data"]
    (found,) = [each for each in listed if each.get("member") == name and each["domain"] == "cards"]
    return dict(found)


def until(look: Callable[[], bool]) -> None:
    ends = time.monotonic() + _WITHIN_S
    while not look():
        assert time.monotonic() < ends, "it did not come to that"
        time.sleep(0.1)


def test_vote__official_client__answer_members_and_version(
    client: openai.OpenAI, fleet: Fleet, upstream: Upstream
) -> None:
    upstream.will("ok")
    raw = client.chat.completions.with_raw_response.create(model="cards", messages=LOST)
    answer = raw.parse()
    assert raw.headers["x-bailiwick-version"] == fleet.versions["vote"][0]
    assert answer.choices[0].message.content == "lost_card"
    assert answer.usage is not None and answer.usage.prompt_tokens == 4 + 4 + 1
    told = answer.model_extra["bailiwick"]  # type: ignore[index]
    assert len(told["agreed"]) == 2
    assert {part["label"] for part in told["members"]} == {"lost_card", "hello"}


def test_vote__streamed_by_the_official_client__the_decided_answer(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="cards", messages=LOST, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "lost_card"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_vote__responses_and_completions_and_embeddings__in_their_shapes(client: openai.OpenAI) -> None:
    assert client.responses.create(model="cards", input="my card was stolen").output_text == "lost_card"
    completion = client.completions.create(model="cards", prompt="my card was stolen")
    assert completion.choices[0].text == "lost_card"
    assert client.embeddings.create(model="cards", input="my card was stolen").data[0].embedding


def test_vote__a_member_dies_and_comes_back__every_request_is_answered(
    client: openai.OpenAI, server: ServerProcess, upstream: Upstream, fleet: Fleet
) -> None:
    upstream.will("503")
    asked = 0
    name = "outside@upstream"
    while member(server, name)["state"] == "active" and asked < 60:
        asked += 1
        answer = client.chat.completions.create(model="cards", messages=LOST)
        assert answer.choices[0].message.content == "lost_card"
    benched = member(server, name)
    assert benched["state"] in ("benched", "trial")
    assert "of its calls failed" in benched["why"] or benched["why"] == "failed on trial"
    answer = client.chat.completions.create(model="cards", messages=LOST)
    assert len(answer.model_extra["bailiwick"]["members"]) == 2  # type: ignore[index]
    upstream.will("ok")

    def back() -> bool:
        found = client.chat.completions.create(model="cards", messages=LOST)
        assert found.choices[0].message.content == "lost_card"
        return bool(member(server, name)["state"] == "active")

    until(back)
    metrics = fetched(server, "/metrics")
    assert 'bailiwick_ensemble_member_benchings_total{domain="cards"' in metrics
    (share,) = [
        line
        for line in metrics.splitlines()
        if "member_share" in line and f'member="{name}"' in line and "cards" in line
    ]
    assert 0 < float(share.rpartition(" ")[2]) <= 1


def test_vote__observations__one_per_request_and_the_members_apart(
    client: openai.OpenAI, server: ServerProcess, fleet: Fleet, upstream: Upstream
) -> None:
    upstream.will("503")
    version = fleet.versions["vote"][0]

    def counted(domain: str, name: str, metric: str) -> int:
        found = json.loads(fetched(server, f"/v1/metrics/{domain}"))["metrics"]
        return sum(each["count"] for each in found if each["version"] == name and each["metric"] == metric)

    def settled() -> tuple[int, int]:
        """Requests and the local member's parts, once nothing new is written any more."""
        before = (-1, -1)
        while True:
            now = (
                counted("cards", version, "latency_ms"),
                counted("cards", fleet.versions["cards"][0], "member_failed"),
            )
            if now == before:
                return now
            before = now
            time.sleep(1.5)

    first = settled()
    for _ in range(5):
        client.chat.completions.create(model="cards", messages=LOST)
    until(lambda: counted("cards", version, "latency_ms") >= first[0] + 5)
    second = settled()
    assert (second[0] - first[0], second[1] - first[1]) == (5, 5)
    assert counted("cards", version, "member_failed") == 0
    assert counted("cards", fleet.versions["cards"][0], "failed") == 0, "a member's part is no request to it"


def test_first_good__a_dead_member_and_one_without_version__the_next_answers(
    client: openai.OpenAI, server: ServerProcess, upstream: Upstream
) -> None:
    upstream.will("ok")
    until(lambda: client.chat.completions.create(model="panel", messages=LOST).choices[0].message.content == "hello")
    answer = client.chat.completions.create(model="panel", messages=LOST)
    assert answer.model_extra["bailiwick"]["agreed"] == ["outside@upstream"]  # type: ignore[index]
    problems = json.loads(fetched(server, "/readyz"))["problems"]
    assert any("goes without 'ghosts'" in problem for problem in problems)


def test_first_good__everybody_is_gone__a_typed_503(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.will("503")
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model="panel", messages=LOST)
    assert refused.value.status_code == 503
    assert refused.value.code == "quorum_missing"
    upstream.will("ok")


def test_backend_list__members_of_ensembles__shown_apart(server: ServerProcess, fleet: Fleet) -> None:
    line = f"bailiwick backend list --url {server.url}"
    done = run_apart(line, fleet.home, {"COLUMNS": "200"})
    assert done.exit_code == 0, done.errors
    assert f"Members of cards@{fleet.versions['vote'][0]}" in done.output
    assert "outside@upstream" in done.output
