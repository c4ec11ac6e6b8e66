"""Keeps the certificates of the live routes that have theirs from a CA: whatever orders them is loaded with the first such route.

A certificate comes to the workers as any file does that a route names: the manager writes it, and the files are read again. So a
start needs no CA, and none of this: what lies in the folder is served.
"""

import asyncio
import contextlib
import importlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mcproxy.control.certificates.shared import SharedCertificates
from mcproxy.control.reconcile.current import Current
from mcproxy.control.reconcile.reconciler import Reconciler
from mcproxy.control.system import log
from mcproxy.control.system.work_thread import in_thread
from mcproxy.control.workers.supervisor import Workers
from mcproxy.errors import McproxyError, NotFoundError, PreconditionError
from mcproxy.model.state.named_files import ordered_file
from mcproxy.model.state.rules.ordered_certificates import names_of
from mcproxy.model.state.state import State
from mcproxy.model.values.acme.words import LETS_ENCRYPT, STAGING
from mcproxy.policy.acme.facts import CertificateFacts, OrderFacts

if TYPE_CHECKING:
    from mcproxy.control.acme.interface import Terms
    from mcproxy.control.certificates.managed import FleetManager

_LOOK = 0.5  # seconds between looks at what is live
_AGAIN = 5.0  # seconds until what could not be begun is tried again
_ENDS_WITHIN = 2.0  # seconds for what is under way when control ends; what is left goes on with the next one


