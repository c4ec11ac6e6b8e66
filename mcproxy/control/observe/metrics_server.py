"""The endpoint of metrics, health and status page over reloads.

A new address is served from prepare on, so that nothing of it can fail later; the old one until the change is committed.
What answers there (`web`) is imported when an address is wanted for the first time: a proxy without the endpoint does
not pay for it.
"""

import asyncio
import importlib
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from mcproxy.control.reconcile.services import PreparedService
from mcproxy.control.system.bind_errors import why_unbound
from mcproxy.errors import ApplyError
from mcproxy.model.state.state import State
from mcproxy.model.values import addresses
from mcproxy.net import ipc
from mcproxy.net.sockets import listen

if TYPE_CHECKING:
    from mcproxy.control.observe.web import Site, Source


class MetricsServer:
    """Follows ``[metrics]``; a `Service`."""

    def __init__(self, source: "Source", inherited: Mapping[str, socket.socket] | None = None) -> None:
        """Serve what ``source`` knows, when an address is wanted; there may be ``inherited`` sockets, by address."""
        self._source = source
        self._inherited = dict(inherited or {})
        self._addr = ""
        self._path = ""
        self._hosts: tuple[str, ...] = ()
        self._site: Site | None = None

    def descriptors(self) -> list[tuple[ipc.Descriptor, int]]:
        """Return the listening socket as it is passed on, if there is one."""
        site = self._site
        return [] if site is None else [(ipc.Descriptor("metrics", self._addr), site.listening.fileno())]

    async def prepare(self, desired: State) -> PreparedService | None:
        """Serve the address that is wanted, if it is another; see `Service.prepare`."""
        addr, path = (str(desired.settings[f"metrics.{name}"]) for name in ("addr", "path"))
        hosts = msgspec.convert(desired.settings["metrics.allowed_hosts"], tuple[str, ...])
        if addr == self._addr and ((path, hosts) == (self._path, self._hosts) or not addr):
            return None
        if not addr:
            return _Move(self, "", "", (), None)
        if addr == self._addr:
            return _Move(self, addr, path, hosts, self._site)
        return _Move(self, addr, path, hosts, await self._opened(addr, path))

    async def stop(self) -> None:
        """Serve no more."""
        await self.move("", "", (), None)

    async def move(self, addr: str, path: str, hosts: tuple[str, ...], site: "Site | None") -> None:
        """Make ``site`` the one that serves; end the one before, if that is another."""
        before, self._site = self._site, site
        self._addr, self._path, self._hosts = addr, path, hosts
        if site is not None:
            site.path = path
            site.allow(hosts)
        if before is not None and before is not site:
            await before.stop()

    async def discard(self, site: "Site | None") -> None:
        """End a site that is not to serve after all."""
        if site is not None and site is not self._site:
            await site.stop()

    async def _opened(self, addr: str, path: str) -> "Site":
        await asyncio.to_thread(importlib.import_module, "mcproxy.control.observe.web")
        from mcproxy.control.observe.web import Site  # noqa: PLC0415 - see the module's docstring

        listening = self._inherited.pop(addr, None) or self._bound(addr)
        site = Site(self._source, path)
        await site.start(listening)
        return site

    def _bound(self, addr: str) -> socket.socket:
        try:
            return listen(addr, 1, beside_own=bool(self._addr) and addresses.overlap(addr, self._addr))[0]
        except OSError as error:
            why = why_unbound(addr, error, self._source.listeners())
            raise ApplyError(f"metrics.addr {addr}: {why}") from error


class _Move:
    """A change of where the endpoint is; a `PreparedService`."""

    def __init__(self, owner: MetricsServer, addr: str, path: str, hosts: tuple[str, ...], site: "Site | None") -> None:
        self._owner = owner
        self._addr = addr
        self._path = path
        self._hosts = hosts
        self._site = site

    async def commit(self) -> None:
        """See `PreparedService.commit`."""
        await self._owner.move(self._addr, self._path, self._hosts, self._site)

    async def undo(self) -> None:
        """See `PreparedService.undo`."""
        await self._owner.discard(self._site)
