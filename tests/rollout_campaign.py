"""Rollouts while their controllers and gateways are killed, and what the database's own records say of it afterwards.

Controllers and gateways are real processes: two that only move rollouts, two of `bailiwick serve` (which move them as
well). Users ask all the while, each at a gateway that is not known to be dead; whose gateway is killed with SIGKILL
under his request asks the other one, as behind any load balancer. Whatever else goes wrong is a failed request.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import servers
from deliveries import GOOD
from serving import ADA, TEXTS, Fleet, ServerProcess

from bailiwick.delivery.rollout.freeze import FreezeWindow, Weekday
from bailiwick.delivery.rollout.model import (
    Direction,
    Finding,
    MetricRule,
    Rollout,
    RolloutPolicy,
    RolloutState,
    Statistic,
    Step,
    Transition,
)
from bailiwick.delivery.watch import WATCHER
from bailiwick.errors import Conflict
from bailiwick.governance.audit import Actor
from bailiwick.models.catalogue import family
from bailiwick.models.model import LabelledText
from bailiwick.platform import Platform
from bailiwick.traffic.assign import versions_for
from bailiwick.traffic.model import SLOTS, PlanRecord

STEPS = (Step(2_000, 0.5, 20, 3.0), Step(5_000, 0.5, 40, 2.0), Step(SLOTS))
POLICY = RolloutPolicy(
    (
        MetricRule("failed", Statistic.RATE, Direction.LOWER, 0.2),
        MetricRule("correct", Statistic.RATE, Direction.HIGHER, 0.2),
    ),
    guard_s=1.0,
)
QUESTIONS = [(text, label) for label, texts in TEXTS["cards"].items() for text in texts]
DECIDES_WITHIN_S = 180
_USERS = [f"user-{number}" for number in range(500)]

# Ticks ten times a second under a short lease, so that it changes hands often.
CONTROLLER = """
import sys, time
from pathlib import Path
from bailiwick.delivery.rollout.controller import RolloutController
from bailiwick.errors import BailiwickError
from bailiwick.platform import Platform
from bailiwick.settings import Settings
platform = Platform(Settings(home=Path(sys.argv[1])))
controller = RolloutController(
    platform.database, platform.leases, platform.traffic, platform._rollout_reader, platform._rollout_recorder,
    platform.metrics.experiments.tally_all, ttl_s=0.7,
)
print("ready", flush=True)
while True:
    try:
        controller.tick(platform.clock.now())
    except BailiwickError as error:
        print(error, file=sys.stderr)
    time.sleep(0.1)
