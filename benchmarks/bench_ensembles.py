"""Ensembles beside their best member: accuracy on Banking77 and HWU64 with intervals, cost, and CPU per answer.

Members are trained with different settings, seeds and parts of the training rows. Held-out rows (validation) choose the
best member and teach weights, thresholds and qualities; the test rows are looked at once, at the end.
"""

from __future__ import annotations

import asyncio
import csv
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bailiwick.backends.ensemble.backend import EnsembleBackend
from bailiwick.backends.ensemble.board import Board, SeatKey
from bailiwick.backends.ensemble.round import Member
from bailiwick.backends.local import LocalBackend
from bailiwick.backends.model import Call, Operation
from bailiwick.backends.ports import Backend
from bailiwick.clock import SystemClock
from bailiwick.datasets.model import Row, Split
from bailiwick.datasets.readers import Columns
from bailiwick.datasets.splitting import Shares
from bailiwick.domains.model import Domain
from bailiwick.evaluation.ensembles import report_document
from bailiwick.governance.audit import Actor
from bailiwick.models.ensemble.fitted import EnsembleModel
from bailiwick.models.ensemble.spec import NAME, EnsembleSpec, MemberSpec, Strategy
from bailiwick.models.ports import FittedModel
from bailiwick.platform import Platform
from bailiwick.settings import Settings
from benchmarks.records import CORPORA, publish, record

WHO = Actor("benchmark")
QUERIES = 2_000
ALL, PART, FIRST, SECOND = "all", "part", "first-half", "second-half"
MEMBERS: dict[str, tuple[str, dict[str, int], int]] = {
    "default": (ALL, {}, 1),
    "short pieces": (ALL, {"longest_piece": 3}, 2),
    "long pieces": (ALL, {"shortest_piece": 4, "longest_piece": 7}, 3),
    "70 % of the rows": (PART, {}, 4),
    "small": (ALL, {"hidden": 16, "epochs": 3, "longest_piece": 3}, 5),
}
"""What each member is trained on, its settings, its seed."""


class Corpus:
    """One corpus in a home folder of its own: its data sets, its members, their measured cost of a query."""

    def __init__(self, home: Path, name: str, columns: Columns) -> None:
        self.platform = Platform(Settings(home=home))
        self.name = name
        self.platform.domains.create(Domain(name, name, f"agent-{name}"), WHO, activate=True)
        folder = CORPORA / name
        given = folder / "valid.csv"
        self.dataset = self.platform.datasets.import_file(
            folder / "train.csv",
            actor=WHO,
            name=f"{name}-{ALL}",
            columns=columns,
            domain=name,
            test=folder / "test.csv",
            validation=given if given.exists() else None,
            shares=Shares(test=0.2, validation=0.1),
        ).id
        chance = random.Random(11)
        labels = sorted(self.platform.datasets.get(self.dataset).labels[name])
        first = set(labels[: len(labels) // 2])
        sets = {
            ALL: self.dataset,
            PART: self._part(home, PART, lambda row: row.split is not Split.TRAIN or chance.random() < 0.7),
            FIRST: self._part(home, FIRST, lambda row: row.label in first),
            SECOND: self._part(home, SECOND, lambda row: row.label not in first),
        }

        def trained(rows: str, settings: dict[str, int], seed: int) -> MemberSpec:
            run = self.platform.training.train(name, sets[rows], actor=WHO, seed=seed, settings=settings)
            assert run.version is not None
            return MemberSpec(name, run.version)

        self.members = {member: trained(*made) for member, made in MEMBERS.items()}
        self.specialists = {rows: trained(rows, {}, 6) for rows in (FIRST, SECOND)}
        self.texts = [row.text for row in self.platform.datasets.rows(self.dataset, Split.TEST, name)]

    def _part(self, home: Path, name: str, keep: Callable[[Row], bool]) -> str:
        """A data set with some of the rows, each in the split that it has in the whole set."""
        path = home / f"{name}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label", "domain", "split"])
            for row in self.platform.datasets.rows(self.dataset):
                if keep(row):
                    writer.writerow([row.text, row.label, row.domain, row.split])
        return self.platform.datasets.import_file(path, actor=WHO, name=f"{self.name}-{name}").id

    def model(self, spec: MemberSpec) -> FittedModel:
        """The model of a member."""
        assert spec.version is not None
        return self.platform.registry.load(spec.version)

    def cost(self, spec: MemberSpec) -> float:
        """CPU microseconds of one query, warmed up."""
        model = self.model(spec)
        for text in self.texts[:200]:
            model.predict([text])
        begun = time.process_time()
        for text in self.texts[:QUERIES]:
            model.predict([text])
        return (time.process_time() - begun) / len(self.texts[:QUERIES]) * 1e6

    def report(self, members: list[MemberSpec], strategy: Strategy, **options: Any) -> dict[str, Any]:
        """Fit where there is something to learn, then judge on the test rows."""
        made = self.platform.ensembles.fit(self.name, members, strategy, self.dataset, actor=WHO, **options)
        found = report_document(self.platform.ensemble_evaluation.evaluate(made.id, actor=WHO))
        return found | {"version": made.id}


