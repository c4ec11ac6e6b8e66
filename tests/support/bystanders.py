"""Well-behaved clients in a process of their own, who measure how long they wait while something is done to the proxy.

``python -m tests.support.bystanders L7_PORT L4_PORT HOSTNAME PATH``: four kept HTTP/1.1 connections with 20 requests a second
each, ten new connections a second with one request, and ten a second whose ClientHello is answered with a byte behind an L4
route (none with port 0). ``ready`` is printed when all have been served once; what comes before counts for nothing. When
standard input ends, so do they, and print how long each wait took as JSON.

A wait is measured from the moment that it was due, not from when the client came to it: one that finds the proxy stopped
for a second shows all the waits of that second.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

import msgspec

from tests.support.processes import Process, Processes
from tests.support.proxy import ROOT
from tests.support.tls import client_context, client_hello

PATIENCE = 10.0
"""Seconds after which a client has waited in vain."""
_KEPT = 4
_KEPT_PAUSE = 1 / 20
_NEW_PAUSE = 1 / 10
_SLOTS = 100  # waits in hand of one kind of new connection: ten seconds of them


class Waits(msgspec.Struct, frozen=True):
    """What bystanders have seen.

    Attributes:
        kept: seconds that requests of kept connections took.
        new: those of new L7 connections, handshake and request.
        passed: those of new L4 connections, until the backend's first byte.
        failed: what went wrong, of waits that ended in an error, or not within `PATIENCE`.
        lost: how long these took.
    """

    kept: list[float]
    new: list[float]
    passed: list[float]
    failed: list[str]
    lost: list[float]

    @property
    def worst(self) -> float:
        """The longest of all waits, those that failed included."""
        return max([*self.kept, *self.new, *self.passed, *self.lost], default=0.0)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that so large a share of the others does not exceed, 0.0 without values."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


class Bystanders:
    """The process; `leave` ends it and returns what it has seen."""

    def __init__(self, processes: Processes, l7_port: int, l4_port: int, hostname: str, path: str) -> None:
        self._process: Process = processes.start(
            *(sys.executable, "-m", "tests.support.bystanders", str(l7_port), str(l4_port), hostname, path),
            env={"PYTHONPATH": str(ROOT)},
            stdin=True,
        )
        self._process.wait_for_line("^ready$", 15)

    def leave(self) -> Waits:
        """Return all waits; those under way are waited for."""
        self._process.end_input()
        self._process.wait(PATIENCE + 10)
        return msgspec.json.decode(self._process.stdout.splitlines()[-1], type=Waits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()


class _Crowd:
    def __init__(self, l7_port: int, l4_port: int, hostname: str, path: str) -> None:
        self._l7_port = l7_port
        self._l4_port = l4_port
        self._hostname = hostname
        self._request = f"GET {path} HTTP/1.1\r\nHost: {hostname}\r\n\r\n".encode()
        self._context = client_context()
        self._context.set_alpn_protocols(["http/1.1"])
        self._hello = client_hello("passed.test")
        self._over = asyncio.Event()
        self.waits: dict[str, list[float]] = {"kept": [], "new": [], "passed": []}
        self.failed: list[str] = []
        self.lost: list[float] = []

    async def run(self) -> None:
        kinds: list[tuple[str, Callable[[], Awaitable[None]]]] = [("new", self._visit)]
        if self._l4_port:
            kinds.append(("passed", self._pass))
        await self._visit()
        if self._l4_port:
            await self._pass()
        tasks = [asyncio.create_task(self._arrive(name, visit)) for name, visit in kinds]
        tasks += [asyncio.create_task(self._stay()) for _ in range(_KEPT)]
        await asyncio.sleep(0.2)
        for waits in self.waits.values():
            waits.clear()
        self.failed.clear()
        self.lost.clear()
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        self._over.set()
        await asyncio.gather(*tasks)

    async def _arrive(self, kind: str, visit: Callable[[], Awaitable[None]]) -> None:
        due = time.monotonic()
        tasks: set[asyncio.Task[bool]] = set()
        while not self._over.is_set():
            if len(tasks) < _SLOTS:
                task = asyncio.create_task(self._measure(kind, due, visit()))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            else:
                self.failed.append(f"{kind}: too many wait")
            due += _NEW_PAUSE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*tasks)

    async def _stay(self) -> None:
        while not self._over.is_set():
            due = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE):
                    reader, writer = await self._connect()
            except (OSError, TimeoutError) as error:
                self.failed.append(f"kept: {error!r}")
                self.lost.append(time.monotonic() - due)
                continue
            due = time.monotonic()
            with contextlib.closing(writer):
                while not self._over.is_set() and await self._measure("kept", due, self._ask(reader, writer)):
                    due += _KEPT_PAUSE
                    await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _measure(self, kind: str, due: float, visit: Awaitable[None]) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                await visit
        except (OSError, EOFError, TimeoutError) as error:
            self.failed.append(f"{kind}: {error!r}")
            self.lost.append(time.monotonic() - due)
            return False
        self.waits[kind].append(time.monotonic() - due)
        return True

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "127.0.0.1",
            self._l7_port,
            ssl=self._context,
            server_hostname=self._hostname,
            ssl_handshake_timeout=PATIENCE,
        )

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(f"answered {head[:60]!r}")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)

    async def _visit(self) -> None:
        reader, writer = await self._connect()
        try:
            await self._ask(reader, writer)
        finally:
            writer.transport.abort()

    async def _pass(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._l4_port)
        try:
            writer.write(self._hello)
            await reader.readexactly(1)
        finally:
            writer.transport.abort()


def main() -> None:
    """Be there until standard input ends."""
    l7_port, l4_port, hostname, path = sys.argv[1:]
    crowd = _Crowd(int(l7_port), int(l4_port), hostname, path)
    asyncio.run(crowd.run())
    print(json.dumps({**crowd.waits, "failed": crowd.failed, "lost": crowd.lost}), flush=True)


if __name__ == "__main__":
    main()
