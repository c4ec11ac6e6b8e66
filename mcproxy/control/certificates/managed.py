"""The certificates that are ordered, where several nodes serve them: one orders, and the others fetch what it got; loaded with the first order."""

from collections.abc import Iterable, Mapping
from functools import partial

from mcproxy.control.acme import keys
from mcproxy.control.acme.entry import Entry, held
from mcproxy.control.acme.folder import Folder
from mcproxy.control.acme.interface import AcmeError, Bundle, Clock, Outside, Store, Terms
from mcproxy.control.acme.manager import Manager
from mcproxy.control.certificates.shared import SharedCertificates, digest_of
from mcproxy.control.files.certificates import CertificateError
from mcproxy.control.system.work_thread import in_thread
from mcproxy.model.fleet.orders import Issued

_OTHERS = 5.0
"""Seconds until it is asked again whether another node still orders."""


class FleetManager(Manager):
    """Orders what no other node of the fleet does or has."""

    def __init__(self, terms: Terms, store: Store, outside: Outside, clock: Clock, shared: SharedCertificates) -> None:
        super().__init__(terms, store, outside, clock)
        self._shared = shared
        self._files = Folder(terms.folder)

    async def want(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """See `Manager.want`."""
        gone = self._entries.keys() - wanted.keys()
        await super().want(wanted)
        await self._shared.forget(gone)

    def look_around(self) -> None:
        """Fetch what other nodes have got since."""
        for entry in self._entries.values():
            if not entry.busy and not entry.unread and self._better(entry) is not None:
                entry.busy = True
                self._begin(entry, partial(self._look_for, entry))

    async def _look_for(self, entry: Entry) -> None:
        await self._fetch(entry)

    async def _order(self, entry: Entry) -> None:
        name = entry.record.name
        if await self._fetch(entry):
            return
        if not await self._shared.enter(name):
            entry.others_at = self._clock.now() + _OTHERS
            return
        try:
            if not await self._fetch(entry):  # it may have been issued a moment ago
                await super()._order(entry)
        finally:
            await self._shared.leave(name)

    async def _install(self, name: str, bundle: Bundle) -> AcmeError | None:
        why = await super()._install(name, bundle)
        await self._shared.issued(name, bundle.chain, held(bundle))
        return why

    def _better(self, entry: Entry) -> Issued | None:
        own = entry.held
        digest, ends = ("", 0.0) if own is None else (digest_of(own.bundle.chain), own.not_after)
        return self._shared.newer(entry.record.name, entry.names, digest, ends)

    async def _fetch(self, entry: Entry) -> bool:
        """Serve what another node has got, if there is such a certificate, and a node gives it."""
        name, wanted = entry.record.name, self._better(entry)
        found = None if wanted is None else await self._shared.fetch(name, wanted)
        if found is None:
            return False
        try:
            bundle = Bundle(*found)
            keys.check(bundle, entry.names)
            entry.held = held(bundle)
        except (AcmeError, CertificateError) as error:
            self._outside.tell(name, f"what another node has can't be used: {error}")
            return False
        await in_thread(self._files.write, name, bundle)
        entry.forced = False
        entry.look_at = entry.others_at = 0.0
        await self._save(entry, state="idle", url="", failures=0, next_try=0.0, error="", ari_start=0.0, ari_end=0.0)
        entry.answer(await super()._install(name, bundle))
        return True
