"""The store of a fleet in memory, for control's parts: away, full or changed by others when a test wants it."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from mcproxy.control.fleet.store.errors import HistoryLostError, StoreAwayError, StoreFullError
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit, Committed, Conflict, Contents
from mcproxy.model.fleet.document import FleetFile, Header, encode, pack
from mcproxy.policy.fleet.pushing import push
from tests.support.fleet_store import MemoryStore, pushed

LISTENER = '[[listeners]]\naddr = ":443"\n'
"""A document that has hardly anything."""


class PlayedStore:
    """A store in memory that is away when a test wants it.

    Attributes:
        memory: what it holds.
        away: why it does not answer; "" if it does.
        full: it takes nothing more.
        lost: the next watch can't say what has changed.
        leases: those that go on.
        reads: how often it was read.
        every: a watch tells each change by itself, however many have come meanwhile.
        told: the last change that a watch has told.
        before_commit: called once before the next commit, as another node is faster.
    """

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.away = ""
        self.full = False
        self.lost = False
        self.leases: set[int] = set()
        self.reads = 0
        self.every = False
        self.told = 0
        self.before_commit: Callable[[], object] | None = None
        self._changed = asyncio.Event()

    def push(self, text: str = LISTENER) -> None:
        """Make a file the document."""
        view = self.memory.view
        _, commit = push(view, pushed(text, over=view.version(keys.DOC)))
        assert self.memory.commit(commit)
        self.tell()

    def packed(self, text: str, revision: int) -> bytes:
        """Return a file as a document that was never pushed."""
        digest, packed = pack([FleetFile("mc-proxy.toml", text)])
        return encode(Header(revision=revision, hash=digest), packed)

    def tell(self) -> None:
        """Tell who watches that something has changed, in the store or about it."""
        self._changed.set()

    async def read(self) -> Contents:
        """See `EtcdStore.read`."""
        self._answer()
        self.reads += 1
        return self.memory.contents

    async def commit(self, commit: Commit, lease: int = 0) -> Committed | Conflict:
        """See `EtcdStore.commit`."""
        self._answer()
        faster, self.before_commit = self.before_commit, None
        if faster is not None:
            faster()
        if self.full:
            raise StoreFullError("database space exceeded")
        assert not commit.leased or lease in self.leases
        if not self.memory.commit(commit, "edge-1"):
            return Conflict(self.memory.contents)
        self.tell()
        return Committed(self.memory.contents.revision)

    async def watch(self, after: int) -> AsyncGenerator[int, None]:
        """See `EtcdStore.watch`."""
        if self.lost:
            self.lost = False
            raise HistoryLostError("compacted")
        while True:
            self._answer()
            if self.memory.contents.revision > after:
                after = after + 1 if self.every else self.memory.contents.revision
                yield after
                self.told = after
            else:
                await self._changed.wait()
                self._changed.clear()

    async def grant(self, seconds: int) -> int:
        """See `EtcdStore.grant`."""
        self._answer()
        lease = len(self.leases) + 1
        self.leases.add(lease)
        return lease

    async def keep_alive(self, lease: int) -> bool:
        """See `EtcdStore.keep_alive`."""
        self._answer()
        return lease in self.leases

    async def revoke(self, lease: int) -> None:
        """See `EtcdStore.revoke`."""
        self._answer()
        self.leases.discard(lease)
        self.memory.end_lease("edge-1")

    async def close(self) -> None:
        """See `EtcdStore.close`."""

    def _answer(self) -> None:
        if self.away:
            raise StoreAwayError(self.away)
