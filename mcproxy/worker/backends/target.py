"""An endpoint prepared for dialing."""

import socket

from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.resolver import Addresses
from mcproxy.net.sockets import SocketAddress, numeric

UNIX = int(socket.AF_UNIX)


class Target:
    """An endpoint prepared for dialing, once per snapshot.

    Attributes:
        addresses: what to connect to, or empty when ``host`` is a name that has to be looked up.
    """

    __slots__ = ("addresses", "host", "port")

    def __init__(self, endpoint: Endpoint) -> None:
        self.host = endpoint.host
        self.port = endpoint.port
        address: SocketAddress | None = (
            (UNIX, endpoint.path) if endpoint.path else numeric(endpoint.host, endpoint.port)
        )
        self.addresses: Addresses = (address,) if address else ()


UNIX = int(socket.AF_UNIX)
