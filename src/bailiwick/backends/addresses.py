"""Which upstream addresses may be configured: HTTP(S) to named hosts, never to link-local ones. Pure."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from bailiwick.errors import InvalidInput
from bailiwick.network.addresses import allowed_address, is_address


def checked_base_url(url: str | None, *, domain: str, allows: Callable[[str], bool] = allowed_address) -> str:
    """The upstream's base URL without a trailing slash.

    Args:
        url: as configured.
        domain: whose it is.
        allows: whether an IP address may be connected to; what a name resolves to is looked at when it is called.

    Raises:
        InvalidInput: it is missing, of another scheme than http and https, without a host, with a password, a query
            or a fragment in it, or names an address that is not allowed.
    """
    where = f"domain {domain!r}, backend.base_url"
    try:
        parts = urlsplit(url or "")
        port_is_right = parts.port is None or parts.port > 0
    except ValueError as error:
        raise InvalidInput(f"the upstream's address cannot be read: {error}", what="base_url", where=where) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_right:
        raise InvalidInput(
            f"the upstream's address {url!r} is not an http or https URL",
            what="base_url",
            where=where,
            allowed="http://host:port/v1 or https://host/v1",
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidInput(
            "the upstream's address must hold no user, password, query or fragment",
            what="base_url",
            where=where,
            remedy="name the variable that holds the key in backend.api_key_env",
        )
    if is_address(parts.hostname) and not allowed_address(parts.hostname):
        raise InvalidInput(
            f"the upstream's address {parts.hostname!r} is link-local, multicast or unspecified",
            what="base_url",
            where=where,
        )
    if is_address(parts.hostname) and not allows(parts.hostname):
        raise InvalidInput(
            f"the upstream's address {parts.hostname!r} is not public",
            what="base_url",
            where=where,
            remedy="if it shall be called, name its network in the setting upstream_networks",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
