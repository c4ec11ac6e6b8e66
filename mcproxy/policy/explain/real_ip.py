"""Who the client is where another proxy in front says so in a header."""

import ipaddress

import msgspec

from mcproxy.model.state.state import Listener
from mcproxy.model.values.origins import Origin
from mcproxy.policy.explain.query import Step
from mcproxy.policy.filters.real_ip import RealIpRule, forwarding_fields
from mcproxy.policy.headers import Forwarding, Headers


class Client(msgspec.Struct, frozen=True):
    """The client of a request.

    Attributes:
        address: None if it is left open.
        scheme: of the URL that it has.
        told: what backends are told of it beside what depends on the authority; None where that is nothing of another proxy's.
        trusted: whether another proxy has told who it is, which may name requests too.
        step: the step that tells how it is known; None where nothing is asked about it.
    """

    address: str | None
    scheme: bytes
    told: Headers | None = None
    trusted: bool = False
    step: Step | None = None

    def forwarding(self, authority: bytes) -> Headers:
        """Return what backends are told of the client of a request to ``authority``."""
        return self.told or Forwarding(self.address or "", self.scheme).fields(authority)


def client_of(
    listener: Listener, peer: str | None, scheme: bytes, authority: bytes, fields: Headers, origin: Origin | None
) -> Client:
    """Return the client of a request.

    Args:
        listener: where it came in.
        peer: the address of the connection, None if it is left open.
        scheme: of the connection.
        authority: of the request.
        fields: its fields as received.
        origin: where ``real_ip`` is declared.
    """
    real_ip = listener.real_ip
    if real_ip is None:
        return Client(peer, scheme)
    networks = ", ".join(real_ip.from_)
    if peer is None:
        detail = f"{real_ip.header} says who the client is, if the connection comes from {networks}"
        return Client(None, scheme, step=Step("real_ip", "ok", detail, origin))
    rule = RealIpRule(real_ip)
    packed = ipaddress.ip_address(peer).packed
    if not rule.trusts(packed):
        detail = f"{peer} is not in {networks}: it is the client, whatever {real_ip.header} says"
        return Client(peer, scheme, step=Step("real_ip", "ok", detail, origin))
    told = rule.read(packed, fields)
    client = str(ipaddress.ip_address(told.client))
    if told.malformed:
        detail = f"{real_ip.header} has an address that is none: {peer} counts as the client"
    elif told.client == packed:
        detail = f"{peer} is in {networks}, and {real_ip.header} names nobody else"
    else:
        detail = f"{peer} is in {networks}, and {real_ip.header} says that the client is {client}"
    forwarded = forwarding_fields(told, peer, client, authority, scheme)
    return Client(client, told.scheme or scheme, forwarded, True, Step("real_ip", "ok", detail, origin))