"""


@dataclass
class Counts:
    """What happened in a campaign.

    Args:
        requests: of users, answered with 200.
        moved: of these, asked again at the other gateway since their own was killed under them.
        failed: why requests failed, if any did.
        opinions: what the server said to each opinion on an answer, by status; 0: it was gone.
        taken_back: by the watch over young deployments, whose thresholds a busy machine's latency may cross.
        applied_s: seconds from the last plan of a rollout until every living gateway served it.
    """

    requests: int = 0
    moved: int = 0
    failed: list[str] = field(default_factory=list)
    opinions: Counter[int] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    second_starts_refused: int = 0
    transitions: int = 0
    taken_back: int = 0
    fences: int = 0
    applied_s: list[float] = field(default_factory=list)


class Campaign:
    """A fleet with two controllers, two gateways, users, and somebody who kills.

    Args:
        home: of the fleet; the database is the environment's, else a file in it.
        seed: of who is killed when.
    """

    def __init__(self, home: Path, seed: int) -> None:
        self.fleet, self.counts = Fleet(home), Counts()
        self.platform: Platform = self.fleet.platform
        self._random, self._home = random.Random(seed), home
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._users = itertools.count()
        self._killed: set[ServerProcess] = set()
        self.controllers = [self._controller() for _ in range(2)]
        self.gateways = [self._gateway() for _ in range(2)]

    def close(self) -> None:
        """End everybody."""
        self._over.set()
        for controller in self.controllers:
            controller.kill()
            controller.wait()
        for gateway in self.gateways:
            if gateway.process.poll() is None:
                gateway.process.kill()
            gateway.process.wait()
        self.platform.close()

    def _controller(self) -> subprocess.Popen[str]:
        source = str(Path(__file__).resolve().parents[1] / "src")
        process = subprocess.Popen(
            [sys.executable, "-c", CONTROLLER, str(self._home)],
            env={**os.environ, "PYTHONPATH": source},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def _gateway(self) -> ServerProcess:
        return ServerProcess(self._home, {"BAILIWICK_METRICS_INTERVAL_S": "0.2"})

    def train(self, *, shuffled: bool) -> str:
        """A version whose recorded numbers pass every gate; with shuffled labels it answers wrongly all the same."""
        labels = [label for _, label in QUESTIONS]
        labels = labels[4:] + labels[:4] if shuffled else labels
        examples = [LabelledText(text, label) for (text, _), label in zip(QUESTIONS, labels, strict=True)]
        model = family().train(examples, (), seed=7)
        registry = self.platform.registry
        artefact = registry.store_model(model)
        with self.platform.database.write() as connection:
            made = registry.register(connection, ADA, domain="cards", family=model.card.family, artefact=artefact)
            registry.record_metrics(connection, made.id, GOOD, ADA)
        return made.id

    def roll_out(self, *, shuffled: bool, meanwhile: Callable[[], None] = lambda: None) -> Rollout:
        """One rollout until it is over, then until every gateway serves its last plan."""
        # both beforehand: a bad version may be taken back in less time than a training takes
        version, second = self.train(shuffled=shuffled), self.train(shuffled=False)
        rollouts = self.platform.rollouts
        started = rollouts.start("cards", version, actor=ADA, steps=STEPS, policy=POLICY, adapt=False).rollout
        assert started is not None
        try:
            rollouts.start("cards", second, actor=ADA, steps=STEPS, policy=POLICY)
        except Conflict:
            self.counts.second_starts_refused += 1
        meanwhile()
        _eventually(lambda: _away_is_no(lambda: rollouts.get(started.id).state.is_final), "the rollout is not decided")
        ended = rollouts.get(started.id)
        self.counts.endings[ended.state.value] += 1
        assert ended.state is (RolloutState.ABORTED if shuffled else RolloutState.SUCCEEDED), ended.reason
        self._await_plan()
        return ended

    def abort_by_hand(self) -> Rollout:
        """In a freeze, while no controller runs: a person needs neither evidence nor a controller nor a window."""
        always = FreezeWindow("always", days=frozenset(Weekday), lasts=timedelta(hours=24))
        policy = RolloutPolicy(POLICY.metrics, freezes=(always,))
        for controller in self.controllers:
            controller.send_signal(signal.SIGSTOP)
        rollouts = self.platform.rollouts
        version = self.train(shuffled=False)
        breaking = Actor("ada", reason="a rehearsal")
        started = rollouts.start(
            "cards", version, actor=breaking, steps=STEPS, policy=policy, adapt=False, break_glass=True
        ).rollout
        assert started is not None
        while True:  # a gateway's controller may be writing at the same instant
            with contextlib.suppress(Conflict):
                ended = rollouts.abort(started.id, actor=Actor("ada", reason="by hand"))
                break
        for controller in self.controllers:
            controller.send_signal(signal.SIGCONT)
        self.counts.endings["aborted by hand"] += 1
        self._await_plan()
        return ended

    def kill_at_random(self, kills: int) -> None:
        """Kill controllers and gateways, or make a controller sleep through the end of its lease."""
        for _ in range(kills):
            time.sleep(self._random.uniform(0.2, 1.2))
            which = self._random.randrange(2)
            # by turns, so that even a short campaign has every kind
            kind = ("controller", "gateway", "sleep")[self.counts.kills.total() % 3]
            if kind == "controller":
                self.controllers[which].kill()
                self.controllers[which].wait()
                self.controllers[which] = self._controller()
            elif kind == "sleep":
                self.controllers[which].send_signal(signal.SIGSTOP)
                time.sleep(1.5)
                self.controllers[which].send_signal(signal.SIGCONT)
            else:
                self._kill_gateway(which)
            self.counts.kills[kind] += 1

    def restart(self, postgres: servers.OwnPostgres, redis: servers.OwnRedis) -> None:
        """Crash the database for two seconds amid the rollout, then the cache."""
        time.sleep(self._random.uniform(0.5, 1.5))
        postgres.stop()
        time.sleep(2)
        postgres.start()
        self.counts.kills["PostgreSQL restart"] += 1
        time.sleep(self._random.uniform(0.5, 1.5))
        redis.stop()
        time.sleep(1)
        redis.start()
        self.counts.kills["Redis restart"] += 1

    def _kill_gateway(self, which: int) -> None:
        dying = self.gateways[which]
        with self._lock:
            self._killed.add(dying)
        dying.process.kill()
        dying.process.wait()
        self.gateways[which] = self._gateway()

    def _await_plan(self) -> None:
        begun, newest = time.monotonic(), self.platform.traffic.revision()

        def applied() -> bool:
            reports = sorted(self.platform.gateway_reports.live(), key=lambda report: report.at)
            return sum(report.revision >= newest for report in reports) >= len(self.gateways)

        _eventually(lambda: _away_is_no(applied), "a gateway does not serve the newest plan")
        self.counts.applied_s.append(time.monotonic() - begun)

    @contextlib.contextmanager
    def users(self, threads: int = 2) -> Iterator[None]:
        """Users who ask without a break, and say of each answer whether it was right."""
        workers = [threading.Thread(target=self._ask_on, args=(seed,)) for seed in range(threads)]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            self._over.set()
            for worker in workers:
                worker.join(120)

    def _ask_on(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self._over.is_set():
            number = next(self._users)
            text, label = QUESTIONS[number % len(QUESTIONS)]
            body = {"model": "cards", "messages": [{"role": "user", "content": text}], "user": f"user-{number}"}
            moved = False
            while True:
                gateway = rng.choice([each for each in self.gateways if each not in self._killed])
                try:
                    status, answer, request = _post(gateway, "/v1/chat/completions", body)
                except (OSError, http.client.HTTPException) as error:
                    if gateway in self._killed and not moved:
                        moved = True
                        continue
                    self._fail(f"{type(error).__name__}: {error}")
                    break
                if status != 200:
                    self._fail(f"{status}: {answer}")
                else:
                    right = label in answer["choices"][0]["message"]["content"]
                    self._answered(moved, self._opinion(gateway, request, right))
                break

    def _opinion(self, gateway: ServerProcess, request: str, right: bool) -> int:
        """Give feedback; its status. An opinion waits for the database, so it is not counted as a user's request."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return _post(gateway, "/v1/feedback", {"request_id": request, "value": right})[0]
        return 0

    def _answered(self, moved: bool, said: int) -> None:
        with self._lock:
            self.counts.requests += 1
            self.counts.moved += moved
            self.counts.opinions[said] += 1

    def _fail(self, why: str) -> None:
        with self._lock:
            self.counts.failed.append(why)

    def violations(self) -> list[str]:
        """What the database's records say against the invariants; counts what they hold."""
        rollouts = list(reversed(self.platform.rollouts.list("cards", limit=100_000)))
        moves = {rollout.id: list(self.platform.rollouts.transitions(rollout.id)) for rollout in rollouts}
        self.counts.transitions = sum(map(len, moves.values()))
        history = self.platform.traffic.history("cards", limit=100_000)
        self.counts.taken_back = sum(record.actor == WATCHER for record in history)
        self.counts.fences = len({move.fence for each in moves.values() for move in each if move.fence is not None})
        plans = {record.plan.revision: record for record in history}
        return [
            *(wrong for rollout in rollouts for wrong in _of_rollout(rollout, moves[rollout.id], plans)),
            *_of_all(rollouts, moves, plans),
            *self._unaudited(moves, plans),
            *self.platform.transparency.verify().findings,
        ]

    def _unaudited(self, moves: dict[str, list[Transition]], plans: dict[int, PlanRecord]) -> Iterator[str]:
        """I6: each effect has its entry, and each entry its effect."""
        entries = self.platform.audit.entries(limit=1_000_000)
        told = Counter(
            (entry.subject, entry.after["row_version"]) for entry in entries if entry.subject.startswith("rollout:")
        )
        done = Counter((f"rollout:{move.rollout}", move.row_version) for each in moves.values() for move in each)
        if told != done:
            yield f"I6 entries {told - done} without a move, moves {done - told} without an entry"
        told_plans = Counter(entry.after["revision"] for entry in entries if entry.subject == "traffic:cards")
        made_plans = Counter(list(plans))
        if told_plans != made_plans:
            yield f"I6 plans and their entries differ: {told_plans - made_plans}, {made_plans - told_plans}"


