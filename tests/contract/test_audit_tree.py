"""The tamper-evident trail, on both databases: every way of rewriting it before an anchored head is found."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, select, update

from bailiwick.clock import Clock
from bailiwick.errors import InvalidInput, NotFound, Unavailable
from bailiwick.governance import tree_store
from bailiwick.governance.anchors import FileAnchor, read_heads
from bailiwick.governance.audit import Actor, AuditTrail, audit_entry
from bailiwick.governance.body import entry_body
from bailiwick.governance.checkpoint import parse, parse_verifier_key
from bailiwick.governance.export import read_export
from bailiwick.governance.merkle import Frontier, leaf_hash, verify_consistency
from bailiwick.governance.proof import verify_inclusion_proof
from bailiwick.governance.transparency import TransparencyLog
from bailiwick.governance.verify import SourcedHead, verify_trail
from bailiwick.storage.database import Database

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ACTOR = Actor("cli:ada", reason="because")


class Trail:
    """A trail with its tree and a file that heads are anchored in."""

    def __init__(self, database: Database, clock: Clock, folder: Path) -> None:
        self.database = database
        self.audit = AuditTrail(database, clock)
        self.anchor = FileAnchor(folder / "heads")
        self.clock = clock
        self.log = self.with_anchors(self.anchor)

    def with_anchors(self, *anchors: FileAnchor) -> TransparencyLog:
        return TransparencyLog(self.database, self.clock, "test.example/log", lambda: KEY, anchors)

    def record(self, count: int, first: int = 0) -> None:
        for number in range(first, first + count):
            with self.database.write() as connection:
                after = {"share": 0.25, "weights": [1, 2.5, 1e20], "name": "ü"}
                self.audit.record(connection, ACTOR, "domain.change", f"domain:d{number}", before=None, after=after)

    def tamper(self, change: Callable[[Connection], object]) -> tuple[str, ...]:
        with self.database.write() as connection:
            change(connection)
        return self.log.verify().findings


@pytest.fixture
def trail(database: Database, clock: Clock, tmp_path: Path) -> Trail:
    found = Trail(database, clock, tmp_path)
    found.record(20)
    found.log.publish()
    found.record(10, first=20)
    return found


def test_verify__untouched__is_intact_and_says_what_is_anchored(trail: Trail) -> None:
    found = trail.log.verify()
    assert (found.intact, found.entries, found.waiting, found.anchored) == (True, 30, 0, 20)
    trail.log.publish()
    assert trail.log.verify().anchored == 30
    assert [entry.position for entry in trail.audit.entries(limit=3)] == [29, 28, 27]


def test_verify__body_edited__is_found(trail: Trail) -> None:
    edited = update(audit_entry).where(audit_entry.c.position == 4)
    findings = trail.tamper(lambda c: c.execute(edited.values(body=audit_entry.c.body + " ")))
    assert any("entry 5 is not the text that was recorded" in finding for finding in findings)
    assert any("the head in" in finding for finding in findings)


def test_verify__column_edited__is_found(trail: Trail) -> None:
    trail.log.integrate()
    for position in (3, 25):  # anchored, and not anchored yet
        edited = update(audit_entry).where(audit_entry.c.position == position).values(actor="cli:mallory")
        findings = trail.tamper(lambda c, edited=edited: c.execute(edited))  # type: ignore[misc]
        assert f"the column 'actor' of entry {position + 1} is not what was recorded" in findings


def test_verify__entry_and_its_tree_rewritten_consistently__the_anchor_tells(trail: Trail) -> None:
    """What a hash chain alone cannot find: the database's owner makes the whole tree anew."""

    def rewrite(connection: Connection) -> None:
        rows = connection.execute(select(audit_entry).order_by(audit_entry.c.sequence)).mappings().all()
        connection.execute(delete(tree_store.audit_node))
        tree = Frontier()
        for row in rows:
            body = row["body"]
            if row["sequence"] == 7:
                body = entry_body({**row, "actor": "cli:nobody"})
                mine = audit_entry.c.sequence == 7
                connection.execute(update(audit_entry).where(mine).values(actor="cli:nobody", body=body))
            for level, index, value in tree.append(leaf_hash(body.encode())):
                values = {"level": level, "position": index, "hash": value}
                connection.execute(insert(tree_store.audit_node).values(**values))
        connection.execute(delete(tree_store.audit_head))

    trail.log.integrate()
    findings = trail.tamper(rewrite)
    assert len(findings) == 1
    assert "the first 20 entries are not those that the head in" in findings[0]


def test_verify__entry_deleted__is_found(trail: Trail) -> None:
    findings = trail.tamper(lambda c: c.execute(delete(audit_entry).where(audit_entry.c.position == 4)))
    assert [finding for finding in findings if "is expected" in finding] == [
        "entry 6 stands at 5, where 4 is expected: entries are missing or were added"
    ]


