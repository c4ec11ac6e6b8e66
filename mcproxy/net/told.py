"""What control and workers tell each other within messages of the channel, and in files that go with them."""

import msgspec


class LiveConnection(msgspec.Struct, frozen=True, array_like=True):
    """A connection of a client, as a worker describes it.

    Attributes:
        listener: its address.
        route: the route's hostname, "" before one is chosen.
        client: the real client's address and port.
        stage: ``proxy_header``, ``hello``, ``dial``, ``relay``, ``half_closed``, ``handshake``, ``http/1.1`` or ``h2``.
        age: seconds since it was accepted.
        streams: requests under way.
    """

    listener: str
    route: str
    client: str
    stage: str
    age: float
    streams: int


class KeptRefusal(msgspec.Struct, array_like=True, gc=False):
    """A connection that was refused, or a request that the proxy itself has answered with an error.

    Attributes:
        at: when; seconds since the epoch, in the worker's memory monotonic ones.
        generation: of the snapshot that was live.
        listener: where it came in.
        route: the route's hostname, "" for none.
        client: packed address of the real client.
        port: its port, 0 where another proxy has named the client.
        sni: what the ClientHello has asked for, "" for nothing.
        id: of the request, "" for none.
        method, authority, path: of the request, as far as it could be read; of the path nothing behind the ``?``.
        case: the match of its case, "" for none.
        filter: the name of the filter that has refused it, "" for none.
        reason: a word of `mcproxy.model.values.reasons`.
        detail: in words, "" where the word says all.
        status: what the client was told, 0 if nothing.
        endpoint: the backend's address, "" for none.
        peer: packed address of who was connected, where that was another proxy that has named the client in a header field.
    """

    at: float
    listener: str
    reason: str
    client: bytes = b""
    port: int = 0
    generation: int = 0
    route: str = ""
    sni: str = ""
    id: str = ""
    method: str = ""
    authority: str = ""
    path: str = ""
    case: str = ""
    filter: str = ""
    detail: str = ""
    status: int = 0
    endpoint: str = ""
    peer: bytes = b""


class RouteFailure(msgspec.Struct, frozen=True, array_like=True):
    """What has failed on a route since the last report.

    Attributes:
        route: its index.
        count: how often.
        reason, detail, endpoint: of the last failure, see `mcproxy.model.values.reasons.Failure`.
    """

    route: int
    count: int
    reason: str
    detail: str
    endpoint: str


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """What is to be answered to CAs that look whether names are ours, as long as orders are under way.

    Attributes:
        names: for tls-alpn-01 (RFC 8737): certificate and key (PEM) by the name that is proven.
        tokens: for http-01 (RFC 8555 section 8.3): the body by the last part of the path.
    """

    names: dict[str, tuple[bytes, bytes]] = {}
    tokens: dict[str, str] = {}
