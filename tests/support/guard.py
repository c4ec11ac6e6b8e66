"""A control with a guard, whose counters the test writes."""

import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from mcproxy.control.guard.guard import Guard
from mcproxy.control.guard.undoing import Undoing
from mcproxy.control.health.endpoint_health import EndpointFacts, EndpointHealth
from mcproxy.control.store.guard.watches import Verdict
from mcproxy.model.edits.edit import Edit
from mcproxy.net.memory.shared_memory import (
    ROUTE_CONNECTIONS,
    ROUTE_ERRORS,
    accepted_counter,
    reason_counter,
    route_counter,
    route_reason_counter,
)
from tests.support import reconcile
from tests.support.reconcile import Control
from tests.support.toml import config, listener, route

SLOT = 1

Body = Callable[["Guarded"], Coroutine[Any, Any, None]]


class Guarded:
    """What a test has of it.

    Attributes:
        control: with the files and edits.
        addr: of its listener.
        endpoints: how the endpoints of upstreams are.
        now: what the guard takes for the time, in seconds since the epoch.
    """

    def __init__(self, control: Control, addr: str) -> None:
        self.control = control
        self.addr = addr
        self.endpoints: list[EndpointHealth] = []
        self.now = time.time()
        control.memory.use_slot(SLOT)
        self.begin()

    def begin(self) -> None:
        """Have a guard that knows nothing, as of a new control."""
        self.guard = Guard(
            self.control.current,
            Undoing(self.control.changes, self.control.reconciler),
            lambda: EndpointFacts(tuple(self.endpoints)),
            lambda: self.now,
        )
        self.control.current.guard = self.guard

    async def save(self, text: str) -> None:
        """Make a file live."""
        self.control.path.write_text(text.replace("ADDR", self.addr), encoding="utf-8")
        async with self.control.following():
            reload = await self.control.reconciler.reload()
        assert reload.problems == ()

    async def later(self, seconds: float = 1.0) -> None:
        """Have time go by, and the guard look."""
        self.now += seconds
        await self.guard.look()

    def count(self, hostname: str, good: int = 0, failed: int = 0, refused: int = 0) -> None:
        """Count connections of an l4 route."""
        index = self.control.counters.routes.items()[self.addr, hostname]
        with self.control.memory.counter_block(SLOT) as words:
            words[route_counter(index, ROUTE_CONNECTIONS)] += good + failed + refused
            words[route_counter(index, ROUTE_ERRORS)] += failed + refused
            words[route_reason_counter(index, "backend_refused")] += failed
            words[route_reason_counter(index, "filter_network")] += refused

    def accept(self, good: int = 0, **refused: int) -> None:
        """Count connections of the listener, and those refused by reason."""
        index = self.control.counters.listeners.items()[self.addr]
        with self.control.memory.counter_block(SLOT) as words:
            words[accepted_counter(index)] += good + sum(refused.values())
            for reason, count in refused.items():
                words[reason_counter(index, reason)] += count

    def edits(self) -> dict[str, Edit]:
        """Return the runtime edits by the last part of their keys."""
        return {edit.key if isinstance(edit.key, str) else edit.key[-1]: edit for edit in self.control.edits.edits}

    def backend(self, hostname: str) -> str:
        """Return where a live route leads."""
        return str(self.control.applier.state.routes[self.addr, hostname].backend)

    async def verdicts(self) -> list[tuple[int, str]]:
        """Return generation and outcome of what was watched, the oldest first."""
        found: tuple[Verdict, ...] = await self.control.edits.store.verdicts(50)
        return [(one.generation, one.outcome) for one in reversed(found)]


def file(*routes: str, watch: str = "60s", least: int = 10, head: str = "") -> str:
    """Return a file of the listener ``ADDR``, guarded."""
    guard = f'[guard]\nwatch = "{watch}"\nmin_requests = {least}\n{head}'
    return config(listener("ADDR:1", *routes).replace("ADDR:1", "ADDR"), head=guard)


def to(hostname: str, port: int, **options: str) -> str:
    """Return a route of that."""
    return route(hostname, port, **options)


def using(folder: Path, text: str, body: Body) -> None:
    """Run a test with a guarded control that serves a file."""

    async def started(control: Control, addr: str) -> None:
        await control.start()
        await body(Guarded(control, addr))

    reconcile.using(folder, lambda addr: text.replace("ADDR", addr), started)
