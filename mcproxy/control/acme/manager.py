"""Keeps a certificate for each name that wants one: orders, renews, waits after failures; in the event loop."""

import asyncio
import math
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec

from mcproxy.control.acme.entry import Entry, Held, Status, haste, held
from mcproxy.control.acme.folder import Folder
from mcproxy.control.acme.interface import (
    AcmeError,
    Bundle,
    Clock,
    OrderFailedError,
    Outside,
    StoppedError,
    Store,
    Terms,
)
from mcproxy.control.acme.jobs import Jobs, Notes
from mcproxy.control.acme.published import Published, wait_for
from mcproxy.control.files.certificates import CertificateError
from mcproxy.control.system.work_thread import in_thread
from mcproxy.errors import McproxyError, NotFoundError, PreconditionError
from mcproxy.model.values.acme.words import STAGING
from mcproxy.policy.acme.pauses import AN_HOUR, order_allowed_at, pause_after
from mcproxy.policy.acme.record import Record

AT_ONCE = 2
"""Orders, and other questions to the CA, that are under way together."""

_HOUR = 3600.0
_DAY = 86400.0
_AGAIN = 60.0  # seconds until a file is read again that could not be
T = TypeVar("T")


class Manager:
    """All certificates that are ordered.

    Args:
        terms: how.
        store: what survives a restart.
        outside: publishes challenges and serves certificates.
        clock: the time.

    Attributes:
        ended: how orders have ended: "valid" or "failed".
    """

    def __init__(self, terms: Terms, store: Store, outside: Outside, clock: Clock) -> None:
        self._terms = terms
        self._store = store
        self._outside = outside
        self._clock = clock
        self._folder = Folder(terms.folder)
        self._stop = threading.Event()
        self._wake = asyncio.Event()
        self._entries: dict[str, Entry] = {}
        self._kept: dict[str, Record] = {}
        self._orders: list[float] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._swept = 0.0
        self._trial: tuple[asyncio.Task[Bundle], asyncio.Future[Bundle], Entry] | None = None
        self.ended: Counter[str] = Counter()

    async def start(self) -> None:
        """Read what is kept from earlier; what else is called is called later, and in the same loop."""
        self._loop = asyncio.get_running_loop()
        published = Published(self._outside, self._loop)
        self._jobs = Jobs(self._terms, self._folder, published, self._stop)
        self._kept = {record.name: record for record in await self._store.records()}
        self._orders = list(await self._store.orders_since(self._clock.now() - _HOUR))

    async def want(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """Keep certificates for exactly these from now on; returns once their files were read, whatever the CA does.

        Args:
            wanted: routes' hostnames, each with further names for its certificate.
        """
        for name in (self._entries.keys() | self._kept.keys()) - wanted.keys():
            gone = self._entries.pop(name, None)
            if gone is not None:
                gone.answer(NotFoundError(f"no route orders a certificate for {name} any more"))
            await self._store.forget(name)
            self._kept.pop(name, None)
            try:
                await in_thread(self._folder.unwanted, name)
            except AcmeError as error:
                self._outside.tell(name, f"its file stays for ever: {error}")
        for name, more in wanted.items():
            names = tuple(sorted({name, *more}))
            if name in self._entries:
                self._entries[name].names = names
            else:
                entry = self._entries[name] = Entry(names, self._kept.get(name, Record(name)), self._terms.directory)
                await in_thread(self._folder.wanted, name)
                await self._read(entry)
        self._wake.set()

    def hurry(self) -> None:
        """Try what has failed now: somebody has changed how certificates are ordered."""
        for entry in self._entries.values():
            if entry.record.failures:
                entry.forced = True
        self._wake.set()

    def changed(self, names: Iterable[str]) -> None:
        """Read the files of some names again: somebody has written to them."""
        for name in names:
            if name in self._entries:
                self._entries[name].unread = True
        self._wake.set()

    def status(self) -> list[Status]:
        """Return what is known of each name, sorted."""
        return [
            Status(name, entry.names, entry.held, entry.renewal(), entry.record, entry.busy)
            for name, entry in sorted(self._entries.items())
        ]

    def renew(self, name: str) -> asyncio.Future[None]:
        """Order a new certificate now, whatever pause a failure has left; the limit of orders an hour holds.

        Returns:
            The end of the order: when it is served, `AcmeError` if it fails, `StoppedError` if control ends before.

        Raises:
            NotFoundError: no route wants one for this name.
            PreconditionError: as many orders as may be were begun within the last hour.
        """
        if name not in self._entries:
            raise NotFoundError(f"no route orders a certificate for {name}")
        entry, now = self._entries[name], self._clock.now()
        allowed = order_allowed_at(self._orders, now)
        if allowed > now and not (entry.busy or entry.record.url):
            minutes = math.ceil((allowed - now) / 60)
            raise PreconditionError(
                f"{AN_HOUR} orders were begun within the last hour; the next one may be in {minutes} min"
            )
        entry.forced = not (entry.busy and entry.record.state == "ordering")  # else that is the one that is wanted
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ended.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait
        entry.waiting.append(ended)
        self._wake.set()
        return ended

    async def try_out(self, name: str, directory: str = STAGING) -> Held:
        """Make a whole order at the staging directory, and throw the certificate away; one at a time.

        Raises:
            NotFoundError: no route wants one for this name.
            PreconditionError: another try is under way.
            AcmeError: it failed.
            StoppedError: control ends.
        """
        if name not in self._entries:
            raise NotFoundError(f"no route orders a certificate for {name}")
        tried = Entry(self._entries[name].names, Record(name), busy=True)
        if self._trial is not None or self._clashes(tried):
            raise PreconditionError("another try, or an order with a name of this one, is under way; wait for its end")
        told = partial(self._in_loop, self._tell, name)
        loop = asyncio.get_running_loop()
        job = loop.create_task(in_thread(self._jobs.try_out, tried.names, directory, told))
        ended: asyncio.Future[Bundle] = loop.create_future()
        ended.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait
        self._trial = job, ended, tried
        job.add_done_callback(self._tried)
        return held(await asyncio.shield(ended))

    def _tried(self, job: asyncio.Task[Bundle]) -> None:
        if self._trial is not None and not self._trial[1].done() and not job.cancelled():
            error = job.exception()
            self._trial[1].set_result(job.result()) if error is None else self._trial[1].set_exception(error)
        self._trial = None
        self._wake.set()

    def _clashes(self, entry: Entry) -> bool:
        tried = () if self._trial is None else (self._trial[2],)
        return any(map(entry.clashes, (*self._entries.values(), *tried)))

    async def run(self) -> None:
        """Do what is due, for ever."""
        while not self._stop.is_set():
            self._wake.clear()
            seconds = max(self.turn() - self._clock.now(), 0.0)
            try:
                async with asyncio.timeout(min(seconds, _HOUR)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def stop(self, within: float = 3600.0) -> None:
        """End what is under way where it can be continued; returns once nothing is.

        Args:
            within: seconds; what waits for others longer is left to itself, and changes nothing any more.
        """
        self._stop.set()
        self._wake.set()
        why = StoppedError("control ends, or orders in another way from now on")
        for entry in self._entries.values():
            entry.answer(why)
        if self._trial is not None and not self._trial[1].done():
            self._trial[1].set_exception(why)
        try:
            async with asyncio.timeout(within):
                await self.settled()
        except TimeoutError:
            for task in self._tasks:
                task.cancel()

    async def settled(self) -> None:
        """Return once nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def turn(self) -> float:
        """Begin what is due, as far as may be done together; return when there is more to do, unless something ends before."""
        now = self._clock.now()
        later = [now + _HOUR]
        self._orders = [min(at, now) for at in self._orders if at > now - _HOUR]
        if now > self._swept + _DAY:
            self._swept = now
            self._begin(None, self._sweep)
        for entry in self._entries.values():
            entry.set_right(now)
        for entry in sorted(self._entries.values(), key=Entry.due):
            if entry.busy:
                continue
            if entry.unread:
                job, at = self._read, entry.read_at
            elif entry.held and entry.due() > max(entry.look_at, now):
                job, at = self._look, entry.look_at
            else:
                job, at = self._order, entry.due()
                if not entry.record.url:
                    at = max(at, order_allowed_at(self._orders, now))
            if at > now:
                later.append(at)
            elif sum(each.busy for each in self._entries.values()) < AT_ONCE and not self._clashes(entry):
                if job == self._order and not entry.record.url:
                    self._orders.append(now)  # before another one is looked at
                    entry.counted = now
                entry.busy = True
                self._begin(entry, partial(job, entry))
        return min(later)

    def _begin(self, entry: Entry | None, job: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._done(entry, job))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, entry))

    async def _done(self, entry: Entry | None, job: Callable[[], Awaitable[None]]) -> None:
        """Do something; what keeps it from being done is told: the database can't be written, say."""
        try:
            await job()
        except StoppedError:
            return
        except McproxyError as error:
            self._outside.tell(entry.record.name if entry else "", str(error))
            if entry:
                entry.answer(error)

    def _ended(self, entry: Entry | None, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if entry is not None:
            entry.busy = False
            if entry.counted in self._orders:  # nothing was begun
                self._orders.remove(entry.counted)
            entry.counted = None
        self._wake.set()
        if not task.cancelled():
            task.result()  # what nobody expected goes to the loop's handler

    async def _read(self, entry: Entry) -> None:
        """Read the file of a name."""
        name = entry.record.name
        try:
            bundle = await in_thread(self._folder.read, name)
            entry.held = held(bundle) if bundle else None
        except OSError as error:
            entry.read_at = self._clock.now() + _AGAIN
            self._outside.tell(
                name, f"{self._folder.file_of(name)}: {error.strerror}; nothing is ordered until it can be read"
            )
            return
        except (AcmeError, CertificateError) as error:
            entry.held = None
            self._outside.tell(name, str(error))
        entry.unread = False

    async def _look(self, entry: Entry) -> None:
        """Ask the CA when it wants a certificate to be renewed."""
        asked, now = 0.0, self._clock.now()
        certificate = entry.held
        if certificate is None:
            return
        entry.look_at = entry.next_look(now, 0.0)
        try:
            window, asked = await in_thread(self._jobs.window, certificate.bundle)
        except AcmeError as error:
            self._outside.tell(entry.record.name, f"when to renew is not known: {error}")
            return
        start, end = window or (0.0, 0.0)
        if certificate is entry.held:
            entry.look_at = entry.next_look(now, asked)
            await self._save(entry, ari_start=start, ari_end=end)

    async def _order(self, entry: Entry) -> None:
        """Get a certificate, and write down beforehand that this is tried: a crash counts as a failure."""
        name, before, now = entry.record.name, entry.record, self._clock.now()
        entry.forced = False
        failures = before.failures + 1
        pause = pause_after(failures, self._clock.random())
        url = before.url if before.directory == self._terms.directory else ""
        await self._save(
            entry, state="ordering", url=url, directory=self._terms.directory, failures=failures, next_try=now + pause
        )
        notes = Notes(
            partial(self._in_loop, self._note_order, entry),
            partial(self._in_loop, self._note_url, entry),
            partial(self._in_loop, self._tell, name),
        )
        replaced = entry.held.bundle if entry.held else None
        names = entry.names
        try:
            bundle = await in_thread(self._jobs.order, name, names, url, replaced, notes)
            entry.held = held(bundle)
        except StoppedError:
            await self._save(entry, failures=before.failures, next_try=before.next_try)
        except OrderFailedError as error:
            await self._failed(entry, error, error.retry_after, state="idle", url="")
        except (McproxyError, OSError) as error:
            await self._failed(entry, error, getattr(error, "retry_after", 0.0))
        else:
            entry.look_at = 0.0
            try:
                await self._issued(entry, entry.held)
                await in_thread(self._folder.end_order, name)
            finally:  # it is in its file, whatever can't be written down
                entry.answer(await self._install(name, bundle))

    async def _issued(self, entry: Entry, certificate: Held) -> None:
        """Write down that an order has brought a certificate; one that is due again at once counts as a failure, for the pause."""
        changes: dict[str, Any] = {"state": "idle", "url": "", "ari_start": 0.0, "ari_end": 0.0}
        if why := haste(certificate, self._clock.now()):
            await self._failed(entry, AcmeError(why), 0.0, **changes)
            return
        self.ended["valid"] += 1
        await self._save(entry, failures=0, next_try=0.0, error="", **changes)

    async def _failed(self, entry: Entry, error: Exception, retry_after: float, **changes: Any) -> None:
        self.ended["failed"] += 1
        pause = pause_after(entry.record.failures, self._clock.random(), retry_after)
        await self._save(entry, error=str(error), next_try=self._clock.now() + pause, **changes)
        self._outside.tell(entry.record.name, f"no certificate: {error}; tried again in {pause:.0f} s")
        entry.answer(error)

    async def _install(self, name: str, bundle: Bundle) -> AcmeError | None:
        """Have a certificate served; return why it can't be."""
        try:
            await self._outside.install(name, bundle)
        except McproxyError as error:
            why = f"the certificate can't be served: {error}"
            self._outside.tell(name, why)
            return AcmeError(why)
        return None

    async def _note_order(self, entry: Entry) -> None:
        at = entry.counted
        if at is None:  # the order that was under way has come to nothing
            at = self._clock.now()
            self._orders.append(at)
        entry.counted = None
        await self._save(entry, url="")
        await self._store.count_order(at)

    async def _note_url(self, entry: Entry, url: str) -> None:
        await self._save(entry, url=url)

    async def _save(self, entry: Entry, **changes: Any) -> None:
        entry.record = msgspec.structs.replace(entry.record, **changes)
        if self._entries.get(entry.record.name) is entry:  # else it is wanted no more
            await self._store.save(entry.record)

    async def _sweep(self) -> None:
        await in_thread(self._folder.sweep, self._clock.now())

    async def _tell(self, name: str, message: str) -> None:
        self._outside.tell(name, message)

    def _in_loop(self, job: Callable[..., Awaitable[None]], *args: object) -> None:
        """Have something done in the event loop, and wait for it in a thread."""
        wait_for(self._loop, job(*args))
