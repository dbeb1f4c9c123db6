from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from experiment_plans import experiment
from gateway_sources import Constant, Memory, compiler, split
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domains.model import CatalogueState, CatalogueVersion, Domain, DomainSet, Example
from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.gateway.keeping import KeptSnapshots
from bailiwick.gateway.kept_file import KeptInputs, pack, revision_of, unpack
from bailiwick.gateway.model import Revision
from bailiwick.gateway.reloader import Reloader
from bailiwick.governance.access.model import AccessState, ClientKey, KeySecret, Limits
from bailiwick.governance.access.table import compile_access
from bailiwick.registry.model import ModelVersion
from bailiwick.routing.model import Mode
from bailiwick.routing.policy import Policy
from bailiwick.routing.published import published_document
from bailiwick.routing.rules import Rule, RuleBook
from bailiwick.routing.runtime import Published
from bailiwick.traffic.model import Holdout, PlacedExperiments
from bailiwick.traffic.wire import PublishedPlans


def kept_over(sources: Memory, path: Path, loaded: list[str] | None = None) -> KeptSnapshots:
    def load(version: ModelVersion) -> Any:
        if loaded is not None:
            loaded.append(version.id)
        return sources.models[version.id]

    made = compiler(sources)
    return KeptSnapshots(path, sources, lambda given, previous: made.over(given).compile(previous), {}, load)


def access() -> AccessState:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    limits = Limits(requests_per_minute=60)
    keys = (
        ClientKey("k1", "shop", "ada", "web", ("cards", "l*"), limits, "bw-abc", now, "cli:ada", expires_at=now),
        ClientKey("k2", "gone", "ada", "web", (), Limits(), "bw-def", now, "cli:ada", revoked_at=now),
    )
    secrets = (KeySecret("k1", "a" * 64), KeySecret("k1", "b" * 64, now), KeySecret("k2", "c" * 64))
    return AccessState(4, keys, secrets, (("cards", limits),))


def inputs() -> KeptInputs:
    domains = {
        "cards": Domain("cards", "Cärds", "a", keywords=("card",), examples=(Example("x", "y"),), fallback="gone"),
        "loans": Domain("loans", "L", "a"),
    }
    version = ModelVersion("v1", "cards", "linear", Memory().version("v1").created_at, "0" * 64, 7, card={"labels": 3})
    return KeptInputs(
        Revision(CatalogueVersion("c", 3), 9, 2, 4, 5),
        CatalogueState(CatalogueVersion("c", 3), DomainSet(domains, "cards")),
        PublishedPlans(9, {"cards": split("cards", 3_000)}, {"cards": (experiment("tone"),)}, Holdout("h", 100)),
        frozenset({"old"}),
        access(),
        {"v1": version},
        {"detector.json": b"{}\n\n", "member-0/weights": bytes(range(256)), "empty": b""},
        Published(
            5,
            Mode.SHADOW,
            RuleBook([Rule("orders", "cards", 7, ("order",), "#[0-9]+")]),
            Policy(means={"cards|*": {"cards": (3.0, 0.5), "loans": (1.0, 0.0)}}, decisions=4),
            2,
        ),
    )


def test_file__written_and_read__the_same() -> None:
    kept = inputs()
    data = pack(kept)
    found = unpack(data, source="x")
    assert found.domains.document.domains == dict(kept.domains.document.domains)
    assert found.domains.document.default_domain == "cards"
    assert (found.revision, found.plans, found.ended) == (kept.revision, kept.plans, kept.ended)
    assert found.access == kept.access
    assert (found.versions, found.detector) == (kept.versions, kept.detector)
    assert published_document(found.routing) == published_document(kept.routing)
    assert found.routing.policy == kept.routing.policy
    assert revision_of(data) == kept.revision


@given(at=st.integers(0, 10_000), byte=st.integers(1, 255), cut=st.booleans())
def test_file__damaged_anywhere__refused(at: int, byte: int, cut: bool) -> None:
    data = bytearray(pack(inputs()))
    at %= len(data)
    if cut:
        del data[at:]
    else:
        data[at] ^= byte
    with pytest.raises(InvalidInput, match="kept snapshot"):
        unpack(bytes(data), source="x")


def test_kept__restored_without_the_stores__serves_the_same(tmp_path: Path) -> None:
    sources = Memory()
    sources.held["cards"] = split("cards", 4_000)
    sources.placed = PlacedExperiments({"cards": (experiment("tone"),)}, Holdout(), frozenset({"old"}))
    first = kept_over(sources, tmp_path / "deep" / "kept").compile(None)
    assert (tmp_path / "deep" / "kept").stat().st_mode & 0o077 == 0, "for its owner only"
    sources.away = True
    loaded: list[str] = []
    again = kept_over(sources, tmp_path / "deep" / "kept", loaded).restore()
    assert again is not None
    assert sorted(loaded) == ["v1", "v2"]
    assert (again.revision, again.table, again.ended, again.flags) == (
        first.revision,
        first.table,
        first.ended,
        first.flags,
    )
    assert again.served["cards"].plan == first.served["cards"].plan
    assert set(again.served["cards"].backends) == {"v1", "v2"}


