"""The form of secrets, and what keys open."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.governance.access.model import NO_LIMITS, AccessState, ClientKey, KeySecret, Limits
from bailiwick.governance.access.secret import digest_of, hint_of, is_well_formed, secret_of
from bailiwick.governance.access.table import compile_access

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def key_of(name: str = "app", domains: tuple[str, ...] = (), limits: Limits = NO_LIMITS, **more: datetime) -> ClientKey:
    return ClientKey(f"id-{name}", name, "", "", domains, limits, "bwk_0000", NOW, "ada", **more)


@given(st.binary(min_size=32, max_size=32))
def test_secret__any_entropy__is_well_formed_and_one_of_a_kind(entropy: bytes) -> None:
    secret = secret_of(entropy)
    assert re.fullmatch(r"bwk_[0-9A-Za-z]{49}", secret)
    assert is_well_formed(secret)
    assert secret_of(entropy[:-1] + bytes([entropy[-1] ^ 1])) != secret
    assert hint_of(secret) == secret[:8]


@given(st.binary(min_size=32, max_size=32), st.integers(4, 52), st.sampled_from("09AZaz"))
def test_secret__one_character_wrong__is_never_well_formed(entropy: bytes, place: int, character: str) -> None:
    secret = secret_of(entropy)
    wrong = secret[:place] + character + secret[place + 1 :]
    assert is_well_formed(wrong) == (wrong == secret)


def test_secret__two_characters_swapped__are_noticed() -> None:
    for _ in range(50):
        secret = secret_of(secrets.token_bytes(32))
        swapped = secret[:10] + secret[11] + secret[10] + secret[12:]
        assert is_well_formed(swapped) == (swapped == secret)


def test_secret__too_little_entropy__is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        secret_of(b"short")


def test_secret__in_records__is_not_shown() -> None:
    record = KeySecret("id-app", digest_of("bwk_x"))
    assert digest_of("bwk_x") not in repr(record)
    assert digest_of("bwk_x") not in repr(compile_access(AccessState(1, (key_of(),), (record,))))


@pytest.mark.parametrize(
    ("domains", "asked", "allowed"),
    [
        ((), "cards", True),
        (("*",), "cards", True),
        (("cards",), "cards", True),
        (("cards",), "cards2", False),
        (("card*", "loans"), "cards2", True),
        (("card?",), "cards", True),
        (("card?",), "cards2", False),
        (("card*", "loans"), "loans", True),
        (("card*", "loans"), "xloans", False),
        (("card*",), "my-cards", False),
        (("a*", "b*"), "ab\nc", True),
        (("a*b",), "a", False),
    ],
)
def test_may_ask__patterns__match_whole_names(domains: tuple[str, ...], asked: str, allowed: bool) -> None:
    table = compile_access(AccessState(1, (key_of(domains=domains),), (KeySecret("id-app", "d"),)))
    assert table.openings["d"].key.may_ask(asked) is allowed


def test_compile__revoked_key__opens_nothing_and_is_told() -> None:
    keys = (key_of("app", revoked_at=NOW), key_of("other"))
    table = compile_access(AccessState(1, keys, (KeySecret("id-app", "d1"), KeySecret("id-other", "d2"))))
    assert (set(table.openings), table.revoked) == ({"d2"}, frozenset({"d1"}))


def test_compile__ends__are_the_earlier_of_key_and_secret() -> None:
    soon, late = NOW + timedelta(hours=1), NOW + timedelta(days=1)
    keys = (key_of("a", expires_at=soon), key_of("b", expires_at=late), key_of("c"))
    held = (KeySecret("id-a", "a", late), KeySecret("id-b", "b", soon), KeySecret("id-c", "c"))
    openings = compile_access(AccessState(1, keys, held)).openings
    assert [openings[each].ends_at for each in "abc"] == [soon.timestamp(), soon.timestamp(), float("inf")]
