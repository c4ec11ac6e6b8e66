"""Who has sent a request: who is connected, or whom a trusted proxy in front names (``real_ip`` of a listener)."""

import logging

import msgspec

from mcproxy.net.sockets import address_text
from mcproxy.policy.filters.real_ip import RealIpRule, Told, forwarding_fields
from mcproxy.policy.headers import Headers
from mcproxy.worker.live.arrival import Arrival

_log = logging.getLogger(__name__)


class Visitor(msgspec.Struct, frozen=True, eq=False):
    """Who it is.

    Attributes:
        source: the packed address.
        scheme: of the URL that the client has: ``https`` or ``http``.
        told: what a trusted proxy has told; None for who is connected.
    """

    source: bytes
    scheme: str
    told: Told | None = None


class Visitors:
    """Those of one client connection.

    Attributes:
        itself: who is connected.
    """

    __slots__ = ("_arrival", "_believed", "_rule", "itself")

    def __init__(self, arrival: Arrival) -> None:
        self._arrival = arrival
        self._rule: RealIpRule | None = None
        self._believed = False  # by that rule
        self.itself = Visitor(arrival.source[0], "http" if arrival.route is None else "https")

    def named(self, fields: Headers) -> Visitor:
        """Return who has sent a request by its fields as received, where the listener has ``real_ip``."""
        arrival, itself = self._arrival, self.itself
        rule = arrival.listener.real_ip
        if rule is None:
            return itself
        if rule is not self._rule:
            self._rule, self._believed = rule, rule.trusts(itself.source)
        if not self._believed:
            return itself
        told = rule.read(itself.source, fields)
        if told.malformed:
            self._complain()
        return Visitor(told.client, told.scheme.decode() or itself.scheme, told)

    def forwarding(self, told: Told, authority: bytes) -> Headers:
        """Return what backends are told of the client of a request to an authority."""
        itself = self.itself
        peer, client = address_text(itself.source), address_text(told.client)
        return forwarding_fields(told, peer, client, authority, itself.scheme.encode())

    def _complain(self) -> None:
        """Say once per listener that a proxy names clients in a way that can't be read."""
        listener = self._arrival.listener
        if not listener.complained:
            listener.complained = True
            peer = address_text(self.itself.source)
            _log.warning(
                "listener %s: %s names a client that is no address, so it counts as the client itself; this is told once",
                listener.addr,
                peer,
            )
