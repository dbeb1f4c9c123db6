"""The servers that other contract tests lean on are the real thing."""

from __future__ import annotations

import neo4j
import pytest
import redis
import servers


@pytest.mark.redis
def test_redis__value_with_expiry__is_kept(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.set("key", "value", ex=60, nx=True)
        assert client.set("key", "other", nx=True) is None
        assert 0 < client.ttl("key") <= 60
        assert client.eval("return redis.call('GET', KEYS[1])", 1, "key") == "value"


@pytest.mark.bolt
@pytest.mark.parametrize("round_", [1, 2])
def test_bolt__each_test__starts_with_an_empty_database(bolt_url: str, round_: int) -> None:
    address, name = bolt_url.rsplit("/", 1)
    auth = (servers.BOLT_USER, servers.BOLT_PASSWORD)
    with neo4j.GraphDatabase.driver(address, auth=auth) as driver, driver.session(database=name) as session:
        session.execute_write(lambda work: work.run("CREATE (:Asset {id: $round})", round=round_).consume())
        found = session.execute_read(lambda work: work.run("MATCH (n) RETURN n.id AS id").values("id"))

    assert found == [[round_]]


def test_using__server_that_does_not_start__says_why() -> None:
    with pytest.raises(servers.CannotRun, match="KeyError"), servers.using("nonsense", "test"):
        pass
