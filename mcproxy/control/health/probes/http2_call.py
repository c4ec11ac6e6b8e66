"""One request over HTTP/2, and as much of the response as a check needs."""

import asyncio

import msgspec

from mcproxy.control.health.probes.connection import CheckFailedError, Connection
from mcproxy.model.values.reasons import Failure
from mcproxy.wire import http2

_LIMITS = http2.Limits(connection_window=65_535)
_MORE = 1 << 16


class Reply(msgspec.Struct):
    """What came of a response.

    Attributes:
        headers: its head.
        body: its first 64 KiB.
        trailers: the fields behind it.
    """

    headers: http2.Headers
    body: bytes = b""
    trailers: http2.Headers = []


async def call(connection: Connection, headers: http2.Headers, body: bytes = b"", *, whole: bool = False) -> Reply:
    """Send a request, and return its response.

    Args:
        connection: new, through TLS or not.
        headers: of the request, pseudo-header fields first.
        body: of the request.
        whole: wait for the end of the response, not for its head alone.

    Raises:
        CheckFailedError: there is no response that follows the rules.
        OSError: the connection failed.
    """
    loop = asyncio.get_running_loop()
    engine = http2.engine_type()(client=True, limits=_LIMITS)
    stream = engine.open(headers, end=not body)
    assert stream is not None  # noqa: S101 - the first one
    if body:
        engine.send(stream, body, end=True)
    await connection.send(engine.output())
    reply: Reply | None = None
    settled = False
    while True:
        data = b"" if engine.pending else await connection.receive()
        if not data and not engine.pending:
            raise CheckFailedError(_failure(connection, "it closed the connection without a response"))
        for event in engine.feed(data, loop.time()):
            match event:
                case http2.PeerSettings():
                    settled = True
                case http2.Response():
                    reply = Reply(event.headers)
                    if event.end or not whole:
                        return reply
                case http2.Data() if reply is not None:
                    reply.body += event.data
                    if event.end:
                        return reply
                case http2.Trailers() if reply is not None:
                    reply.trailers = event.headers
                    return reply
                case http2.Reset():
                    what = "it reset the stream" if event.remote else "its response breaks the rules of HTTP/2"
                    raise CheckFailedError(_failure(connection, f"{what} (error code {event.code})"))
                case http2.HeadersTooLarge():
                    raise CheckFailedError(_failure(connection, "the head of its response exceeds the limit"))
                case http2.Fatal():
                    what = f"it broke the rules of HTTP/2: {event.reason}" if settled else "it does not speak HTTP/2"
                    raise CheckFailedError(_failure(connection, what))
                case _:
                    pass
        if output := engine.output():
            await connection.send(output)


def _failure(connection: Connection, detail: str) -> Failure:
    return Failure("bad_response", detail, connection.endpoint)
