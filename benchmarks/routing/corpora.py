"""Routing and model end to end on two corpora, before and after learning from feedback.

The fleet: the 18 domains of HWU64 and, as a nineteenth, Banking77; each with a model trained on its training texts. The
detector knows 10 texts of each domain only, as on the first day of a young fleet. Users ask what it does not know yet:
training texts that it was not shown, each judged by whether the model that answered gave the right intent. Learning
sees those judgements only, once every 500 queries; the test texts are asked before and after, with nothing learned.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import NormalDist
from typing import Any

import numpy as np

from bailiwick.detection.detector import Detector
from bailiwick.detection.learn import learn as learn_detector
from bailiwick.detection.model import Detection
from bailiwick.domains.model import Domain
from bailiwick.models.catalogue import family
from bailiwick.models.model import LabelledText
from bailiwick.routing.learn import learn
from bailiwick.routing.model import Mode, RoutingTable
from bailiwick.routing.policy import Algorithm, Knobs, Policy
from bailiwick.routing.rewards import Judged
from bailiwick.routing.rules import RuleBook
from bailiwick.routing.runtime import Published, Question, Router
from benchmarks.records import CORPORA, record

SEED = 20260101
KNOWN = 10
ASKED = 8_000
BATCH = 500
_START = datetime(2026, 1, 1, tzinfo=UTC)
BANKING = "banking"
DEFAULT = "general"

Asked = tuple[str, str, str]  # text, domain, intent


def _hwu64(name: str) -> list[Asked]:
    with (CORPORA / "hwu64" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["domain"], row["intent"]) for row in csv.DictReader(file)]


def _banking77(name: str) -> list[Asked]:
    with (CORPORA / "banking77" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [(row["text"], BANKING, row["category"]) for row in csv.DictReader(file)]


class _Replayed:
    """Detections that were made beforehand: the same texts are asked of several policies."""

    def __init__(self, detections: dict[str, Detection]) -> None:
        self._detections = detections

    def detect(self, text: str) -> Detection:
        return self._detections[text]


class Fleet:
    """Models, detections, and which intents each model would give."""

    def __init__(self) -> None:
        random = np.random.default_rng(SEED)
        training = _hwu64("train") + _banking77("train")
        test = _hwu64("test") + _banking77("test")
        order = random.permutation(len(training))
        shown: dict[str, list[LabelledText]] = {}
        rest: list[Asked] = []
        for position in order:
            text, domain, intent = training[position]
            if len(shown.setdefault(domain, [])) < KNOWN:
                shown[domain].append(LabelledText(text, intent))
            else:
                rest.append(training[position])
        self.traffic, self.test = rest[:ASKED], test
        _say("training 19 models")
        self.models: dict[str, Any] = {}
        for domain in sorted(shown):
            own = [LabelledText(text, intent) for text, of, intent in training if of == domain]
            labels = {each.label for each in own}
            # a domain of one intent needs no model: it can say nothing else
            self.models[domain] = family().train(own, (), seed=SEED) if len(labels) > 1 else labels.pop()
        _say("learning to detect from 10 texts of each domain")
        domains = {domain: Domain(domain, domain, "bench") for domain in shown}
        detector = Detector(domains, learn_detector(list(domains.values()), shown, seed=SEED))
        texts = [text for text, _, _ in [*self.traffic, *self.test]]
        self.detections = dict(zip(texts, detector.detect_all(texts), strict=True))
        names = frozenset(domains)
        self.table = RoutingTable(names, names, {}, default=DEFAULT)
        self._said: dict[tuple[str, str], str] = {}

    def said(self, domain: str, texts: Sequence[str]) -> list[str]:
        """The intents that a domain's model gives."""
        model = self.models[domain]
        if isinstance(model, str):
            return [model] * len(texts)
        fresh = [text for text in texts if (domain, text) not in self._said]
        if fresh:
            best = model.predict(fresh).argmax(axis=1)
            labels = model.card.labels
            self._said.update({(domain, text): labels[place] for text, place in zip(fresh, best, strict=True)})
        return [self._said[(domain, text)] for text in texts]

    def route(self, router: Router, asked: Sequence[Asked], prefix: str) -> list[Any]:
        """The route of each query."""
        detector = _Replayed(self.detections)
        return [
            router.route(Question(text, "chat/completions", f"{prefix}-{n}"), self.table, detector)
            for n, (text, _, _) in enumerate(asked)
        ]

    def correct(self, routes: Sequence[Any], asked: Sequence[Asked]) -> np.ndarray[Any, Any]:
        """Whether the model that was asked gave the right intent."""
        right = np.zeros(len(asked), bool)
        for domain in {route.domain for route in routes}:
            at = [n for n, route in enumerate(routes) if route.domain == domain]
            for place, label in zip(at, self.said(domain, [asked[n][0] for n in at]), strict=True):
                right[place] = label == asked[place][2] and domain == asked[place][1]
        return right


