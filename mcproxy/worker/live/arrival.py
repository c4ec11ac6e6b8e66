"""Where a client came from, where it came in, and the route that it was given."""

import msgspec

from mcproxy.wire.proxy_protocol import PackedAddress, Tlvs
from mcproxy.worker.live.listener import LiveListener, LiveRoute


class Arrival(msgspec.Struct, frozen=True, eq=False):
    """A client's connection, as far as it is known when its route is.

    Attributes:
        listener: where it came in.
        route: the one that its ClientHello chose; None on a listener without TLS, where each request has its own.
        source: the client's address and port; a PROXY header's where one was received.
        local: the address and port where it came in.
        server_name: what its ClientHello asked for, None if it named nothing.
        destination: where it wanted to go: a PROXY header's destination where one was received, else ``local``.
        tlvs: those of that header.
        proxied: whether a trusted proxy has passed the connection on, with a PROXY header.
        logged: whether its requests have lines in the access log; those of a health check have none.
    """

    listener: LiveListener
    route: LiveRoute | None
    source: PackedAddress
    local: PackedAddress
    server_name: str | None
    destination: PackedAddress
    tlvs: Tlvs = ()
    proxied: bool = False
    logged: bool = True
