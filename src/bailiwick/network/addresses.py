"""Which addresses may be connected to. Pure.

Link-local addresses are where clouds keep their instance credentials (169.254.169.254), and nothing else is served
there. The clouds' other addresses for the same purpose are named below (AWS and Google over IPv6, Alibaba, Azure).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from bailiwick.errors import InvalidInput

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_INSTANCE_DATA = frozenset(
    ipaddress.ip_address(each) for each in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def allowed_address(address: str) -> bool:
    """Whether a resolved IP address may be connected to as a model's upstream.

    >>> allowed_address("10.1.2.3"), allowed_address("169.254.169.254"), allowed_address("::ffff:169.254.169.254")
    (True, False, False)
    """
    parsed = _meant(address)
    return not (parsed in _INSTANCE_DATA or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified)


class OutsideOnly:
    """Addresses of the public internet, and of networks that are named; never those of instance data.

    Args:
        networks: such as ``10.1.0.0/16``; addresses in them are allowed although they are not public.

    Raises:
        InvalidInput: one is no network.

    >>> rule = OutsideOnly(["10.1.0.0/16"])
    >>> [rule.allows(each) for each in ("93.184.215.14", "10.1.2.3", "10.2.2.3", "127.0.0.1", "169.254.169.254")]
    [True, True, False, False, False]
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [_network(each) for each in networks]

    def allows(self, address: str) -> bool:
        """Whether a resolved IP address may be connected to."""
        return allowed_address(address) and (_meant(address).is_global or self.is_named(address))

    def is_named(self, address: str) -> bool:
        """Whether the address is of one of the named networks, where even unencrypted traffic may go."""
        return any(_meant(address) in network for network in self._networks)


def is_address(host: str) -> bool:
    """Whether a host is an IP address, not a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _meant(address: str) -> _Address:
    """The address that is reached in the end: IPv4 inside IPv6 is unpacked."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return parsed.ipv4_mapped
        if parsed.sixtofour is not None:
            return parsed.sixtofour
        if parsed in _NAT64:
            return ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    return parsed


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidInput(
            f"{text!r} is no network: {error}", what="network", requested=text, allowed="such as 10.1.0.0/16 or ::1/128"
        ) from error
