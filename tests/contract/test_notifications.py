"""Notifications on both databases, to real receivers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from receivers import LOOPBACK, Receiver, eventually, receiving
from sqlalchemy import select, update

from bailiwick.clock import VirtualClock
from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.governance.keys import load_or_create_key
from bailiwick.governance.notifications.dispatcher import Dispatcher
from bailiwick.governance.notifications.model import DeliveryStatus, Format
from bailiwick.governance.notifications.outbox import KEPT, Outbox
from bailiwick.governance.notifications.sealing import Sealing
from bailiwick.governance.notifications.sender import Sender
from bailiwick.governance.notifications.service import NotificationService
from bailiwick.governance.notifications.signing import is_signed, key_of
from bailiwick.governance.notifications.store import webhook_endpoint
from bailiwick.governance.transparency import TransparencyLog
from bailiwick.metrics.prometheus import render
from bailiwick.metrics.webhook_gauges import webhook_families
from bailiwick.network.addresses import OutsideOnly
from bailiwick.storage.database import Database

ADA = Actor("cli:ada", reason="because")


class House:
    """Everything wired over one database."""

    def __init__(
        self, database: Database, clock: VirtualClock, folder: Path, timeout_s: float = 10.0, key: str | None = None
    ) -> None:
        self.database, self.clock = database, clock
        self.audit = AuditTrail(database, clock)
        log = TransparencyLog(database, clock, "test", lambda: load_or_create_key(folder / "key.pem"), [])
        rule = OutsideOnly([LOOPBACK])
        self.environment: dict[str, str] = {}
        outbox = Outbox(database, self.audit, clock, log.integrate)
        sealing = Sealing(key)
        dispatcher = Dispatcher(
            database, self.audit, clock, Sender(rule, timeout_s), self.environment, sealing, Random(7)
        )
        self.service = NotificationService(
            database, self.audit, clock, rule, outbox, dispatcher, log.integrated_size, sealing
        )

    def record(self, *actions: str) -> None:
        for action in actions:
            with self.database.write() as connection:
                self.audit.record(connection, ADA, action, "rollout:r1", before={"weight": 0}, after={"weight": 100})

    def send(self) -> None:
        self.service.outbox.fill()
        self.service.dispatcher.dispatch()
        self.service.dispatcher.settle()

    def statuses(self, name: str) -> list[str]:
        return [each.status.value for each in self.service.deliveries(name)]


@pytest.fixture
def house(database: Database, clock: VirtualClock, tmp_path: Path) -> Iterator[House]:
    built = House(database, clock, tmp_path)
    yield built
    built.service.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def test_events__matching_changes__arrive_signed_in_order_and_once(house: House, receiver: Receiver) -> None:
    house.record("rollout.start")  # before the endpoint was there
    added = house.service.add("ops", receiver.url, ["rollout.*", "rollback.start"], actor=ADA)
    house.record("rollout.advance", "domain.update", "rollback.start", "rollback.finish", "rollout.abort")
    house.send()
    house.send()
    assert [each.document["type"] for each in receiver.messages] == [
        "rollout.advance",
        "rollback.start",
        "rollout.abort",
    ]
    assert added.secret is not None
    key = key_of(added.secret)
    for message in receiver.messages:
        assert is_signed(message.headers, message.body, key, house.clock.now())
        assert not is_signed(message.headers, message.body + b" ", key, house.clock.now())
        assert not is_signed(message.headers, message.body, key, house.clock.now() + timedelta(minutes=6))
    first = receiver.messages[0].document
    assert first["data"]["subject"] == "rollout:r1"
    assert first["data"]["after"] == {"weight": 100}
    assert (first["data"]["actor"], first["data"]["reason"]) == ("cli:ada", "because")
    assert house.statuses("ops") == ["delivered"] * 3


def test_events__a_receiver_that_is_down__come_later_with_the_same_id(house: House, receiver: Receiver) -> None:
    house.service.add("ops", receiver.url, ["rollout.*"], actor=ADA)
    receiver.script = ["500", "503", "200"]
    house.record("rollout.start")
    house.send()
    house.send()  # not due yet
    assert len(receiver.messages) == 1
    [waiting] = house.service.deliveries("ops")
    assert (waiting.status, waiting.attempts, waiting.status_code) == (DeliveryStatus.WAITING, 1, 500)
    for _ in range(2):
        house.clock.advance(timedelta(hours=5))
        house.send()
    assert house.statuses("ops") == ["delivered"]
    assert len({message.id for message in receiver.messages}) == 1
    assert len({message.headers["webhook-timestamp"] for message in receiver.messages}) == 3


def test_events__never_taken__die_after_ten_attempts_and_can_be_sent_again(house: House, receiver: Receiver) -> None:
    house.service.add("ops", receiver.url, ["rollout.*"], actor=ADA)
    receiver.script = ["500"]
    house.record("rollout.start")
    for _ in range(12):
        house.send()
        house.clock.advance(timedelta(hours=5))
    assert house.statuses("ops") == ["dead"]
    assert len(receiver.messages) == 10
    receiver.script = ["200"]
    assert house.service.retry("ops", actor=ADA) == 1
    house.send()
    assert house.statuses("ops") == ["delivered"]
    with pytest.raises(NotFound):
        house.service.retry("ops", "msg_ops_0_0", actor=ADA)


@pytest.mark.parametrize("step", ["drop", "404", "slow", "drip"])
def test_events__one_receiver_fails__the_others_get_theirs(
    database: Database, clock: VirtualClock, tmp_path: Path, receiver: Receiver, step: str
) -> None:
    house = House(database, clock, tmp_path, timeout_s=1.0)
    with receiving() as broken:
        broken.script = [step]
        house.service.add("broken", broken.url, ["*"], actor=ADA)
        house.service.add("whole", receiver.url, ["rollout.*"], actor=ADA)
        house.record("rollout.start", "rollout.abort")
        house.service.outbox.fill()
        house.service.dispatcher.dispatch()
        eventually(lambda: house.statuses("whole") == ["delivered"] * 2)
        house.service.dispatcher.settle()
        assert set(house.statuses("broken")) == {"waiting"}
        assert all(each.attempts == 1 and each.problem for each in house.service.deliveries("broken"))


def test_events__gone__are_given_up_at_once(house: House, receiver: Receiver) -> None:
    house.service.add("ops", receiver.url, ["rollout.*"], actor=ADA)
    receiver.script = ["410"]
    house.record("rollout.start")
    house.send()
    assert house.statuses("ops") == ["dead"]


def test_events__a_redirect_to_an_internal_address__is_not_followed(house: House, receiver: Receiver) -> None:
    with receiving() as internal:
        house.service.add("ops", receiver.url, ["rollout.*"], actor=ADA)
        receiver.script = [f"redirect:{internal.url}"]
        house.record("rollout.start")
        house.send()
        assert internal.messages == []
    [waiting] = house.service.deliveries("ops")
    assert waiting.problem == "answered with a redirect (302), which is not followed"


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.7/hook",
        "https://[::ffff:10.0.0.7]/hook",
        "https://[::1]/hook",
        "http://example.com/hook",
        "ftp://example.com/hook",
        "https://user:password@example.com/hook",
        "https:///hook",
        "https://example.com:99999/hook",
        "https://example.com/\r\nx: y",
    ],
)
def test_add__an_address_that_may_not_be_called__is_refused(house: House, url: str) -> None:
    with pytest.raises(InvalidInput):
        house.service.add("ops", url, ["*"], actor=ADA)
    assert house.service.endpoints() == []


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001"])
def test_send__a_name_that_leads_inside__is_not_connected_to(receiver: Receiver, host: str) -> None:
    port = receiver.url.split(":")[2].partition("/")[0]
    outcome = Sender(OutsideOnly(), timeout_s=5).post(f"https://{host}:{port}/hook", b"{}", {})
    # Had it been connected to, it would be TLS that failed: the receiver speaks plain HTTP.
    assert outcome.problem in (
        "cannot be connected to, or resolves to no address that webhooks may go to",
        "broke off (InvalidUrlClientError)",
    )
    allowed = Sender(OutsideOnly([LOOPBACK]), timeout_s=5).post(f"https://127.0.0.1:{port}/hook", b"{}", {})
    assert allowed.problem == "no trusted TLS connection"
    assert receiver.messages == []


def test_secrets__and_paths_of_addresses__are_nowhere_to_be_seen(
    house: House, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.script = ["410"]
    added = house.service.add("ops", receiver.url, ["*"], actor=ADA)
    house.record("rollout.start")
    house.send()
    house.service.remove("ops", actor=ADA)
    assert added.secret is not None
    seen = (
        caplog.text + repr(added) + repr(house.audit.entries()) + b"".join(m.body for m in receiver.messages).decode()
    )
    assert added.secret not in seen
    assert "path-is-secret" not in seen


def test_secret__by_reference__is_read_when_sending(house: House, receiver: Receiver) -> None:
    added = house.service.add("ops", receiver.url, ["rollout.*"], actor=ADA, secret_variable="BAILIWICK_WEBHOOK_OPS")
    assert added.secret is None
    house.record("rollout.start")
    house.send()
    assert receiver.messages == []
    [waiting] = house.service.deliveries("ops")
    assert waiting.problem == "the signing secret is malformed"
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    house.environment["BAILIWICK_WEBHOOK_OPS"] = secret
    house.clock.advance(timedelta(minutes=1))
    house.send()
    [message] = receiver.messages
    assert is_signed(message.headers, message.body, key_of(secret), house.clock.now())
    with pytest.raises(InvalidInput):
        house.service.add("other", receiver.url, ["*"], actor=ADA, secret_variable="AWS_SECRET_ACCESS_KEY")


def test_test__sends_at_once_and_keeps_nothing(house: House, receiver: Receiver) -> None:
    house.service.add("chat", receiver.url, ["rollout.*"], actor=ADA, form=Format.SLACK)
    outcome = house.service.test("chat", actor=ADA)
    assert (outcome.status_code, outcome.problem) == (200, None)
    assert json.loads(receiver.messages[0].body) == {"text": "*webhook.test* `webhook:chat` by cli:ada: because"}
    assert house.service.deliveries("chat") == []


def test_add__name_taken_or_patterns_malformed__changes_nothing(house: House, receiver: Receiver) -> None:
    house.service.add("ops", receiver.url, ["*"], actor=ADA)
    with pytest.raises(Conflict):
        house.service.add("ops", receiver.url, ["*"], actor=ADA)
    for patterns in ([], ["Rollout.*"], ["rollout.*.x"], ["*.abort"]):
        with pytest.raises(InvalidInput):
            house.service.add("more", receiver.url, patterns, actor=ADA)
    assert [each.name for each in house.service.endpoints()] == ["ops"]
    with pytest.raises(NotFound):
        house.service.remove("more", actor=ADA)


def test_forget__what_was_settled_a_month_ago__and_nothing_else(house: House, receiver: Receiver) -> None:
    house.service.add("ops", receiver.url, ["rollout.*"], actor=ADA)
    receiver.script = ["200", "500"]
    house.record("rollout.start", "rollout.abort")
    house.send()
    house.clock.advance(KEPT + timedelta(minutes=1))
    assert house.service.outbox.forget() == 1
    assert house.statuses("ops") == ["waiting"]


def test_secret__with_a_key__is_encrypted_in_the_database_and_bound_to_its_webhook(
    database: Database, clock: VirtualClock, tmp_path: Path, receiver: Receiver
) -> None:
    sealed = House(database, clock, tmp_path, key="k" * 32)
    added = sealed.service.add("ops", receiver.url, ["rollout.*"], actor=ADA)
    assert added.secret is not None
    sealed.service.add("other", receiver.url, ["domain.*"], actor=ADA)
    with database.read() as connection:
        kept = dict(connection.execute(select(webhook_endpoint.c.name, webhook_endpoint.c.secret)).all())
    assert added.secret not in kept["ops"]
    assert sealed.service.test("ops", actor=ADA).problem is None
    message = receiver.messages[-1]
    assert is_signed(message.headers, message.body, key_of(added.secret), clock.now())
    for key in (None, "x" * 32):  # a server without the key, or with another one, sends nothing that is signed wrongly
        problem = House(database, clock, tmp_path, key=key).service.test("ops", actor=ADA).problem
        assert problem is not None
        assert "sealed under another key" in problem
    with database.write() as connection:
        moved = update(webhook_endpoint).where(webhook_endpoint.c.name == "ops").values(secret=kept["other"])
        connection.execute(moved)
    assert sealed.service.test("ops", actor=ADA).problem is not None
    assert len(receiver.messages) == 1
    sealed.service.close()


def test_secret__kept_before_a_key_was_set__still_signs(
    house: House, database: Database, clock: VirtualClock, tmp_path: Path, receiver: Receiver
) -> None:
    added = house.service.add("ops", receiver.url, ["rollout.*"], actor=ADA)
    assert House(database, clock, tmp_path, key="k" * 32).service.test("ops", actor=ADA).problem is None
    message = receiver.messages[-1]
    assert added.secret is not None
    assert is_signed(message.headers, message.body, key_of(added.secret), clock.now())


def test_gauges__waiting_and_given_up__counted_with_the_age_of_the_oldest(
    house: House, clock: VirtualClock, receiver: Receiver
) -> None:
    house.service.add("ops", receiver.url, ["rollout.*"], actor=ADA)
    house.record("rollout.start", "rollout.advance")
    receiver.script = ["500", "200"]
    house.send()
    clock.advance(timedelta(seconds=3))
    told = house.service
    found = render(webhook_families(["ops", "idle"], told.counts(), told.oldest_waiting_s()))
    assert 'bailiwick_webhook_deliveries{webhook="ops",status="waiting"} 1\n' in found
    assert 'bailiwick_webhook_deliveries{webhook="ops",status="delivered"} 1\n' in found
    assert 'bailiwick_webhook_oldest_waiting_seconds{webhook="ops"} 3\n' in found
    assert 'bailiwick_webhook_oldest_waiting_seconds{webhook="idle"} 0\n' in found