def _router(policy: Policy) -> Router:
    return Router(Published(1, Mode.ON, RuleBook(()), policy, 1))


def _learned(fleet: Fleet, knobs: Knobs) -> tuple[Policy, float]:
    """The policy after all traffic, and the accuracy on the traffic itself, exploration included."""
    judged: list[Judged] = []
    policy, hits = Policy(knobs), 0
    for begin in range(0, len(fleet.traffic), BATCH):
        asked = fleet.traffic[begin : begin + BATCH]
        routes = fleet.route(_router(policy), asked, f"t{begin}")
        right = fleet.correct(routes, asked)
        hits += int(right.sum())
        for n, (route, value) in enumerate(zip(routes, right, strict=True)):
            made = route.decision
            if made is not None:
                at = _START + timedelta(minutes=begin + n)
                judged.append(
                    Judged(
                        f"{begin + n:06}",
                        at,
                        made.domain,
                        made.propensity,
                        made.features,
                        made.candidates,
                        made.context,
                        "correct",
                        float(value),
                    )
                )
        policy = learn(judged, knobs, _START + timedelta(minutes=begin + BATCH))
    return policy, hits / len(fleet.traffic)


def records() -> list[dict[str, Any]]:
    """Accuracy end to end of detection alone, on the first day, and after learning; intervals are paired."""
    fleet = Fleet()
    alone = fleet.correct(fleet.route(_router(Policy(Knobs(Algorithm.DETECTION))), fleet.test, "x"), fleet.test)
    first_traffic = fleet.correct(
        fleet.route(_router(Policy(Knobs(Algorithm.DETECTION))), fleet.traffic, "x"), fleet.traffic
    )
    best = np.zeros(len(fleet.test), bool)
    for domain in fleet.models:
        at = [n for n, each in enumerate(fleet.test) if each[1] == domain]
        labels = fleet.said(domain, [fleet.test[n][0] for n in at])
        best[at] = [label == fleet.test[n][2] for n, label in zip(at, labels, strict=True)]
    found = [
        _row("detection alone, test texts", alone.mean(), None),
        _row("the right domain always, test texts", best.mean(), None),
        _row("detection alone, traffic", first_traffic.mean(), None),
    ]
    for algorithm in (Algorithm.UCB, Algorithm.THOMPSON, Algorithm.LINUCB):
        _say(f"routing 8,000 queries with {algorithm.value}")
        knobs = Knobs(algorithm)
        fresh = fleet.correct(fleet.route(_router(Policy(knobs)), fleet.test, "first"), fleet.test)
        policy, on_traffic = _learned(fleet, knobs)
        after = fleet.correct(fleet.route(_router(policy), fleet.test, "after"), fleet.test)
        name = algorithm.value
        found += [
            _row(f"{name}: the first day, test texts", fresh.mean(), alone.mean(), fresh, alone),
            _row(f"{name}: 8,000 queries later, test texts", after.mean(), alone.mean(), after, alone),
            _row(f"{name}: the traffic itself, while learning", on_traffic, first_traffic.mean()),
        ]
        for corpus, banking in (("HWU64", False), ("Banking77", True)):
            mine = np.array([(each[1] == BANKING) is banking for each in fleet.test])
            share = f"{name}: 8,000 queries later, the test texts of {corpus}"
            found.append(_row(share, after[mine].mean(), alone[mine].mean(), after[mine], alone[mine]))
    return found


def _row(name: str, value: float, peer: float | None, ours: Any = None, theirs: Any = None) -> dict[str, Any]:
    row = record(
        f"HWU64 and Banking77: {name}",
        round(100 * float(value), 2),
        "% right intents",
        better="higher",
        peer=None if peer is None else "detection alone",
        peer_value=None if peer is None else round(100 * float(peer), 2),
    )
    found = {**row, "part": "corpora"}
    if ours is not None:
        gain = ours.astype(float) - theirs
        found["half_width"] = round(100 * NormalDist().inv_cdf(0.975) * float(gain.std()) / len(gain) ** 0.5, 2)
    return found


def _say(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)
