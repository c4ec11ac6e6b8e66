"""Where an L7 route leads."""

from typing import Literal

import msgspec

from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.tls import Pair
from mcproxy.wire.proxy_protocol import PackedAddress, Tlvs
from mcproxy.worker.backends.proxy_header import HeaderOptions


class Backend(msgspec.Struct, frozen=True):
    """Where a route leads, and how: routes that agree in all of it share connections.

    Attributes:
        endpoints: the addresses.
        tls: whether to reach it through TLS.
        ca: PEM of the CAs it is verified by; empty for the system's.
        server_name: the name it is verified for.
        protocol: what it speaks, as configured.
        own: the certificate that the proxy shows to it, and its key; None for none.
        proxy_header: the PROXY header that connections begin with, None for none.
        source: the client that PROXY headers name; None when none are sent.
        destination: what they name as its destination; None for the backend.
        tlvs: those that came with the client.
        connect_timeout: seconds to dial each address; None for the settings' value.
        owner: the number of the client connection whose requests alone it serves, 0 for all.
    """

    endpoints: tuple[Endpoint, ...]
    tls: bool
    ca: bytes
    server_name: str
    protocol: Literal["auto", "h2", "http/1.1"]
    own: Pair | None = None
    proxy_header: HeaderOptions | None = None
    source: PackedAddress | None = None
    destination: PackedAddress | None = None
    tlvs: Tlvs = ()
    connect_timeout: float | None = None
    owner: int = 0
