"""What a check asks over HTTP: one request, or the health service of gRPC; one home of google, one home of grpc_health."""

import asyncio
from collections.abc import Sequence
from urllib.parse import unquote

from google.protobuf.message import DecodeError
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from mcproxy.control.health.probes.connection import CheckFailedError, Connection
from mcproxy.control.health.probes.http2_call import Reply, call
from mcproxy.model.values.reasons import Failure
from mcproxy.wire import http1, http2

AGENT = b"mcproxy-check"
"""User-Agent of checks."""

_LIMITS = http1.Limits()
_MESSAGE = b"\0%b%b"  # uncompressed, its length in four bytes (gRPC over HTTP/2, Length-Prefixed-Message)
_STATUSES = {5: "it does not know the service", 12: "it has no health service (UNIMPLEMENTED)"}
_MOST_TOLD = 100  # characters of an endpoint's own words


async def check_http(connection: Connection, host: str, path: str, statuses: Sequence[tuple[int, int]]) -> None:
    """Ask for a path, by HTTP/1.1.

    Args:
        connection: new.
        host: for the field Host.
        path: with its query.
        statuses: the first and the last of each range that is good.

    Raises:
        CheckFailedError: the status is another, or there is no response that follows the rules.
        OSError: the connection failed.
    """
    headers = [(b"host", host.encode()), (b"user-agent", AGENT), (b"accept", b"*/*")]
    await connection.send(http1.ClientSide().request(b"GET", path.encode(), headers, bodiless=True, websocket=False))
    parser = http1.ResponseParser(b"GET", _LIMITS)
    while True:
        data = await connection.receive()
        for event in parser.feed(data) if data else parser.eof():
            match event:
                case http1.Response():
                    _judge(connection, event.status, statuses)
                    return
                case http1.Bad() if event.reason == "truncated":
                    raise _failed(connection, "it closed the connection without a response")
                case http1.Bad():
                    raise _failed(connection, f"its response breaks the rules of HTTP: {event.detail}")
                case _:
                    pass
        await asyncio.sleep(0)  # to others, whatever it sends


async def check_http2(connection: Connection, host: str, path: str, statuses: Sequence[tuple[int, int]]) -> None:
    """Ask for a path, by HTTP/2; otherwise as `check_http`."""
    reply = await call(connection, _head(b"GET", connection, host, path))
    _judge(connection, int(reply.headers[0][1]), statuses)


async def check_grpc(connection: Connection, host: str, service: str) -> None:
    """Ask whether a service is SERVING (grpc.health.v1); "" is the server as a whole.

    Raises:
        CheckFailedError: it is not, or does not say so.
        OSError: the connection failed.
    """
    head = _head(b"POST", connection, host, "/grpc.health.v1.Health/Check")
    head += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
    request = HealthCheckRequest(service=service).SerializeToString()
    reply = await call(connection, head, _MESSAGE % (len(request).to_bytes(4, "big"), request), whole=True)
    http_status = int(reply.headers[0][1])
    if http_status != 200:
        raise _failed(connection, f"status {http_status}")
    told = dict(reply.headers) | dict(reply.trailers)
    status = told.get(b"grpc-status", b"")
    if status != b"0":
        raise _failed(connection, _grpc_words(status, told.get(b"grpc-message", b"")))
    state = _state(reply)
    if state is None:
        raise _failed(connection, "its answer is none of the gRPC health service")
    if state != HealthCheckResponse.SERVING:
        raise _failed(connection, f"it says {_name(state)}")


def _head(method: bytes, connection: Connection, host: str, path: str) -> http2.Headers:
    scheme = b"http" if connection.alpn is None else b"https"
    return [
        (b":method", method),
        (b":scheme", scheme),
        (b":authority", host.encode()),
        (b":path", path.encode()),
        (b"user-agent", AGENT),
    ]


def _judge(connection: Connection, status: int, statuses: Sequence[tuple[int, int]]) -> None:
    if not any(first <= status <= last for first, last in statuses):
        raise _failed(connection, f"status {status}")


def _state(reply: Reply) -> int | None:
    """Return what the answer says; None if it is no answer."""
    body = reply.body
    if len(body) < 5 or body[0] or int.from_bytes(body[1:5], "big") != len(body) - 5:
        return None
    try:
        return HealthCheckResponse.FromString(body[5:]).status
    except DecodeError:
        return None


def _name(state: int) -> str:
    values = HealthCheckResponse.ServingStatus
    return values.Name(state) if state in values.values() else str(state)


def _grpc_words(status: bytes, message: bytes) -> str:
    number = int(status) if status.isdigit() and len(status) < 4 else -1
    if number < 0:
        return "it is no gRPC server"
    words = _STATUSES.get(number, f"grpc status {number}")
    text = unquote(message.decode("latin-1")).encode("unicode_escape").decode()[:_MOST_TOLD]
    return f"{words}: {text}" if text and number not in _STATUSES else words


def _failed(connection: Connection, detail: str) -> CheckFailedError:
    return CheckFailedError(Failure("bad_response", detail, connection.endpoint))
