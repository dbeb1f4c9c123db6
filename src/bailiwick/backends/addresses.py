"""Which upstream addresses may be called: HTTP(S) to named hosts, never to link-local ones. Pure.

Link-local addresses are where clouds keep their instance credentials (169.254.169.254), and no model is served there.
The clouds' other addresses for the same purpose are named below (AWS and Google over IPv6, Alibaba, Azure).
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from bailiwick.errors import InvalidInput

_INSTANCE_DATA = frozenset(
    ipaddress.ip_address(each) for each in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def allowed_address(address: str) -> bool:
    """Whether a resolved IP address may be connected to.

    >>> allowed_address("10.1.2.3"), allowed_address("169.254.169.254"), allowed_address("::ffff:169.254.169.254")
    (True, False, False)
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    elif parsed in _NAT64:
        parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    return not (parsed in _INSTANCE_DATA or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified)


def checked_base_url(url: str | None, *, domain: str) -> str:
    """The upstream's base URL without a trailing slash.

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
    if _is_address(parts.hostname) and not allowed_address(parts.hostname):
        raise InvalidInput(
            f"the upstream's address {parts.hostname!r} is link-local, multicast or unspecified",
            what="base_url",
            where=where,
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