class OrderedCertificates:
    """Orders and renews, from when control has taken over until it ends or hands over.

    Args:
        current: what is live.
        reconciler: reads files that have changed.
        workers: answer the challenges of CAs.
        shared: what the nodes of a fleet tell each other about them.
    """

    def __init__(self, current: Current, reconciler: Reconciler, workers: Workers, shared: SharedCertificates) -> None:
        self._shared = shared
        self._current = current
        self._reconciler = reconciler
        self._workers = workers
        self._manager: FleetManager | None = None
        self._running: asyncio.Task[None] | None = None
        self._terms: Terms | None = None
        self._wanted: Mapping[str, tuple[str, ...]] = {}
        self._held: Mapping[str, tuple[str, str]] = {}
        self._seen: tuple[object, ...] = ()
        self._again = 0.0
        self._why = ""
        self._ended = {"valid": 0, "failed": 0}
        self._lock = asyncio.Lock()
        self._paused = False
        self._log = log.logger()

    async def run(self) -> None:
        """Follow what is live until cancelled; then end what is under way, or leave it for the next control."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(_LOOK)
        finally:
            await self.pause()

    async def look(self) -> None:
        """Want certificates for what is live now; what goes wrong is told, and tried again."""
        async with self._lock:
            seen = self._live()
            if self._paused or (seen == self._seen and time.monotonic() < self._again):
                return
            self._again = float("inf")
            try:
                await self._follow(wanted_by(self._current.applier.state))
            except McproxyError as error:
                self._failed(str(error))
            except Exception as error:  # noqa: BLE001 - a mistake of ours about certificates must not end control
                self._log.exception("mcproxy failed to order certificates")
                self._failed(f"mcproxy itself failed ({error!r}); please report it")
            else:
                self._why = ""
            self._seen = seen

    def hear(self) -> None:
        """Look at what other nodes have got."""
        if self._manager is not None:
            self._manager.look_around()

    async def pause(self) -> None:
        """Order nothing from now on; returns when nothing is under way, or after some seconds."""
        self._paused = True
        async with self._lock:
            await self._end()

    def resume(self) -> None:
        """Go on: no other control has taken over."""
        self._paused = False
        self._again = 0.0

    def facts(self) -> OrderFacts:
        """Return what is known of all certificates, for everybody who shows it."""
        ended = dict(self._ended)
        if self._manager is None:
            told = tuple(
                CertificateFacts(name=name, names=names, error=self._why) for name, names in self._wanted.items()
            )
        else:
            told = importlib.import_module("mcproxy.control.acme.told").facts_of(self._manager.status())
            ended = {how: number + self._manager.ended[how] for how, number in ended.items()}
        return OrderFacts(told, ended["valid"], ended["failed"])

    async def renew(self, name: str) -> CertificateFacts:
        """Order a new certificate for a hostname now; return what is known of it once it is served.

        Raises:
            NotFoundError: no route wants one.
            PreconditionError: it failed, or nothing can be ordered now.
        """
        with _as_precondition():
            await self._manager_of(name).renew(name)
        found = self.facts().of(name)
        if found is None:
            raise NotFoundError(f"no route orders a certificate for {name} any more")
        return found

    async def try_out(self, name: str) -> tuple[str, CertificateFacts]:
        """Make a whole order for a hostname, and throw the certificate away: at Let's Encrypt's staging directory where it is the CA, else at the CA's own.

        Returns:
            The directory, and what the certificate was.

        Raises:
            NotFoundError: no route wants one.
            PreconditionError: it failed, or nothing can be ordered now.
        """
        manager, directory = self._manager_of(name), str(self._current.applier.state.settings["acme.directory"])
        directory = STAGING if directory == LETS_ENCRYPT else directory
        with _as_precondition():
            held = await manager.try_out(name, directory)
        return directory, CertificateFacts(
            name=name, names=held.names, issuer=held.issuer, not_before=held.not_before, not_after=held.not_after
        )

    def _manager_of(self, name: str) -> "FleetManager":
        if self._manager is None or name not in self._wanted:
            if name in wanted_by(self._current.applier.state):
                raise PreconditionError(
                    f"nothing can be ordered now: {self._why or 'this has just been begun; try again'}"
                )
            raise NotFoundError(f"no route orders a certificate for {name}")
        return self._manager

    def _live(self) -> tuple[object, ...]:
        applier = self._current.applier
        return applier.state, applier.assets, self._reconciler.last_success

    def _failed(self, why: str) -> None:
        if why != self._why:
            self._log.error("certificates can't be ordered now", error=why)
        self._why = why
        self._again = time.monotonic() + _AGAIN

    async def _follow(self, wanted: Mapping[str, tuple[str, ...]]) -> None:
        """Have exactly these certificates kept, as the settings say."""
        self._wanted = wanted
        if not wanted and self._manager is None:
            return
        joined = await in_thread(importlib.import_module, "mcproxy.control.certificates.joined")
        state = self._current.applier.state
        terms = await in_thread(joined.terms_of, state.settings)
        changed = self._terms not in (None, terms)
        if self._manager is None or changed:
            await self._end()
            outside = joined.Outside(self._current, self._reconciler, self._workers.challenges, self._shared)
            kept, clock = joined.Kept(self._current.edits), joined.SystemClock()
            manager = joined.FleetManager(terms, kept, outside, clock, self._shared)
            await manager.start()
            self._manager, self._terms = manager, terms
            self._running = asyncio.get_running_loop().create_task(manager.run())
        await self._manager.want(wanted)
        if changed:
            self._manager.hurry()
        self._manager.changed(self._renewed(state))

    def _renewed(self, state: State) -> list[str]:
        """Return the hostnames whose files hold something else than when this was asked last, or are broken since."""
        assets = self._current.applier.assets
        digests = {} if assets is None else assets.digests
        broken = {one.owner: one.version for one in self._reconciler.stand_ins.now if one.name == "certificate"}
        now = {
            route.hostname: (digests.get(path, ""), broken.get(("route", *key), ""))
            for key, route in state.routes.items()
            if (path := ordered_file(state, route))
        }
        before, self._held = self._held, now
        return [name for name, held in now.items() if before.get(name, held) != held]

    async def _end(self) -> None:
        manager, self._manager = self._manager, None
        if manager is None:
            return
        await manager.stop(_ENDS_WITHIN)
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        for how in self._ended:
            self._ended[how] += manager.ended[how]


@contextlib.contextmanager
def _as_precondition() -> Iterator[None]:
    """Make of whatever keeps an order from its end what a request is answered."""
    try:
        yield
    except (NotFoundError, PreconditionError):
        raise
    except McproxyError as error:
        raise PreconditionError(str(error)) from error


def wanted_by(state: State) -> dict[str, tuple[str, ...]]:
    """Return the hostnames of routes whose certificates are ordered, each with all names that routes of it want in there; sorted."""
    found: dict[str, set[str]] = {}
    for route in state.routes.values():
        if ordered_file(state, route):
            found.setdefault(route.hostname, set()).update(names_of(route))
    return {name: tuple(sorted(names)) for name, names in sorted(found.items())}
