"""The upstreams of the live snapshot, and the step from one to the next."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from mcproxy.model.state.snapshot import Snapshot
from mcproxy.model.state.upstream_entries import UpstreamEntry
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.live.endpoint import EndpointTools, LiveEndpoint
from mcproxy.worker.live.files import Files

if TYPE_CHECKING:
    from mcproxy.worker.live.upstream import LiveUpstream


class Prepared(msgspec.Struct, frozen=True, eq=False):
    """An upstream of a snapshot that is not live yet.

    Attributes:
        entry: itself.
        backends: what its endpoints are to pools, by index; None for an upstream that stays as it is.
    """

    entry: UpstreamEntry
    backends: dict[int, Backend] | None


class Changed(msgspec.Struct, frozen=True, eq=False):
    """What may end connections that are open.

    Attributes:
        removed: the addresses of the endpoints that are gone, by index.
        resting: the indices of those in maintenance that were not before.
    """

    removed: dict[int, Endpoint]
    resting: frozenset[int]


class Upstreams:
    """All upstreams of the live snapshot."""

    def __init__(self, tools: EndpointTools) -> None:
        self._tools = tools
        self._live: dict[str, LiveUpstream] = {}

    def prepare(self, snapshot: Snapshot, files: Files) -> list[Prepared]:
        """Do all that can fail; raises `ChannelError` if a file has not come with the snapshot."""
        prepared = []
        for entry in snapshot.upstreams:
            live = self._live.get(entry.name)
            backends = None
            if live is None or live.entry != entry:
                backends = {each.index: files.endpoint_backend(entry, each) for each in entry.endpoints}
            prepared.append(Prepared(entry, backends))
        return prepared

    def update(self, prepared: Iterable[Prepared]) -> Changed:
        """Take over another version of all of them."""
        old, self._live = self._live, {}
        removed: list[LiveEndpoint] = []
        resting: set[int] = set()
        for each in prepared:
            name = each.entry.name
            upstream = self._live[name] = old.pop(name) if name in old else self._new()
            if each.backends is None:
                continue
            before = {index: live.entry.state for index, live in upstream.endpoints.items()}
            removed += upstream.update(each.entry, each.backends)
            resting.update(
                entry.index
                for entry in each.entry.endpoints
                if entry.state == "maintenance" and before.get(entry.index) != "maintenance"
            )
        removed += [live for upstream in old.values() for live in upstream.endpoints.values()]
        return Changed({live.index: live.entry.endpoint for live in removed}, frozenset(resting))

    def write_counts(self) -> None:
        """Write what has been counted at endpoints since the last time."""
        if self._tools.changed:
            self._tools.write()

    def named(self, name: str) -> "LiveUpstream | None":
        """Return the upstream of a name, None for ""."""
        return self._live[name] if name else None

    def _new(self) -> "LiveUpstream":
        from mcproxy.worker.live.upstream import LiveUpstream  # noqa: PLC0415 - slow to import, and many configurations have none

        return LiveUpstream(self._tools)
