"""Backends that are listeners of the same configuration: what is sent there comes back to the proxy."""

import ipaddress
from collections.abc import Iterable

from mcproxy.model.values import addresses
from mcproxy.model.values.endpoint import Endpoint

_LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_V4, _V6 = ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")


class Listeners:
    """Finds the listener that an endpoint is.

    Args:
        addrs: canonical listening addresses; no two of them overlap, or only the first is found.

    Attributes:
        ports: theirs.
    """

    def __init__(self, addrs: Iterable[str]) -> None:
        self._by_port: dict[int, list[str]] = {}
        for addr in addrs:
            self._by_port.setdefault(addresses.listen_port(addr), []).append(addr)
        self.ports = self._by_port.keys()

    def find(self, endpoint: Endpoint) -> str:
        """Return the address of the listener that connections to the endpoint reach, "" if it is none that is known.

        Names but those of loopback may mean any machine, and other machines may have this one's private addresses.
        """
        there = self._by_port.get(endpoint.port, ()) if endpoint.host else ()
        return next((addr for addr in there if _reaches(endpoint.host, addr.rpartition(":")[0].strip("[]"))), "")


def _reaches(host: str, listening: str) -> bool:
    """Tell whether a connection to ``host`` arrives at a socket that listens on an address of this machine, "" for all."""
    name = host.lower()
    is_loopback_name = name in _LOOPBACK_NAMES or name.endswith(".localhost")
    targets = (_V4, _V6) if is_loopback_name else _address(host)
    if not listening:
        return any(target.is_loopback for target in targets)
    own = ipaddress.ip_address(listening)
    if own.is_unspecified:
        return any(target.is_loopback and target.version == own.version for target in targets)
    return own in targets


def _address(host: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]:
    """Return the address that a connection to a literal one goes to; none for a name."""
    if ":" not in host and not host[-1:].isdecimal():
        return ()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ()
    if address.is_unspecified:  # the kernel takes it for loopback
        return (_V4 if address.version == 4 else _V6,)
    return (address,)