def test_verify__deleted_and_renumbered__is_found(trail: Trail) -> None:
    def close_the_gap(connection: Connection) -> None:
        connection.execute(delete(audit_entry).where(audit_entry.c.position == 4))
        for position in range(5, 20):
            mine = audit_entry.c.position == position
            connection.execute(update(audit_entry).where(mine).values(position=position - 1))

    assert trail.tamper(close_the_gap)


def test_verify__end_cut_off__is_found(trail: Trail) -> None:
    def cut(connection: Connection) -> None:
        connection.execute(delete(audit_entry).where(audit_entry.c.sequence > 15))
        connection.execute(delete(tree_store.audit_node).where(tree_store.audit_node.c.position >= 15))
        connection.execute(delete(tree_store.audit_head))
        connection.execute(update(tree_store.audit_tree).values(size=15))

    findings = trail.tamper(cut)
    assert any("a head of 20 entries stands in" in finding and "only 15 are left" in finding for finding in findings)


def test_verify__entry_slipped_in__is_found(trail: Trail) -> None:
    def slip(connection: Connection) -> None:
        for position in range(19, 9, -1):
            mine = audit_entry.c.position == position
            connection.execute(update(audit_entry).where(mine).values(position=position + 100))
        row = connection.execute(select(audit_entry).where(audit_entry.c.position == 9)).mappings().one()
        forged = {name: row[name] for name in row if name not in {"sequence", "position"}}
        connection.execute(insert(audit_entry).values(**forged, position=10))
        for position in range(110, 120):
            mine = audit_entry.c.position == position
            connection.execute(update(audit_entry).where(mine).values(position=position - 99))

    assert trail.tamper(slip)


def test_verify__anchor_emptied__is_found(trail: Trail, tmp_path: Path) -> None:
    (tmp_path / "heads").write_text("")
    assert any("no longer shows it" in finding for finding in trail.log.verify().findings)


def test_verify__head_signed_by_another_key__is_found(trail: Trail) -> None:
    findings = trail.log.verify(keys=[Ed25519PrivateKey.generate().public_key()]).findings
    assert any("not signed by a known key" in finding for finding in findings)


def test_prove__every_entry__verified_with_the_public_key_alone(trail: Trail) -> None:
    key = parse_verifier_key(trail.log.verifier_key)
    for sequence in (1, 7, 30):
        assert verify_inclusion_proof(trail.log.prove(sequence), key) is None
    with pytest.raises(NotFound):
        trail.log.prove(31)


def test_prove_consistency__of_an_anchored_head__verified(trail: Trail, tmp_path: Path) -> None:
    anchored = read_heads(tmp_path / "heads")[-1]
    proof = trail.log.prove_consistency(anchored.size)
    newest = parse(proof.head)
    path = [base64.b64decode(node) for node in proof.path]
    assert verify_consistency(anchored.size, anchored.root, newest.size, newest.root, path)
    with pytest.raises(InvalidInput):
        trail.log.prove_consistency(31)


def test_export__edited_by_hand__is_found_offline(trail: Trail, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    lines = list(trail.log.export())
    anchored = [SourcedHead(head, "anchor") for head in read_heads(tmp_path / "heads")]

    def verify(changed: list[str]) -> tuple[str, ...]:
        file.write_text("\n".join(changed) + "\n", "utf-8")
        export = read_export(file)
        inside = [SourcedHead(head, "database") for head in export.heads]
        return verify_trail(export.entries, [*inside, *anchored], [KEY.public_key()]).findings

    assert verify(lines) == ()
    assert verify([line.replace("d3", "d4") for line in lines])
    assert verify(lines[:-1])
    assert verify(lines[:10] + lines[11:])
    with pytest.raises(InvalidInput, match="no part of an audit export"):
        verify([*lines, "{}"])


def test_integrate__many_recorders_and_integrators_at_once__each_entry_once(trail: Trail) -> None:
    def record(first: int) -> None:
        trail.record(8, first=first)

    def integrate() -> None:
        for _ in range(6):
            trail.with_anchors().integrate()

    threads = [threading.Thread(target=record, args=(100 * n,)) for n in range(3)]
    threads += [threading.Thread(target=integrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = trail.log.verify()
    assert (found.findings, found.entries, found.waiting) == ((), 54, 0)


def test_publish__anchor_away__is_told_and_tried_again(trail: Trail, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    away = FileAnchor(blocked / "heads")  # a file is no folder
    with pytest.raises(Unavailable):
        away.publish(trail.log.head())
    log = trail.with_anchors(away, trail.anchor)
    head, problems = log.publish()
    assert head.size == 30
    assert len(problems) == 1
    assert read_heads(tmp_path / "heads")[-1].size == 30
    blocked.unlink()
    assert log.publish()[1] == ()
    assert read_heads(blocked / "heads")[-1].size == 30