def run() -> list[dict[str, Any]]:
    """Every figure, as records."""
    records: list[dict[str, Any]] = []
    for name, columns in (("banking77", Columns(label="category")), ("hwu64", Columns(label="intent"))):
        with tempfile.TemporaryDirectory() as folder:
            corpus = Corpus(Path(folder), name, columns)
            records += accuracy(corpus) + specialists(corpus)
            if name == "banking77":
                records += speed(corpus)
            corpus.platform.close()
    return records


def accuracy(corpus: Corpus) -> list[dict[str, Any]]:
    """Each member, then each strategy against the member that the held-out rows find best."""
    members = list(corpus.members.values())
    first = corpus.report(members, Strategy.VOTE)
    names = {spec.version: name for name, spec in corpus.members.items()}
    records = [
        record(f"{corpus.name}: member {names[each['member']]!r}", each["member_accuracy"], "accuracy", better="higher")
        for each in sorted(first["against"], key=lambda each: list(names).index(each["member"]))
    ]
    best = names[first["best_member"].partition("@")[2]]
    records += against_best(corpus.name, "confidence-weighted vote", first, best)
    for strategy in (Strategy.MAJORITY, Strategy.AVERAGE, Strategy.STACKING):
        records += against_best(corpus.name, strategy.value, corpus.report(members, strategy), best)
    costs = {name: corpus.cost(spec) for name, spec in corpus.members.items()}
    stacked = corpus.report(members, Strategy.STACKING)["version"]
    pair = [
        MemberSpec(corpus.name, corpus.members[best].version, cost=costs[best]),
        MemberSpec(corpus.name, stacked, cost=sum(costs.values())),
    ]
    for loss in (0.005, 0.01):
        found = corpus.report(pair, Strategy.CASCADE, largest_loss=loss)
        label = f"{corpus.name}: cascade {best!r} -> stacking of all, at most {loss * 100:g} points lost"
        (whole,) = [each for each in found["against"] if each["member"] == stacked]
        records += [
            record(
                label,
                whole["ensemble_accuracy"],
                "accuracy",
                better="higher",
                peer="stacking always",
                peer_value=whole["member_accuracy"],
            ),
            record(f"{label}: lost", -whole["difference"] * 100, "points", better="lower", goal=loss * 100),
            record(f"{label}: lost, low end of 95 %", -whole["high"] * 100, "points", better="lower"),
            record(f"{label}: lost, high end of 95 %", -whole["low"] * 100, "points", better="lower"),
            record(
                f"{label}: CPU of its members",
                found["cost_per_1000_tokens"],
                "us/query",
                better="lower",
                peer="stacking always",
                peer_value=sum(costs.values()),
            ),
        ]
    return records


