"""The parts of control that make files and edits live, with workers that are no processes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from mcproxy.control.counters.counters import Counters
from mcproxy.control.files import config_file
from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.reconcile.applier import Applier
from mcproxy.control.reconcile.change.judging import Judge
from mcproxy.control.reconcile.change.request import ChangeRequest, ChangeResult
from mcproxy.control.reconcile.changes import ChangeHandler
from mcproxy.control.reconcile.current import Current
from mcproxy.control.reconcile.events import Events
from mcproxy.control.reconcile.reconciler import Reconciler
from mcproxy.control.reconcile.runtime_edits import RuntimeEdits
from mcproxy.control.store.ledger import AuditEntry
from mcproxy.control.workers.listeners import Listeners
from mcproxy.control.workers.process import Live, WorkerSettings
from mcproxy.control.workers.supervisor import Workers
from mcproxy.errors import ApplyError
from mcproxy.model.edits import requests
from mcproxy.net.memory.shared_memory import SharedMemory
from tests.support.ports import free_port


class FakeWorkers(Workers):
    """Workers that take or refuse what they are told to serve.

    Attributes:
        refuse: why they refuse; "" when they don't.
        served: the generations they took.
        on_commit: called before they take or refuse anything.
    """

    def __init__(self, counters: Counters) -> None:
        super().__init__(counters, WorkerSettings("nowhere", 0))
        self.refuse = ""
        self.served: list[int] = []
        self.on_commit: Callable[[], None] = lambda: None

    async def commit(self, live: Live, drain_seconds: float) -> None:
        self.on_commit()
        if self.refuse:
            raise ApplyError(self.refuse)
        self.served.append(live.generation)


class Control:
    """What control is made of, for a config file that may or may not exist yet; `close` gives everything back."""

    def __init__(self, path: Path, fleet: Fleet | None = None) -> None:
        self.path = path
        self.memory = SharedMemory.create()
        self.counters = Counters(self.memory)
        self.listeners = Listeners()
        self.workers = FakeWorkers(self.counters)
        self.applier = Applier(self.listeners, self.counters, self.workers)
        self.edits = RuntimeEdits(path.with_suffix(".db"), busy_timeout=0.1, fleet=fleet)
        self.events = Events()
        self.current = Current(self.applier, self.counters, self.edits, self.events)
        self.reconciler = Reconciler(path, self.current)
        self.changes = ChangeHandler(self.current, self.reconciler)

    async def start(self) -> None:
        """Make live what the file and the edits of the database say."""
        await self.edits.open()
        documents = self.edits.shared.fleet.documents
        await self.reconciler.start(config_file.load(self.path, documents=documents))

    async def close(self) -> None:
        """Close the store, the sockets and the memory, and set the log back."""
        await self.edits.close()
        self.listeners.release_others(())
        if self.applier.assets is not None:
            self.applier.assets.close()
        self.memory.close()
        structlog.reset_defaults()  # what became live set it up, on the standard error of this test

    def limit(self, addr: str) -> int:
        """Return how many connections workers let a listener have now."""
        with self.memory.admission(self.counters.listeners.items()[addr]) as cells:
            return cells[0]

    def hostnames(self) -> list[str]:
        """Return the hostnames of the live routes, sorted."""
        return sorted(hostname for _, hostname in self.applier.state.routes)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follow the files meanwhile."""
        task = asyncio.ensure_future(self.reconciler.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


Body = Callable[[Control, str], Coroutine[Any, Any, None]]
"""A test of a control, given the address of its listener too."""


def using(folder: Path, text: Callable[[str], str], body: Body) -> None:
    """Run a test with a control that is not started yet, and close it.

    Args:
        folder: for the file and the database.
        text: makes the file, of the address of a listener.
        body: the test.
    """
    addr = f"127.0.0.1:{free_port()}"
    path = folder / "mc-proxy.toml"
    path.write_text(text(addr), encoding="utf-8")

    async def main() -> None:
        control = Control(path)
        try:
            await body(control, addr)
        finally:
            await control.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def add_route(addr: str, hostname: str, **fields: object) -> Judge:
    """Return what judges the addition of a route."""
    return lambda view, metadata: requests.add_route(
        view, metadata, addr, {"hostname": hostname, "backend": "127.0.0.1:9001", **fields}
    )


def asked(action: str = "AddRoute", **fields: Any) -> ChangeRequest:
    """Return a request, of an author ``ann``."""
    return ChangeRequest(action=action, about="a route", author="ann", **fields)


async def ask(control: Control, judge: Judge, action: str = "AddRoute", **fields: Any) -> ChangeResult:
    """Have a request done."""
    return await control.changes.change(asked(action, **fields), judge)


async def newest(control: Control) -> AuditEntry:
    """Return the last request on record."""
    return (await control.edits.store.audit(limit=1))[0]