def _of_rollout(rollout: Rollout, moves: Sequence[Transition], plans: dict[int, PlanRecord]) -> Iterator[str]:
    """I1, I2, I3, I7 and I8 of one rollout."""
    versions = [move.row_version for move in moves]
    if versions != list(range(1, rollout.row_version + 1)):
        yield f"I3 {rollout.id}: transitions to {versions}, and the row is at {rollout.row_version}"
    finals = [move for move in moves if move.after.is_final]
    if len(finals) > 1 or (finals and moves[-1] is not finals[0]):
        yield f"I2 {rollout.id}: it moved after its end"
    before: Transition | None = None
    for move in moves:
        record = plans.get(move.plan_revision)
        if record is None:
            yield f"I4 {rollout.id}: no plan {move.plan_revision}"
            continue
        yield from _of_plan(rollout, move, record)
        weight = 0 if before is None else before.weight
        if move.weight > weight and move.action == "advance" and not _proven(move):
            yield f"I1 {rollout.id}: {weight} to {move.weight} without evidence"
        if move.weight > weight and move.action not in {"start", "advance", "finish"}:
            yield f"I2 {rollout.id}: {move.action} raised the weight"
        if before is not None and not move.after.is_final:
            had, has = (versions_for(plans[each.plan_revision].plan, _USERS) for each in (before, move))
            if ((had == rollout.version) & (has != rollout.version)).any():
                yield f"I8 {rollout.id}: users went back while the weight rose"
        before = move


