"""The listening sockets, held by control for as long as their listener is wanted."""

import errno
import itertools
import socket
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from mcproxy.control.system.bind_errors import why_unbound
from mcproxy.errors import ApplyError
from mcproxy.net import ipc
from mcproxy.net.sockets import await_first_bytes, listen, listening_address

Group: TypeAlias = Sequence[socket.socket]
"""The SO_REUSEPORT sockets of one listener, by number; fixed from when it is added, since closing one of them would
reset what waits in its queue."""

# Divides evenly among 1, 2, 3, 4, 6 or 12 workers, and the number of workers may change while the group may not.
_GROUP_SIZE = 12


def group_size(workers: int) -> int:
    """Return how many sockets a new listener gets."""
    return max(_GROUP_SIZE, workers)


class Keeper(Protocol):
    """Who keeps listening sockets while no control runs."""

    def keep(self, groups: Mapping[str, Group]) -> None:
        """Keep the sockets of these listeners, and no others."""


class Listeners:
    """Groups of listening sockets by listener address.

    Attributes:
        host: the IP address at which listeners that name none are bound from now on; "" for all addresses.
    """

    def __init__(self) -> None:
        self.host = ""
        self._groups: dict[str, Group] = {}
        self._at_once: dict[str, bool] = {}  # how `accept_at_once` has left their sockets
        self._keeper: Keeper | None = None

    def keep_with(self, keeper: Keeper) -> None:
        """Have somebody keep the sockets from now on."""
        self._keeper = keeper
        self._tell_keeper()

    def __getitem__(self, addr: str) -> Group:
        """Return the sockets of a listener."""
        return self._groups[addr]

    def adopt(self, groups: Mapping[str, Group]) -> None:
        """Take over sockets that an earlier control had bound; those of listeners that are here already are closed."""
        for addr, group in groups.items():
            if self._groups.setdefault(addr, group) is not group:
                for sock in group:
                    sock.close()

    def bind(self, addrs: Iterable[str], size: int, free: Container[str] = ()) -> list[str]:
        """Bind the listeners that are not bound yet, all or none; return their addresses.

        Args:
            addrs: of all listeners that are wanted.
            size: the number of sockets of each.
            free: the addresses among them that this machine need not have.

        Raises:
            ApplyError: an address can't be bound.
        """
        bound: list[str] = []
        for addr in addrs:
            if addr in self._groups:
                continue
            at = self._place(addr)
            try:
                self._groups[addr] = listen(at, size, free=addr in free)
            except OSError as error:
                self.release(bound)
                hint = "; with freebind = true it listens all the same" if error.errno == errno.EADDRNOTAVAIL else ""
                where = addr if at == addr else f"{addr} at {self.host}"
                raise ApplyError(f"listener {where}: {why_unbound(at, error, self._groups)}{hint}") from error
            bound.append(addr)
        if bound:
            self._tell_keeper()
        return bound

    def _place(self, addr: str) -> str:
        """Return where a listener is bound."""
        if not addr.startswith(":") or not self.host:
            return addr
        return f"[{self.host}]{addr}" if ":" in self.host else f"{self.host}{addr}"

    def misplaced(self) -> list[str]:
        """Return the listeners that were bound when `host` was another one: they stay there as long as they are wanted."""
        return [
            addr
            for addr, group in self._groups.items()
            if addr.startswith(":") and listening_address(group[0]) not in ("", self._place(addr))
        ]

    def accept_at_once(self, addrs: Container[str]) -> None:
        """Have these listeners hand connections to workers at once, and all others when the client has sent something.

        The sockets stay the same, in all processes that hold them.
        """
        for addr, group in self._groups.items():
            wanted = addr in addrs
            if self._at_once.get(addr) != wanted:
                self._at_once[addr] = wanted
                for sock in group:
                    await_first_bytes(sock, wait=not wanted)

    def sizes(self) -> dict[str, int]:
        """Return the number of sockets of each listener."""
        return {addr: len(group) for addr, group in self._groups.items()}

    def descriptors(self) -> list[tuple[ipc.Descriptor, int]]:
        """Return all sockets as they are passed on."""
        return [
            (ipc.Descriptor("socket", addr, number), sock.fileno())
            for addr, group in self._groups.items()
            for number, sock in enumerate(group)
        ]

    def release(self, addrs: Iterable[str]) -> None:
        """Close control's copies of the sockets of some listeners."""
        gone = []
        for addr in addrs:
            gone.append(self._groups.pop(addr))
            self._at_once.pop(addr, None)
        if gone:
            self._tell_keeper()
        for sock in itertools.chain(*gone):
            sock.close()

    def release_others(self, addrs: Iterable[str]) -> None:
        """Close control's copies of the sockets of all listeners but some."""
        self.release(self._groups.keys() - set(addrs))

    def _tell_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.keep(self._groups)
