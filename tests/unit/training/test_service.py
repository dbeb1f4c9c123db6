from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from learning_examples import ADA, Learning, examples, write_csv

from bailiwick.datasets.model import Split
from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.models.linear_text.family import LinearTextFamily
from bailiwick.models.model import EpochLoss
from bailiwick.training import store
from bailiwick.training.lineage import learned_marks
from bailiwick.training.model import RunStatus, TrainingRun


def train(learning: Learning, dataset: str, **more: Any) -> TrainingRun:
    return learning.training.train("bank", dataset, actor=ADA, seed=1, **more)


def test_train__data_set__run_version_and_artefact_are_linked(learning: Learning) -> None:
    dataset = learning.datasets.get(learning.bank())
    told: list[EpochLoss] = []
    run = train(learning, "bank", progress=told.append)
    assert run.status is RunStatus.SUCCEEDED
    assert run == learning.training.get(run.id)
    assert list(run.losses) == told
    assert run.cpu_s is not None
    assert run.cpu_s > 0
    version = learning.registry.get(run.version or "")
    assert version.id == "bank-v20260301_120000"
    assert (version.training_run, version.dataset_sha256, version.parent) == (run.id, dataset.sha256, None)
    assert learning.registry.load(version.id).card.labels == tuple(version.card["labels"])
    actions = [entry.action for entry in reversed(learning.audit.entries())]
    assert actions == ["dataset.import", "training_run.start", "model_version.register", "training_run.succeed"]


def test_train__same_seed_twice__same_artefact_two_versions(learning: Learning) -> None:
    learning.bank()
    first, second = (learning.registry.get(train(learning, "bank").version or "") for _ in range(2))
    assert first.artefact_sha256 == second.artefact_sha256
    assert second.id == f"{first.id}_2"


def test_train__from_version__records_the_parent(learning: Learning) -> None:
    learning.bank()
    parent = train(learning, "bank").version
    child = train(learning, "bank", start_version=parent, settings={"epochs": 2})
    assert learning.registry.get(child.version or "").parent == parent
    assert child.settings == {"epochs": 2}
    assert len(child.losses) == 2


def test_train__start_refitted_on_validation__those_rows_do_not_validate(learning: Learning) -> None:
    learning.bank()
    plain = train(learning, "bank")
    refit = train(learning, "bank", settings={"refit": 1})
    assert train(learning, "bank", start_version=plain.version).validation_loss is not None
    assert train(learning, "bank", start_version=refit.version).validation_loss is None


def test_learned__never_holds_test_rows(learning: Learning) -> None:
    learning.bank()
    version = learning.registry.get(train(learning, "bank").version or "")
    learned = learned_marks(learning.datasets, learning.registry, version, with_validation=True)
    test = {("text", example.text) for example in learning.datasets.examples("bank", Split.TEST)}
    assert not learned & test
    assert {("text", example.text) for example in learning.datasets.examples("bank", Split.TRAIN)} <= learned


def test_train__crash__recorded_failed_and_nothing_registered(
    learning: Learning, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning.bank()
    monkeypatch.setattr(LinearTextFamily, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(learning, "bank")
    (run,) = learning.training.list("bank")
    assert run.status is RunStatus.FAILED
    assert run.error == "ZeroDivisionError: division by zero"
    assert run.version is None
    assert run.losses, "what was learned of the crash stays on record"
    assert learning.registry.list() == []
    assert learning.audit.entries()[0].action == "training_run.fail"


def test_train__interrupted_by_the_user__recorded_failed(learning: Learning) -> None:
    learning.bank()

    def interrupt(_loss: EpochLoss) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(learning, "bank", progress=interrupt)
    assert learning.training.list()[0].status is RunStatus.FAILED


def test_train__registering_fails__run_failed_and_no_version(
    learning: Learning, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning.bank()
    record = learning.audit.record

    def refuse_the_last(connection: Any, actor: Any, action: str, *rest: Any, **more: Any) -> None:
        if action == "training_run.succeed":
            raise RuntimeError("disk full")
        record(connection, actor, action, *rest, **more)

    monkeypatch.setattr(learning.audit, "record", refuse_the_last)
    with pytest.raises(RuntimeError):
        train(learning, "bank")
    assert learning.registry.list() == []
    assert learning.training.list()[0].status is RunStatus.FAILED


def test_recover__process_is_dead__run_recorded_failed(learning: Learning) -> None:
    learning.bank()
    alive, dead, reused, elsewhere = (train(learning, "bank") for _ in range(4))
    with learning.database.write() as connection:
        host, process, _ = alive.worker.rsplit(":", 2)
        for run, worker in (
            (alive, alive.worker),
            (dead, f"{host}:{2**22 + 1}:0"),
            (reused, f"{host}:{process}:0"),  # the id of the dead process was given to another one, such as ours
            (elsewhere, f"another-{host}:{process}:0"),
        ):
            table = store.training_run
            connection.execute(table.update().where(table.c.id == run.id).values(status="running", worker=worker))
    assert {run.id for run in learning.training.recover(ADA)} == {dead.id, reused.id}
    assert learning.training.get(dead.id).status is RunStatus.FAILED
    assert learning.training.get(alive.id).status is RunStatus.RUNNING


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"settings": {"bogus": 1}}, InvalidInput),
        ({"family": "bogus"}, InvalidInput),
        ({"start_version": "bank-v1"}, NotFound),
    ],
)
def test_train__bad_request__typed_error_and_no_version(
    learning: Learning, more: dict[str, Any], error: type[Exception]
) -> None:
    learning.bank()
    with pytest.raises(error):
        train(learning, "bank", **more)
    assert learning.registry.list() == []


def test_train__unknown_domain_or_data_set__not_found(learning: Learning) -> None:
    learning.bank()
    with pytest.raises(NotFound, match="no rows of the domain"):
        learning.training.train("loans", "bank", actor=ADA, seed=1)
    with pytest.raises(NotFound):
        train(learning, "nothing")


def test_train__one_label_only__refused_and_on_record(learning: Learning, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "one.csv", examples(30, labels=("block_card",)))
    learning.datasets.import_file(path, actor=ADA, name="one")
    with pytest.raises(InvalidInput, match="two labels"):
        train(learning, "one")
    (run,) = learning.training.list()
    assert run.status is RunStatus.FAILED
    assert "two labels" in (run.error or "")


def test_load__artefact_tampered__refused_before_parsing(learning: Learning) -> None:
    learning.bank()
    version = learning.registry.get(train(learning, "bank").version or "")
    sha256 = version.artefact_sha256 or ""
    weights = learning.folder / "artefacts" / sha256[:2] / sha256 / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(Conflict, match="damaged"):
        learning.registry.load(version.id)


def test_train__at_once__every_version_has_its_own_id(learning: Learning) -> None:
    learning.bank(60)
    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(lambda _: train(learning, "bank", settings={"epochs": 1}).version, range(4)))
    assert len(set(versions)) == 4
