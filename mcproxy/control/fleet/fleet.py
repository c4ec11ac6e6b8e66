"""The fleet that this machine is a node of: what its store holds, kept for when it is away, and changed by compare-and-swap.

    store -- watch --> read again -> view -> what this node should run -> who makes it live is told

A change that is told means "read again", so none can be lost and several count as one. Nothing is concluded from what is missing.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Callable

import msgspec

from mcproxy.control.fleet import last_known
from mcproxy.control.fleet.last_known import LastKnown
from mcproxy.control.fleet.link import Contact, Link
from mcproxy.control.fleet.store.errors import FleetStoreError, HistoryLostError, LeaseEndedError, StoreAwayError
from mcproxy.control.fleet.stores import Store, etcd
from mcproxy.control.system import log
from mcproxy.errors import UnavailableError
from mcproxy.model.config.fleet.shape import FleetNode
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit, Committed, Conflict, Contents
from mcproxy.model.fleet.records import FleetEdit
from mcproxy.model.fleet.sources import FleetDocument, read_document
from mcproxy.model.fleet.view import FleetView, view_of
from mcproxy.policy.fleet.running import Wanted, wanted

_PAUSES = (0.2, 2.0)
"""Seconds between attempts to reach the store: the shortest, and the longest."""
_PAUSE_SHARE = 3.0  # times as long as a look takes: what others write busies control for a quarter of its time
_LONGEST_PAUSE = 1.0  # seconds
FIRST_LOOK = 2.5
"""Seconds for which a start waits for the store, before it goes on with what is known of it."""


class Changed(msgspec.Struct, frozen=True):
    """What has changed of what this node should run."""

    document: bool
    edits: bool


class Moment(msgspec.Struct, frozen=True):
    """What this node was to run at a moment.

    Attributes:
        revision: of the store, as it was when that changed last.
        contents: of the store.
        wanted: what was to be run.
    """

    revision: int
    contents: Contents
    wanted: Wanted


class _Known(msgspec.Struct, frozen=True):
    """What is known of the store of a fleet, and what this node should run by that."""

    prefix: str = ""
    view: FleetView = FleetView()
    wanted: Wanted = Wanted("waiting")


class Fleet:
    """Follows the store, as long as this machine is a node.

    Attributes:
        node: what the file says of it; None if it is none.
        store: it, while it is followed.
        live: revision of the store whose contents are live here.
        failed: revision of the rollout's document that has failed here; 0 for none.
        ahead: by how many seconds the clocks of nodes are ahead of this one's, to a second or so, as far as that is known.
        lease: of this node; 0 while it has none.
        trouble: why the store did not take the last change; "" if it did.
        tell: gets lines for people about the store.
        changed: is told of what has changed of what this node should run.
        heard: called after every look at the store, and when something is live.
    """

    def __init__(self, connect: Callable[[FleetNode], Store] = etcd, clock: Callable[[], float] = time.time) -> None:
        """Be no node yet."""
        self._connect = connect
        self._log = log.logger()
        self._link = Link(self._tell, clock)
        self._clock = clock
        self._known = _Known()
        self._restored = _Known()
        self._database = ""
        self._configured = asyncio.Event()
        self._looked = asyncio.Event()
        self._read: FleetDocument | None = None
        self._saving: asyncio.Task[None] | None = None
        self._unsaved: LastKnown | None = None
        self._held: tuple[FleetEdit, ...] | None = None
        self.live = 0
        self.lease = 0
        self.failed = 0
        self.ahead: dict[str, float] = {}
        self._revision = 0
        self.node: FleetNode | None = None
        self.store: Store | None = None
        self.trouble = ""
        self.tell: Callable[[str], None] = lambda _: None
        self.changed: Callable[[Changed], None] = lambda _: None
        self.heard: list[Callable[[], None]] = []

    @property
    def view(self) -> FleetView:
        """What the store holds, as far as it is known."""
        return self._known.view

    @property
    def wanted(self) -> Wanted:
        """What this node should run."""
        return self._known.wanted

    @property
    def name(self) -> str:
        """The name of this node; "" where it is none."""
        return "" if self.node is None else self.node.node

    @property
    def contact(self) -> Contact:
        """How it stands with the store."""
        return self._link.contact

    @property
    def away(self) -> str:
        """Why changes are refused now; "" while the store is there."""
        return self._link.away

    @property
    def edits(self) -> tuple[FleetEdit, ...]:
        """The fleet's edits, as the store has them; none where this machine is no node.

        While another document is being read, they are those of before: what it supersedes may be gone already, and must not be missed under the
        document that is live.
        """
        if self.node is None:
            return ()
        return self.wanted.edits if self._held is None else self._held

    def read(self) -> None:
        """Take note that the document that is to be run was read, for good or ill: now the edits that belong to it count."""
        self._held = None

    def documents(self, node: FleetNode, database: str) -> FleetDocument | None:
        """Return the document that a node should run, as far as it is known; for `config_file.load`, in any thread.

        Args:
            node: as its file says.
            database: the path of its database, beside which the last known is kept.

        Raises:
            ConfigError: it is damaged.
        """
        known = self._known
        if known.prefix != node.prefix:
            if self._restored.prefix != node.prefix:
                self._restored = self._kept(node, database)
            known = self._restored
        document = known.wanted.document
        if document is None:
            return None
        read = self._read
        if read is None or read.document != document:
            read = self._read = read_document(document)
        return read

    def configure(self, node: FleetNode | None, database: str) -> None:
        """Be a node as the file says, or none."""
        self._database = database
        if node is not None and self._known.prefix != node.prefix:
            fits = self._restored.prefix == node.prefix
            self._known = self._restored if fits else self._kept(node, database)
            self._revision = self.view.contents.revision
        elif node is None:
            self._known = self._restored = _Known()
        if node != self.node:
            if node is None or self.node is None or node.prefix != self.node.prefix:
                self._held = None  # those of another fleet
            self.node = node
            self._configured.set()

    @property
    def moment(self) -> Moment:
        """What this node is to run now."""
        return Moment(self._revision, self.view.contents, self.wanted)

    def applied(self, moment: Moment) -> None:
        """Take note that what this node was to run at a moment is live: it is kept for the next start."""
        if moment.revision != self.live:
            self.live = moment.revision
            self._keep(moment)
            self._tell_heard()

    async def first_look(self) -> None:
        """Wait a little for the store's first answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LOOK):
                await self._looked.wait()

    async def run(self) -> None:
        """Follow the store until cancelled."""
        try:
            while True:
                self._configured.clear()
                configured = asyncio.ensure_future(self._configured.wait())
                tasks = [configured]
                if self.node is not None:
                    tasks.append(asyncio.ensure_future(self._follow(self.node)))  # type: ignore[arg-type]
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            if self._saving is not None:
                await asyncio.wait({self._saving})

    async def commit(self, commit: Commit) -> Committed | Conflict:
        """Make a change; what is there after it, or instead of it, is known then. What is to be leased goes with this node's lease.

        Raises:
            UnavailableError: the store does not take it now.
        """
        store = self._there()
        if commit.leased and not self.lease:
            raise UnavailableError("this node has no lease in the fleet's store yet; try again")
        try:
            outcome = await store.commit(commit, self.lease if commit.leased else 0)
            self._take(outcome.contents if isinstance(outcome, Conflict) else await store.read())
        except StoreAwayError as error:
            self._link.failed(error)
            unsure = "; it may have been made all the same: look again when the store is there" if error.unknown else ""
            raise UnavailableError(f"{self.away}{unsure}") from error
        except FleetStoreError as error:
            if isinstance(error, LeaseEndedError):
                self.lease = 0
            self.trouble = str(error)
            raise UnavailableError(f"the fleet's store does not take it: {error}") from error
        self.trouble = ""
        return outcome

    async def look(self) -> None:
        """Read the store now; raises UnavailableError."""
        store = self._there()
        try:
            self._take(await store.read())
        except FleetStoreError as error:
            self._link.failed(error)
            raise UnavailableError(self.away) from error

    def _there(self) -> Store:
        if self.node is None:
            raise UnavailableError("this machine is no node of a fleet")
        if self.away or self.store is None:
            raise UnavailableError(self.away or "the fleet's store is not followed now")
        return self.store

    async def _follow(self, node: FleetNode) -> None:
        shortest, longest = _PAUSES
        pause = shortest
        store = self.store = self._connect(node)
        try:
            while True:
                try:
                    contents = await store.read()
                    self._take(contents, anew=True)
                    pause = shortest
                    async with contextlib.aclosing(store.watch(contents.revision)) as changes:
                        await self._look_again(store, changes)
                except HistoryLostError as error:
                    self._log.info("the fleet's store is read anew", why=str(error))
                    await asyncio.sleep(shortest)
                except FleetStoreError as error:
                    self._link.failed(error)
                    self._looked.set()
                    await asyncio.sleep(pause * random.uniform(0.7, 1.0))  # noqa: S311 - nothing is to be guessed
                    pause = min(2 * pause, longest)
        except Exception:  # noqa: BLE001 - whatever it is
            self._log.exception("following the fleet's store failed, which is a bug; please report it")
            await asyncio.sleep(longest)
            self._configured.set()
        finally:
            self.store = None
            await store.close()

    async def _look_again(self, store: Store, changes: AsyncGenerator[int, None]) -> None:
        """Read the store again with each change that is not known yet: the first one at once, and many with pauses, however many there are."""
        loop = asyncio.get_running_loop()
        async for revision in changes:
            if revision > self.view.contents.revision:
                began = loop.time()
                self._take(await store.read())
                await asyncio.sleep(min(_PAUSE_SHARE * (loop.time() - began), _LONGEST_PAUSE))

    def _take(self, contents: Contents, *, anew: bool = False) -> None:
        """Take over what the store holds, unless that is known, and newer; ``anew``: it may be another store by now."""
        node, before = self.node, self._known
        self._link.answered()
        if node is None or (not anew and contents.revision < before.view.contents.revision):
            return
        view = view_of(contents, self.view)
        self._measure(view)
        self._want(view)
        self._looked.set()
        self._tell_heard()

    def give_up(self, revision: int) -> None:
        """Run the document of a rollout no more, which has failed on this node."""
        self.failed = revision
        self._want(self.view)
        self._tell_heard()

    def _want(self, view: FleetView) -> None:
        """Take over what this node should run by a view of the store."""
        node, before = self.node, self._known
        if node is None:
            return
        found = wanted(view, node.node, before.wanted, self.failed)
        self._known = _Known(node.prefix, view, found)
        if found.problem and found.problem != before.wanted.problem:
            self._log.error(found.problem)
            self._tell(found.problem)
        changed = Changed(_identity(found) != _identity(before.wanted), found.edits != before.wanted.edits)
        if changed.document and self._held is None:
            self._held = before.wanted.edits
        if changed.document or changed.edits:
            self._revision = view.contents.revision
            self.changed(changed)

    def _measure(self, view: FleetView) -> None:
        """Compare the clocks of nodes with this one's, by what they have just written."""
        before, now = self.view.nodes, self._clock()
        for name, record in view.nodes.items():
            known = before.get(name)
            if known is not None and known.time != record.time:
                self.ahead[name] = record.time - now
        self.ahead = {name: ahead for name, ahead in self.ahead.items() if name in view.nodes}

    def _tell_heard(self) -> None:
        for heard in self.heard:
            heard()

    def _tell(self, line: str) -> None:
        self.tell(line)

    def _keep(self, moment: Moment) -> None:
        """Keep what is live for the next start; what comes meanwhile is kept after it."""
        if self.node is None or keys.DOC not in moment.contents.items or not self._database:
            return
        self._unsaved = LastKnown(self.node.prefix, moment.contents, self._link.contact.last, self.failed)
        if self._saving is None or self._saving.done():
            self._saving = asyncio.ensure_future(self._save())

    async def _save(self) -> None:
        while self._unsaved is not None:
            known, self._unsaved = self._unsaved, None
            try:
                await asyncio.to_thread(last_known.save, self._database, known)
            except OSError as error:
                self._log.error(
                    "what is known of the fleet can't be kept for the next start",
                    file=str(last_known.place(self._database)),
                    error=error.strerror or str(error),
                )

    def _kept(self, node: FleetNode, database: str) -> _Known:
        """Return what an earlier control has known."""
        known = last_known.load(database, node.prefix)
        if known is None:
            return _Known(node.prefix)
        self._link.known(known.seen)
        self.failed = known.failed
        view = view_of(known.contents)
        return _Known(node.prefix, view, wanted(view, node.node, failed=self.failed))


def _identity(found: Wanted) -> tuple[int, str] | None:
    document = found.document
    return None if document is None else (document.version, document.header.hash)
