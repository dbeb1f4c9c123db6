from __future__ import annotations

import pytest

from bailiwick.backends.addresses import checked_base_url
from bailiwick.errors import InvalidInput
from bailiwick.network.addresses import OutsideOnly


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/v1/", "https://models.example.com/v1", "http://[::1]:8000"])
def test_base_url__http_or_https__kept_without_slash(url: str) -> None:
    assert checked_base_url(url, domain="cards") == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "file:///etc/passwd",
        "ftp://host/v1",
        "//host/v1",
        "http://",
        "http://host:99999/v1",
        "http://host:0/v1",
        "http://user:secret@host/v1",
        "http://host/v1?key=secret",
        "http://169.254.169.254/v1",
        "http://[64:ff9b::a9fe:a9fe]/v1",
        "http://[fd00:ec2::254]/v1",
        "http://100.100.100.200/v1",
        "http://[::ffff:169.254.169.254]/v1",
        "http://[fe80::1]/v1",
        "http://0.0.0.0/v1",
        "http://[::1/v1",
    ],
)
def test_base_url__anything_else__refused_without_its_secrets(url: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_base_url(url, domain="cards")
    assert "cards" in str(caught.value)
    assert "secret" not in str(caught.value.fields())


def test_base_url__networks_named__public_addresses_and_those_alone() -> None:
    allows = OutsideOnly(["10.1.0.0/16"]).allows
    for url in ("https://93.184.215.14/v1", "http://10.1.2.3:8000/v1", "http://a-name:8000/v1"):
        assert checked_base_url(url, domain="cards", allows=allows) == url
    for url in ("http://10.2.0.1/v1", "http://127.0.0.1/v1", "http://[::1]/v1", "http://[::ffff:10.2.0.1]/v1"):
        with pytest.raises(InvalidInput, match="upstream_networks"):
            checked_base_url(url, domain="cards", allows=allows)
