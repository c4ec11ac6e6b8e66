"""Hostile backends in a process of their own: ``python -m tests.attacks.hostile_backend``.

The first line that it prints tells their ports by kind (``h1-KIND``, ``h2-KIND``), as JSON. It ends when standard input does.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator

from tests.attacks import hostile_h1, hostile_h2
from tests.support.frames import ACK, HEADERS, PREFACE, SETTINGS, frame

_READ = 1 << 16


async def _send(writer: asyncio.StreamWriter, pieces: Iterator[bytes | float | None] | hostile_h2.Pieces) -> None:
    for piece in pieces:
        if piece is None:
            writer.transport.abort()
            return
        if isinstance(piece, bytes):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)  # drain returns at once while there is room
        else:
            await asyncio.sleep(piece)


async def _serve_h1(kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, EOFError), contextlib.closing(writer):
        if kind == "closes":
            return  # at once, before the request is here
        await reader.readuntil(b"\r\n\r\n")
        await _send(writer, hostile_h1.KINDS[kind]())


async def _serve_h2(kind: hostile_h2.Kind, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    responses: set[asyncio.Task[None]] = set()
    with contextlib.suppress(OSError, EOFError), contextlib.closing(writer):
        await reader.readexactly(len(PREFACE))
        writer.write(kind.begin)
        while True:
            head = await reader.readexactly(9)
            await reader.readexactly(int.from_bytes(head[:3]))
            if head[3] == SETTINGS and not head[4] & ACK:
                writer.write(frame(SETTINGS, flags=ACK))
            elif head[3] == HEADERS:
                task = asyncio.create_task(_respond(kind, writer, int.from_bytes(head[5:9])))
                responses.add(task)
                task.add_done_callback(responses.discard)
    for task in list(responses):
        task.cancel()


async def _respond(kind: hostile_h2.Kind, writer: asyncio.StreamWriter, stream: int) -> None:
    with contextlib.suppress(OSError):
        await _send(writer, kind.respond(stream))


async def _listen(version: str, kind: str) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if version == "h1":
            await _serve_h1(kind, reader, writer)
        else:
            await _serve_h2(hostile_h2.KINDS[kind], reader, writer)

    return await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)


async def main() -> None:
    """Serve until standard input ends."""
    kinds = [("h1", kind) for kind in hostile_h1.KINDS] + [("h2", kind) for kind in hostile_h2.KINDS]
    servers = {f"{version}-{kind}": await _listen(version, kind) for version, kind in kinds}
    print(json.dumps({name: server.sockets[0].getsockname()[1] for name, server in servers.items()}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
