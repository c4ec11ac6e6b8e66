"""The PROXY header that a backend's connection begins with (PROXY protocol specification, versions 1 and 2)."""

import socket
import struct
from typing import Literal

import msgspec

from mcproxy.model.state.route_options import RouteOptions
from mcproxy.model.state.upstream_options import UpstreamOptions
from mcproxy.net.sockets import PlainSocket, packed_address
from mcproxy.wire.proxy_protocol import PackedAddress, Tlvs, encode_v1, encode_v2


class HeaderOptions(msgspec.Struct, frozen=True):
    """How a route's backend is told who the client is.

    Attributes:
        version: of the header.
        original: whether it names the client's original destination, in place of the backend's address.
        tlvs: whether it passes on the TLVs of the header received.
    """

    version: Literal["v1", "v2"] = "v2"
    original: bool = False
    tlvs: bool = False


def header_options(options: RouteOptions | UpstreamOptions) -> HeaderOptions | None:
    """Return what a route or an upstream says of the header, None if it sends none."""
    if not options.send_proxy_protocol:
        return None
    original = options.proxy_protocol_destination == "original"
    return HeaderOptions(options.proxy_protocol_version, original, options.proxy_protocol_tlvs)


def send_proxy_header(
    backend: PlainSocket,
    options: HeaderOptions,
    source: PackedAddress,
    destination: PackedAddress | None,
    tlvs: Tlvs = (),
) -> bool:
    """Name a client to a backend that has just been connected; tell whether the whole header was taken.

    Args:
        backend: its socket.
        options: of the route.
        source: the client's address and port.
        destination: where the client wanted to go; None for the backend's own address.
        tlvs: of the header received; passed on if the options say so.
    """
    try:
        if destination is None and backend.family != socket.AF_UNIX:
            host, port = backend.getpeername()[:2]
            destination = packed_address(host), port
        if options.version == "v1":
            header = encode_v1(source, destination)
        else:
            header = encode_v2(source, destination, tlvs if options.tlvs else ())
        # MSG_MORE: in one segment with what comes next. A new connection has room for both.
        return backend.send(header, socket.MSG_MORE) == len(header)
    except (OSError, struct.error):  # struct.error: TLVs that a longer address leaves no room for
        return False
