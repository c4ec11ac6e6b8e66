"""Well-behaved clients in a process of their own, who measure how long they wait while something is done to the proxy.

``python -m tests.support.bystanders L7_PORT L4_PORT HOSTNAME PATH PID ...``: four kept HTTP/1.1 connections with 20 requests a second
each, ten new connections a second with one request, and ten a second whose ClientHello is answered with a byte behind an L4
route (none with port 0). ``ready`` is printed when all have been served once; what comes before counts for nothing. At each
line of standard input, and at its end, they print how long each wait since the line before took: a number and JSON. What is
under way then is waited for. They end with their input.

A wait is measured from the moment that it was due, not from when the client came to it: one that finds the proxy stopped
for a second shows all the waits of that second. What a busy machine adds to it is left out (`Machine`).
"""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

import msgspec

from tests.support.machine import Machine
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
        kept: seconds that requests of kept connections took, as the rest without what a busy machine adds.
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
    """The process; `look` returns what it has seen, `leave` ends it too."""

    def __init__(
        self, processes: Processes, l7_port: int, l4_port: int, hostname: str, path: str, workers: Sequence[int]
    ) -> None:
        self._process: Process = processes.start(
            *(sys.executable, "-m", "tests.support.bystanders", str(l7_port), str(l4_port), hostname, path),
            *map(str, workers),
            env={"PYTHONPATH": str(ROOT)},
            stdin=True,
        )
        self._process.wait_for_line("^ready$", 15)
        self._looks = 0

    def look(self) -> Waits:
        """Return all waits since the last look; those under way are waited for."""
        self._process.say("look\n")
        return self._seen()

    def leave(self) -> Waits:
        """Return them as `look` does, and end."""
        self._process.end_input()
        waits = self._seen()
        self._process.wait(PATIENCE + 10)
        return waits

    def _seen(self) -> Waits:
        self._looks += 1
        line = self._process.wait_for_line(rf"^{self._looks} (.*)$", PATIENCE + 10)
        return msgspec.json.decode(line[1], type=Waits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()


class _Crowd:
    def __init__(self, l7_port: int, l4_port: int, hostname: str, path: str, workers: Sequence[int]) -> None:
        self._machine = Machine(workers)
        self._l7_port = l7_port
        self._l4_port = l4_port
        self._hostname = hostname
        self._request = f"GET {path} HTTP/1.1\r\nHost: {hostname}\r\n\r\n".encode()
        self._context = client_context()
        self._context.set_alpn_protocols(["http/1.1"])
        self._hello = client_hello("passed.test")
        self._over = asyncio.Event()
        self._waiting: Counter[float] = Counter()  # since when waits under way are due
        self._one_less = asyncio.Event()
        self._cleared_at = 0.0
        self._waits: dict[str, list[float]] = {"kept": [], "new": [], "passed": []}
        self._failed: list[str] = []
        self._lost: list[float] = []

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
        self._clear()
        print("ready", flush=True)
        looks = 0
        while not self._over.is_set():
            looks += 1
            if not await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
                self._over.set()
            now = time.monotonic()
            while any(due < now for due in self._waiting):
                self._one_less.clear()
                await self._one_less.wait()
            print(looks, json.dumps({**self._waits, "failed": self._failed, "lost": self._lost}), flush=True)
            self._clear()
        await asyncio.gather(*tasks)

    def _clear(self) -> None:
        self._cleared_at = time.monotonic()  # a lag from before counts for nothing after it
        for waits in (*self._waits.values(), self._lost):
            waits.clear()
        self._failed.clear()

    async def _arrive(self, kind: str, visit: Callable[[], Awaitable[None]]) -> None:
        due = time.monotonic()
        tasks: set[asyncio.Task[bool]] = set()
        while not self._over.is_set():
            if len(tasks) < _SLOTS:
                task = asyncio.create_task(self._measure(kind, due, visit()))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            else:
                self._failed.append(f"{kind}: too many wait")
            due += _NEW_PAUSE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*tasks)

    async def _stay(self) -> None:
        while not self._over.is_set():
            streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
            async with self._waits_since(time.monotonic(), "kept"):
                streams.append(await self._connect())
            for reader, writer in streams:
                due = time.monotonic()
                with contextlib.closing(writer):
                    while not self._over.is_set() and await self._measure("kept", due, self._ask(reader, writer)):
                        due = max(due + _KEPT_PAUSE, self._cleared_at)
                        await asyncio.sleep(max(0.0, due - time.monotonic()))
            await asyncio.sleep(_KEPT_PAUSE)

    async def _measure(self, kind: str, due: float, visit: Awaitable[None]) -> bool:
        done = False
        async with self._waits_since(due, kind):
            await visit
            done = True
            self._waits[kind].append(self._machine.without(due))
        return done

    @contextlib.asynccontextmanager
    async def _waits_since(self, due: float, kind: str) -> AsyncIterator[None]:
        """Note that something is waited for, and what goes wrong with it."""
        self._waiting[due] += 1
        self._machine.look()
        try:
            async with asyncio.timeout(PATIENCE):
                yield
        except (OSError, EOFError, TimeoutError) as error:
            self._failed.append(f"{kind}: {error!r}")
            self._lost.append(time.monotonic() - due)
        finally:
            self._waiting[due] -= 1
            if not self._waiting[due]:
                del self._waiting[due]
            self._one_less.set()

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
    l7_port, l4_port, hostname, path, *workers = sys.argv[1:]
    crowd = _Crowd(int(l7_port), int(l4_port), hostname, path, [*map(int, workers)])
    asyncio.run(crowd.run())


if __name__ == "__main__":
    main()
