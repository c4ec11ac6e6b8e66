"""Upstreams for the objects of `tests.support.fake_worker`, with endpoints that are numbered from 0 in the order of their making.

::

    upstreams = FakeUpstreams(worker)
    upstream = upstreams.make("web", "192.0.2.1:80", "192.0.2.2:80", tries=2)
    upstreams.says(1, DOWN)
    assert upstream.take(b"", frozenset(), 1000.0).index == 0
"""

from array import array
from typing import Any

from mcproxy.model.state.state import Upstream
from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry
from mcproxy.net.memory.endpoints import ACTIVE, state_word
from mcproxy.net.memory.shared_memory import endpoint_counter
from mcproxy.policy.upstreams.choice import Member, places
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.connector import ConnectorTools
from mcproxy.worker.backends.pool import PoolTools
from mcproxy.worker.backends.proxy_header import header_options
from mcproxy.worker.live.endpoint import EndpointTools
from mcproxy.worker.live.pools import Pools
from mcproxy.worker.live.upstream import LiveUpstream
from tests.support.fake_wire import INDICES
from tests.support.fake_worker import FakeWorker, parse_endpoint


class FakeUpstreams:
    """Makes upstreams, and plays control's and other workers' part in what is shared about their endpoints.

    Attributes:
        pools: the connections to their endpoints.
    """

    def __init__(self, worker: FakeWorker) -> None:
        self._worker = worker
        self._states = memoryview(array("Q", bytes(8 * INDICES)))
        self._indices: dict[tuple[str, str], int] = {}
        wire = worker.wire
        self.tools = EndpointTools(self, wire.counters, worker.lock_fd, lambda call: wire.loop.call_later(0.1, call))
        connector = ConnectorTools(
            wire.as_poller(), wire.settings, wire.loop.as_loop(), wire.tasks, wire.dial_tools, wire.http_tools
        )
        self.pools = Pools(PoolTools(wire.as_poller(), wire.deadlines, wire.settings, wire.counters, connector))

    def endpoint_states(self) -> memoryview:
        return self._states

    def endpoint_cells(self, endpoint: int, counter: int) -> memoryview:
        word = endpoint_counter(endpoint, counter)
        return self._worker.wire.counters[word : word + 1]

    def slots_used(self) -> int:
        return 1

    def says(self, index: int, verdict: int, withheld: int = 0) -> None:
        """Let control say something of an endpoint."""
        self._states[index] = state_word(verdict, withheld)

    def counted(self, index: int, counter: int) -> int:
        """Return a counter of an endpoint, once it is written."""
        self.tools.write()
        return self._worker.counted(endpoint_counter(index, counter))

    def open(self, *indices: int) -> list[int]:
        """Return how many connections or requests are open at endpoints."""
        return [self.counted(index, ACTIVE) for index in indices]

    def make(self, name: str, *addresses: str, **options: Any) -> LiveUpstream:
        """Return an upstream of endpoints that are alike, see `update`."""
        return self.update(LiveUpstream(self.tools), name, *addresses, **options)

    def update(
        self,
        upstream: LiveUpstream,
        name: str,
        *addresses: str,
        each: dict[str, dict[str, Any]] | None = None,
        **options: Any,
    ) -> LiveUpstream:
        """Make another version of an upstream live; ``each`` has what is said of single endpoints, by address."""
        entries = tuple(self._entry(name, address, (each or {}).get(address, {})) for address in addresses)
        declared = Upstream(name=name, **options)
        members = [
            Member(entry.index, str(entry.endpoint), entry.weight, entry.state, entry.backup) for entry in entries
        ]
        table = places(members) if declared.balance == "source_hash" else b""
        backends = {
            entry.index: Backend(
                (entry.endpoint,), False, b"", "", declared.protocol, proxy_header=header_options(declared)
            )
            for entry in entries
        }
        upstream.update(UpstreamEntry(name, declared, entries, maglev=table), backends)
        return upstream

    def _entry(self, name: str, address: str, options: dict[str, Any]) -> EndpointEntry:
        index = self._indices.setdefault((name, address), len(self._indices))
        said: dict[str, Any] = {"weight": 1, "max_active": 0, "state": "ready", "backup": False, **options}
        return EndpointEntry(index, parse_endpoint(address), label=address, **said)