def specialists(corpus: Corpus) -> list[dict[str, Any]]:
    """Two members that each know half of the labels: who is asked must follow from the text."""
    members = list(corpus.specialists.values())
    records: list[dict[str, Any]] = []
    for strategy in (Strategy.SELECT, Strategy.AVERAGE, Strategy.STACKING):
        found = corpus.report(members, strategy)
        best = "a specialist of half of the labels"
        records += against_best(corpus.name, f"two specialists, {strategy.value}", found, best)
        asked = found["members_asked_per_text"]
        records.append(
            record(
                f"{corpus.name}: two specialists, {strategy.value}: members asked", asked, "per text", better="lower"
            )
        )
    return records


def against_best(corpus: str, label: str, report: dict[str, Any], best: str) -> list[dict[str, Any]]:
    """Accuracy, and the difference to the member chosen on held-out rows with its paired 95 % interval."""
    found = report["against"][0]
    peer = f"best member on held-out: {best!r}"
    return [
        record(
            f"{corpus}: {label}",
            found["ensemble_accuracy"],
            "accuracy",
            better="higher",
            peer=peer,
            peer_value=found["member_accuracy"],
        ),
        record(f"{corpus}: {label}, difference to the best", found["difference"] * 100, "points", better="higher"),
        record(f"{corpus}: {label}, low end of 95 %", found["low"] * 100, "points", better="higher"),
        record(f"{corpus}: {label}, high end of 95 %", found["high"] * 100, "points", better="higher"),
    ]


def speed(corpus: Corpus) -> list[dict[str, Any]]:
    """CPU of one chat answer by a member alone, and by ensembles of one to five members in this process."""
    specs = list(corpus.members.values())
    local = {
        spec.name: LocalBackend(corpus.model(spec), domain=corpus.name, version=str(spec.version), clock=SystemClock())
        for spec in specs
    }
    alone = float(np.mean([cpu_us(backend, corpus.texts) for backend in local.values()]))
    records = [record("CPU of a member's answer alone (mean)", alone, "us", better="lower")]
    for strategy in (Strategy.VOTE, Strategy.STACKING):
        for count in range(1, len(specs) + 1):
            spent = cpu_us(_ensemble(corpus, strategy, specs[:count], local), corpus.texts)
            own = float(sum(cpu_us(local[spec.name], corpus.texts) for spec in specs[:count]))
            records.append(
                record(
                    f"CPU of an answer by {strategy.value} of {count}",
                    spent,
                    "us",
                    better="lower",
                    peer=f"the {count} asked one by one",
                    peer_value=own,
                )
            )
    return records


def _ensemble(
    corpus: Corpus, strategy: Strategy, specs: list[MemberSpec], local: dict[str, LocalBackend]
) -> EnsembleBackend:
    board = Board()
    labels = tuple(sorted({label for backend in local.values() for label in backend.labels}))
    model = EnsembleModel(EnsembleSpec(strategy, tuple(specs), labels, quorum=1), None, corpus.model)
    made = EnsembleBackend(model, domain=corpus.name, version=NAME, clock=SystemClock(), board=board)
    members = [
        Member(spec, str(spec.version), local[spec.name], board.seat(corpus.name, SeatKey(made.name, spec.name)))
        for spec in specs
    ]
    return made.bound(members, None)


def cpu_us(backend: Backend, texts: list[str]) -> float:
    """CPU microseconds of one chat answer as JSON, the better of two runs, warmed up."""

    async def story() -> float:
        async def ask(text: str, number: int) -> None:
            body = {"messages": [{"role": "user", "content": text}], "response_format": {"type": "json_object"}}
            await backend.answer(Call(Operation.CHAT, body, f"r{number}"))

        for text in texts[:200]:
            await ask(text, 0)
        best = float("inf")
        for _ in range(2):
            begun = time.process_time()
            for number, text in enumerate(texts[:QUERIES]):
                await ask(text, number)
            best = min(best, (time.process_time() - begun) / len(texts[:QUERIES]))
        return best * 1e6

    return asyncio.run(story())


if __name__ == "__main__":
    publish("ensembles", run())
