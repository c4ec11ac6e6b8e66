"""Names with ``resolve = "all"``: each of their addresses is an endpoint, and control follows them.

A name is asked for every 30 s, and sooner when one of its addresses could not be dialed. A lookup that fails, or says that there is
no such name, changes nothing: the last answer stays.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from mcproxy.control.counters.endpoint_totals import endpoint_sums
from mcproxy.control.reconcile.current import Current
from mcproxy.control.system import log
from mcproxy.errors import ApplyError
from mcproxy.model.state.snapshot import Snapshot
from mcproxy.model.state.state import State
from mcproxy.model.state.upstream_entries import Answers
from mcproxy.model.values import addresses
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.memory.endpoints import DIAL_FAILURES
from mcproxy.net.resolver import Addresses, Resolver
from mcproxy.net.sockets import packed_address

MOST = 64
"""Addresses of a name that are used; of more those that come first as numbers."""

_INTERVAL = 30.0  # seconds from one lookup of a name to the next
_LEAST = 1.0  # seconds between them when addresses can't be dialed
_LOOK = 0.5  # seconds between looks at what there is to ask for


def answers_of(snapshot: Snapshot) -> dict[str, tuple[Endpoint, ...]]:
    """Return what names stand for in a snapshot."""
    found: dict[str, dict[Endpoint, None]] = {}
    for upstream in snapshot.upstreams:
        for entry in upstream.endpoints:
            if entry.label != str(entry.endpoint):
                found.setdefault(entry.label, {})[entry.endpoint] = None
    return {label: tuple(endpoints) for label, endpoints in found.items()}


def endpoints_of(found: Addresses) -> tuple[Endpoint, ...]:
    """Return what an answer means: its first `MOST` addresses, in an order that is the same each time."""
    ends = {Endpoint(str(address[0]), int(address[1])) for _, address in found if not isinstance(address, str)}
    return tuple(sorted(ends, key=lambda end: (":" in end.host, packed_address(end.host), end.host)))[:MOST]


class _Name:
    """One name, with its port: when it was asked for, and how often dials had failed then."""

    def __init__(self, label: str) -> None:
        self.endpoint = addresses.parse_backend(label)
        self.asked = float("-inf")
        self.failures = 0
        self.failing = False


class Names:
    """Follows the names of the live state."""

    def __init__(self, current: Current, resolver: Resolver, clock: Callable[[], float] = time.monotonic) -> None:
        self._current = current
        self._resolver = resolver
        self._clock = clock
        self._state: State | None = None
        self._names: dict[str, _Name] = {}
        self._found: dict[str, tuple[Endpoint, ...]] = {}
        self._answered = asyncio.Event()
        self._log = log.logger()

    async def run(self) -> None:
        """Follow them until cancelled."""
        while True:
            self._answered.clear()
            self.look()
            await self.settle()
            try:
                async with asyncio.timeout(_LOOK):
                    await self._answered.wait()
            except TimeoutError:
                pass

    def look(self) -> None:
        """Ask for what is due."""
        if self._state is not self._current.applier.state:
            self._state = self._current.applier.state
            wanted = [one.address for one in self._state.endpoints.values() if one.resolve == "all"]
            self._names = {label: self._names.get(label) or _Name(label) for label in wanted}
            self._found = {label: found for label, found in self._found.items() if label in self._names}
        if not self._names:
            return
        failures, now = self._failures(), self._clock()
        for label, name in self._names.items():
            failed = failures.get(label, 0)
            if now - name.asked >= (_LEAST if failed != name.failures else _INTERVAL):
                name.asked, name.failures = now, failed
                self._resolver.renew(name.endpoint.host, name.endpoint.port, self._taker(label))

    async def settle(self) -> None:
        """Make live what has been answered."""
        applier = self._current.applier
        known = {label: found for label, found in applier.answers.items() if label in self._names}
        answers = {**known, **self._found}
        if answers == known:
            return
        before = {label: known.get(label, ()) for label in answers}
        try:
            await self._current.follow_names(answers)
        except ApplyError as error:
            self._found.clear()  # asked for again in time
            self._log.error("the addresses of a name can't be made live, nothing changed", error=str(error))
        else:
            self._tell(before, answers)

    def _taker(self, label: str) -> Callable[[Addresses], None]:
        def take(found: Addresses) -> None:
            name = self._names.get(label)
            if name is None:
                return
            if not found and not name.failing:
                self._log.warning("a name can't be resolved, its last answer stays", name=label)
            elif found and name.failing:
                self._log.info("a name can be resolved again", name=label)
            name.failing = not found
            if len(found) > MOST:
                self._log.warning(f"a name has more than {MOST} addresses, the others are left out", name=label)
            if found:
                self._found[label] = endpoints_of(found)
                self._answered.set()

        return take

    def _failures(self) -> Mapping[str, int]:
        """Return how often dials have failed, by label."""
        indices = self._current.counters.endpoints
        sums = endpoint_sums(self._current.counters.memory, DIAL_FAILURES, len(indices.used()))
        found: dict[str, int] = {}
        for upstream in self._current.applier.upstreams:
            for entry in upstream.endpoints:
                found[entry.label] = found.get(entry.label, 0) + sums[entry.index]
        return found

    def _tell(self, before: Answers, after: Answers) -> None:
        for label, endpoints in after.items():
            if endpoints == before[label]:
                continue
            gone, come = set(before[label]) - set(endpoints), set(endpoints) - set(before[label])
            changes = ", ".join([*_listed("+", come), *_listed("-", gone)])
            self._log.info(f"a name stands for {len(endpoints)} endpoints", name=label, changes=changes)
            message = f"{label} stands for {len(endpoints)} endpoints: {changes}"
            self._current.events.publish("endpoint", message, self._current.applier.generation)


def _listed(sign: str, endpoints: set[Endpoint]) -> Sequence[str]:
    return sorted(f"{sign}{endpoint}" for endpoint in endpoints)
