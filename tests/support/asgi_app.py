"""An ASGI application that shows a client what a server has seen of it: run by hypercorn or uvicorn."""

import asyncio
import hashlib
import json
import random
import struct
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

BLOCK = bytes(range(256)) * 256
"""What bodies by size are made of, again and again (64 KiB)."""


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Answer by the first part of the path; unknown ones with 404."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    if scope["type"] == "websocket":
        await _echo_websocket(scope, receive, send)
        return
    name, _, argument = scope["path"].removeprefix("/").partition("/")
    await _PAGES.get(name, _missing)(_Exchange(scope, receive, send), argument)


class _Exchange:
    """One request of the application's."""

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send

    async def start(self, status: int, *headers: tuple[bytes, bytes], trailers: bool = False) -> None:
        await self.send(
            {"type": "http.response.start", "status": status, "headers": list(headers), "trailers": trailers}
        )

    async def body(self, data: bytes, *, more: bool = False) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(self, status: int, data: bytes, kind: bytes = b"text/plain") -> None:
        await self.start(status, (b"content-type", kind), (b"content-length", b"%d" % len(data)))
        await self.body(data)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _echo(exchange: _Exchange, _: str) -> None:
    """Tell the request as it came, its body by size and digest."""
    digest, size = hashlib.sha256(), 0
    more = True
    while more:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            return
        digest.update(message.get("body", b""))
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    scope = exchange.scope
    seen = {
        "version": scope["http_version"],
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "scheme": scope["scheme"],
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "size": size,
        "sha256": digest.hexdigest(),
    }
    await exchange.answer(200, json.dumps(seen).encode(), b"application/json")


async def _bytes(exchange: _Exchange, argument: str) -> None:
    """Send so many bytes, of announced length."""
    left = int(argument)
    await exchange.start(
        200, (b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % left), (b"x-kind", b"sized")
    )
    await _send_blocks(exchange, left)


async def _stream(exchange: _Exchange, argument: str) -> None:
    """Send so many bytes without saying how many."""
    await exchange.start(200, (b"content-type", b"application/octet-stream"))
    await _send_blocks(exchange, int(argument))


async def _send_blocks(exchange: _Exchange, left: int) -> None:
    while left > len(BLOCK):
        await exchange.body(BLOCK, more=True)
        left -= len(BLOCK)
    await exchange.body(BLOCK[:left])


async def _mirror(exchange: _Exchange, _: str) -> None:
    """Send the request's body back while it comes."""
    await exchange.start(200, (b"content-type", b"application/octet-stream"))
    more = True
    while more:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
        await exchange.body(message.get("body", b""), more=more)


async def _trailers(exchange: _Exchange, _: str) -> None:
    await exchange.start(200, (b"trailer", b"x-checksum"), trailers=True)
    await exchange.body(b"body")
    await exchange.send({"type": "http.response.trailers", "headers": [(b"x-checksum", b"42")], "more_trailers": False})


async def _hints(exchange: _Exchange, _: str) -> None:
    await exchange.send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    await exchange.answer(200, b"hinted")


async def _status(exchange: _Exchange, argument: str) -> None:
    await exchange.start(int(argument), (b"x-status", argument.encode()))
    await exchange.body(b"")


async def _slow(exchange: _Exchange, argument: str) -> None:
    """Answer after so many seconds."""
    await asyncio.sleep(float(argument))
    await exchange.answer(200, b"late")


async def _events(exchange: _Exchange, argument: str) -> None:
    """Send server-sent events, one each 50 ms."""
    await exchange.start(200, (b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))
    for number in range(int(argument)):
        await exchange.body(b"event: tick\ndata: <b>tick %d</b>\n\n" % number, more=True)
        await asyncio.sleep(0.05)
    await exchange.body(b"")


async def _page(exchange: _Exchange, _: str) -> None:
    await exchange.answer(200, (Path(__file__).parent / "page.html").read_bytes(), b"text/html; charset=utf-8")


async def _partial(exchange: _Exchange, _: str) -> None:
    await exchange.answer(200, b"<p id=swapped>swapped in</p>", b"text/html; charset=utf-8")


async def _image(exchange: _Exchange, argument: str) -> None:
    await exchange.answer(200, png(int(argument)), b"image/png")


def png(side: int) -> bytes:
    """Return an image so many pixels wide and high, of noise that does not compress; the same one each time."""
    noise = random.Random(side)
    rows = b"".join(b"\0" + noise.randbytes(side) for _ in range(side))
    chunks = {
        b"IHDR": struct.pack(">LLBBBBB", side, side, 8, 0, 0, 0, 0),
        b"IDAT": zlib.compress(rows, 1),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))
        for kind, content in chunks.items()
    )


async def _missing(exchange: _Exchange, _: str) -> None:
    await exchange.answer(404, b"no such page")


async def _echo_websocket(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    wanted = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": wanted[0] if wanted else None})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4001, "reason": "as asked"})
            # The client's own Close frame is still to come. An application that has returned by then lets hypercorn
            # forget the stream, whose DATA then ends its whole HTTP/2 connection (a KeyError, in 0.18 and before).
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        await send({"type": "websocket.send", "bytes": message.get("bytes"), "text": message.get("text")})


_PAGES: dict[str, Callable[[_Exchange, str], Awaitable[None]]] = {
    "": _page,
    "partial": _partial,
    "image": _image,
    "echo": _echo,
    "bytes": _bytes,
    "stream": _stream,
    "mirror": _mirror,
    "trailers": _trailers,
    "hints": _hints,
    "status": _status,
    "slow": _slow,
    "events": _events,
}
