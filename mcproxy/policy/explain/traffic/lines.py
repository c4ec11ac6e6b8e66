"""Lines of an access log, as far as a configuration can be asked about them."""

import ipaddress
import re

import msgspec

from mcproxy.model.values.reasons import FIREWALL
from mcproxy.policy.explain.refused import PLACES

_ROUTED = frozenset({*FIREWALL, "no_sni", "no_route"})
_OF_HTTP = ("request", "limits")  # steps that no route, case or filter has a part in
_KNOWN = 65_536  # IPv6 addresses that are remembered
_IPV4 = re.compile(r"\.".join([r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"] * 4) + r"(:[0-9]+)?").fullmatch


class Line(msgspec.Struct, gc=False):
    """A line; the attributes are fields of the access log (docs/access-log.md)."""

    listener: str
    client: str
    reason: str
    time: str = ""
    route: str = ""
    sni: str = ""
    mode: str = ""
    method: str = ""
    authority: str = ""
    path: str = ""
    user_agent: str = ""
    status: int = 0
    received: int = 0
    case: str = ""

    @property
    def is_request(self) -> bool:
        """Whether it tells of a request of which is known what was asked for."""
        return bool(self.method and self.path)

    @property
    def is_routed(self) -> bool:
        """Whether routes and rules decide about what it tells of; else it was answered, or ended, without any."""
        if self.is_request:
            place = PLACES.get(self.reason)
            return place is None or place.step not in _OF_HTTP
        return self.mode == "l4" or self.reason in _ROUTED


class Clients:
    """Addresses of clients by how lines tell them."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, bool]] = {}

    def of(self, text: str) -> tuple[bytes, bool]:
        """Return the packed address of a client, and whether it was itself connected: it has a port then.

        Raises:
            ValueError: that is no client.
        """
        usual = _IPV4(text)
        if usual is not None:  # a third of the time of ip_address
            first, second, third, fourth, port = usual.groups()
            return bytes((int(first), int(second), int(third), int(fourth))), port is not None
        host, colon, port = text.rpartition(":")
        connected = bool(colon) and port.isdigit() and (host.startswith("[") or ":" not in host)
        if not connected:
            host = text
        found = self._known.get(host)
        if found is None or found[1] is not connected:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            found = self._known[host] = ipaddress.ip_address(host.strip("[]")).packed, connected
        return found
