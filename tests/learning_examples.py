"""Small labelled sets that a model can learn in a moment."""

from __future__ import annotations

import random
from pathlib import Path

from bailiwick.clock import Clock
from bailiwick.datasets.service import DatasetService
from bailiwick.evaluation.service import EvaluationService
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.models import catalogue
from bailiwick.models.model import LabelledText
from bailiwick.registry.artefacts import ArtefactStore
from bailiwick.registry.service import RegistryService
from bailiwick.storage.database import Database
from bailiwick.training.service import TrainingService

ADA = Actor("test:ada")

_WORDS = {
    "block_card": ("block", "lost", "stolen", "freeze", "card"),
    "exchange_rate": ("rate", "euro", "dollar", "exchange", "currency"),
    "open_account": ("open", "account", "new", "savings", "join"),
}
_FILLERS = ("please", "my", "the", "i", "want", "to", "how", "can", "now", "a", "today", "help")


def examples(count: int, seed: int = 0, labels: tuple[str, ...] = tuple(_WORDS)) -> list[LabelledText]:
    """Texts of two telling words among fillers, labels in turn."""
    generator = random.Random(seed)
    made = []
    for number in range(count):
        label = labels[number % len(labels)]
        words = generator.sample(_WORDS[label], 2) + generator.sample(_FILLERS, 3)
        generator.shuffle(words)
        made.append(LabelledText(" ".join(words), label, f"unit-{number}"))
    return made


def write_csv(path: Path, made: list[LabelledText], domain: str = "bank") -> Path:
    """The examples as a file with the columns text, label, unit, domain."""
    lines = [f"{example.text},{example.label},{example.unit},{domain}" for example in made]
    path.write_text("\n".join(["text,label,unit,domain", *lines]) + "\n", "utf-8")
    return path


class Learning:
    """The services from data sets to evaluation, over one database and folder."""

    def __init__(self, database: Database, clock: Clock, folder: Path) -> None:
        self.database = database
        self.clock = clock
        self.folder = folder
        self.audit = AuditTrail(database, clock)
        self.datasets = DatasetService(database, self.audit, clock)
        self.artefacts = ArtefactStore(folder / "artefacts")
        self.registry = RegistryService(database, self.audit, clock, self.artefacts, catalogue.model_format)
        self.training = TrainingService(database, self.audit, clock, self.datasets, self.registry, catalogue.family)
        self.evaluation = EvaluationService(database, self.audit, clock, self.datasets, self.training, self.registry)

    def bank(self, count: int = 150, name: str = "bank", seed: int = 0) -> str:
        """Import a set of the domain ``bank``; gives its id."""
        path = write_csv(self.folder / f"{name}.csv", examples(count, seed))
        return self.datasets.import_file(path, actor=ADA, name=name).id