def _of_plan(rollout: Rollout, move: Transition, record: PlanRecord) -> Iterator[str]:
    """I4, I7 and I8 of one move and its plan."""
    weights = record.plan.weights
    if sum(weights.values()) != SLOTS:
        yield f"I8 plan {move.plan_revision} gives {weights}"
    if weights.get(rollout.version, 0) != move.weight:
        yield f"I4 {rollout.id}: {move.weight} is wanted, plan {move.plan_revision} gives {weights}"
    if not move.after.is_final and weights.get(rollout.baseline, 0) < rollout.policy.hold_back:
        yield f"I7 {rollout.id}: the baseline has {weights} while it is {move.after.value}"
    if move.after is RolloutState.ABORTED and weights != {rollout.baseline: SLOTS}:
        yield f"I7 {rollout.id}: after the abort the plan gives {weights}"


def _proven(move: Transition) -> bool:
    required = [metric for metric in move.evidence.metrics if metric.rule.required]
    return bool(required) and all(metric.finding is Finding.HARMLESS for metric in required) and not move.forced


def _of_all(
    rollouts: Sequence[Rollout], moves: dict[str, list[Transition]], plans: dict[int, PlanRecord]
) -> Iterator[str]:
    """I2, I3 and I5 over all rollouts of the domain."""
    for earlier, later in itertools.pairwise(rollouts):
        if earlier.ended_at is None or moves[later.id][0].plan_revision <= moves[earlier.id][-1].plan_revision:
            yield f"I5 {later.id} began while {earlier.id} was active"
    claimed = Counter(revision for each in moves.values() for revision in {move.plan_revision for move in each})
    first = min((each[0].plan_revision for each in moves.values()), default=0)
    for revision, record in sorted(plans.items()):
        if revision >= first and claimed[revision] != 1 and not _between(record, moves):
            told = f"{record.change} by {record.actor} ({record.reason})"
            yield f"I3 plan {revision}, {told}, belongs to {claimed[revision]} rollouts"
    aborted: set[str] = set()
    ends = {each[-1].plan_revision: rollout for rollout in rollouts for each in [moves[rollout.id]]}
    for revision in sorted(plans):
        if back := aborted & plans[revision].plan.weights.keys():
            yield f"I2 plan {revision} gives traffic to {back}, which was aborted"
        if revision in ends and ends[revision].state is RolloutState.ABORTED:
            aborted.add(ends[revision].version)


def _between(record: PlanRecord, moves: dict[str, list[Transition]]) -> bool:
    """Whether a plan is the watch's, which takes versions back on thresholds, and no rollout was active then."""
    revision = record.plan.revision
    active = any(each[0].plan_revision <= revision <= each[-1].plan_revision for each in moves.values())
    return record.actor == WATCHER and not active


def _post(gateway: ServerProcess, path: str, body: dict[str, object]) -> tuple[int, dict[str, object], str]:
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read()), response.getheader("x-request-id", "")
    finally:
        connection.close()


def _away_is_no(ask: Callable[[], bool]) -> bool:
    """The answer; no while the database is away."""
    with contextlib.suppress(Exception):
        return ask()
    return False


def _eventually(condition: Callable[[], bool], words: str) -> None:
    ends = time.monotonic() + DECIDES_WITHIN_S
    while not condition():
        assert time.monotonic() < ends, words
        time.sleep(0.05)


def campaign(home: Path, seed: int, *, kills: Sequence[int]) -> tuple[Counts, list[str]]:
    """Rollouts of good and bad versions by turns, with so many kills each, then one taken back by hand.

    Returns:
        The counts, and what the records say against the invariants.
    """
    run = Campaign(home, seed)
    try:
        with run.users():
            for number, more in enumerate(kills):
                run.roll_out(shuffled=number % 2 == 1, meanwhile=partial(run.kill_at_random, more))
            run.abort_by_hand()
        return run.counts, run.violations()
    finally:
        run.close()


def restart_campaign(home: Path, seed: int) -> tuple[Counts, list[str]]:
    """A rollout of a good and of a bad version, with PostgreSQL and Redis crashed and started again in each.

    Raises:
        servers.CannotRun: a server's package is missing.
    """
    redis, postgres = servers.OwnRedis(), servers.OwnPostgres(home / "pg")
    named = {"BAILIWICK_DATABASE_URL": postgres.url, "BAILIWICK_REDIS_URL": redis.url}
    os.environ.update(named)
    try:
        run = Campaign(home / "home", seed)
        try:
            with run.users():
                for shuffled in (False, True):
                    run.roll_out(shuffled=shuffled, meanwhile=partial(run.restart, postgres, redis))
                run.abort_by_hand()
            return run.counts, run.violations()
        finally:
            run.close()
    finally:
        for name in named:
            del os.environ[name]
        postgres.close()
        redis.close()