def test_kept__restored_then_changed__everything_is_kept_again(tmp_path: Path) -> None:
    """A model that the restored snapshot has loaded is not asked for again, but its record must not be lost."""
    sources = Memory()
    sources.let_in = access()
    kept_over(sources, tmp_path / "kept").compile(None)
    second = kept_over(sources, tmp_path / "kept")
    restored = second.restore()
    assert restored is not None and restored.access == compile_access(access())
    sources.held["cards"] = split("cards", 4_000)
    sources.changed()
    second.compile(restored)
    third = kept_over(sources, tmp_path / "kept").restore()
    assert third is not None and third.access == compile_access(access())
    assert set(third.served["cards"].backends) == {"v1", "v2"}
    assert third.problems == tuple(problem for problem in third.problems if problem.startswith("loans"))


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"bailiwick-snapshot 00\n{}"])
def test_kept__nothing_that_can_be_used__none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "kept").write_bytes(content)
    assert kept_over(Memory(), tmp_path / "kept").restore() is None


def test_kept__another_gateway_is_ahead__its_file_stays(tmp_path: Path) -> None:
    ahead, behind = Memory(), Memory()
    slow = kept_over(behind, tmp_path / "kept")
    snapshot = slow.compile(None)
    ahead.revisions = 7
    kept_over(ahead, tmp_path / "kept").compile(None)
    behind.revisions = 3
    slow.compile(snapshot)
    assert revision_of((tmp_path / "kept").read_bytes()).traffic == 7


def test_kept__folder_cannot_be_written__snapshot_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    kept = kept_over(Memory(), tmp_path / "file" / "kept")
    assert kept.compile(None).table.ready == {"cards"}


def test_reloader__stores_away_at_the_start__restored_and_stale_then_newer(tmp_path: Path) -> None:
    sources = Memory()
    kept_over(sources, tmp_path / "kept").compile(None)
    sources.away = True
    kept = kept_over(sources, tmp_path / "kept")
    made = Reloader(sources.revision, kept.compile, 3_600, restore=kept.restore)

    async def story() -> None:
        await made.start()
        assert made.ready and made.stale is not None and "started with the last snapshot" in made.stale
        assert not await made.look()
        sources.away = False
        assert not await made.look(), "nothing has changed meanwhile"
        assert made.stale is None
        sources.changed()
        assert await made.look()
        await made.stop()

    asyncio.run(story())


@pytest.mark.parametrize("part", ["traffic", "detector", "domains"])
def test_reloader__stores_fall_back__older_never_replaces_newer(part: str) -> None:
    sources = Memory()
    newest = Revision(CatalogueVersion("c", 5), 5, 5)
    older = replace(newest, **{part: CatalogueVersion("c", 4) if part == "domains" else 4})  # type: ignore[arg-type]
    said = [newest]
    sources.revision = lambda: said[0]  # type: ignore[method-assign]
    sources.models["v1"] = Constant()
    made = Reloader(sources.revision, compiler(sources).compile, 3_600)

    async def story() -> None:
        await made.start()
        before = made.snapshot
        said[0] = older
        assert not await made.look()
        assert made.snapshot is before
        assert made.stale is not None and "older revision" in made.stale
        said[0] = Revision(CatalogueVersion("another origin", 1), 5, 5)
        assert await made.look(), "another origin has no order"
        await made.stop()

    asyncio.run(story())


def test_database__away_at_first__prepared_when_it_answers(tmp_path: Path) -> None:
    from bailiwick.storage.database import Database

    calls: list[int] = []

    def prepare(database: Database) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise Unavailable("away")
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE t (a INTEGER)")

    database = Database(f"sqlite:///{tmp_path / 'x.db'}", prepare=prepare)
    with pytest.raises(Unavailable), database.read():
        raise AssertionError("not before it is prepared")
    for _ in range(3):
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
    assert len(calls) == 2
    database.close()


@pytest.mark.parametrize("head", [b"[]", b"nonsense", b'{"format": 1}', b'{"format": 1, "revision": ["c", 1, 2]}'])
def test_file__whole_but_of_another_form__refused_and_replaced(tmp_path: Path, head: bytes) -> None:
    body = head + b"\n"
    data = b"bailiwick-snapshot " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    for read in (revision_of, lambda raw: unpack(raw, source="x")):
        with pytest.raises(InvalidInput, match="kept snapshot"):
            read(data)
    kept = kept_over(Memory(), tmp_path / "kept")
    snapshot = kept.compile(None)
    (tmp_path / "kept").write_bytes(data)
    assert kept.restore() is None
    kept.compile(snapshot)
    assert revision_of((tmp_path / "kept").read_bytes()) == snapshot.revision
