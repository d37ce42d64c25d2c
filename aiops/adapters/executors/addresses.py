"""Which addresses a target may have: an answer of the name service is data from outside, and is checked before it is connected to.

The addresses that were checked are the ones that are connected to, so that a second answer of the name service changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from aiops.errors import Refused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER = tuple(
    map(ipaddress.ip_network, ("0.0.0.0/8", "169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32"))
)


def resolve(host: str, port: int, allowed: Sequence[Network]) -> str:
    """The address to connect to. Refused when any that the name has is not allowed; OSError when it has none.

    allowed: networks that the target may be in; without any, every address of the public internet."""
    found = list(dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    for text in found:
        check(text, allowed)
    return found[0]


def check(text: str, allowed: Sequence[Network]) -> None:
    """Refused for an address that is not allowed, in whatever form it is written."""
    address = unwrapped(ipaddress.ip_address(text.partition("%")[0]))
    if _within(address, _NEVER) or address.is_multicast or address.is_unspecified:
        raise Refused(f"{text} is an address of no service (link-local, metadata, multicast or none)")
    if not (_within(address, allowed) if allowed else address.is_global):
        raise Refused(f"{text} is outside the networks of its target")


def unwrapped(address: Address) -> Address:
    """The IPv4 address that one of IPv6 stands for: mapped, 6to4, Teredo, NAT64 or compatible; else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inner is None and (address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1)):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
