"""Listening sockets that the service manager holds: those that it passes, and those that it keeps while no control runs.

It passes the sockets of a .socket unit, and whatever was given to it for keeping, as descriptors from 3 on (sd_listen_fds(3)); it
keeps what it gets with ``FDSTORE=1`` (sd_notify(3)) while the service is restarted, if the unit has FileDescriptorStoreMax.
Connections wait in their queues meanwhile.
"""

import os
import socket
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from mcproxy.control.system.log import logger
from mcproxy.control.system.notify import notify
from mcproxy.net.sockets import listening_address, prepare_listening

_FIRST = 3
_PREFIX = "listener "
_PER_MESSAGE = 200  # descriptors; the kernel's limit is 253 (SCM_MAX_FD)
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Passed(NamedTuple):
    """What a service manager holds.

    Attributes:
        groups: the listening sockets that it has passed, by listening address.
        stored: the addresses of those that it keeps because it was told to.
        units: the addresses of those of its .socket units.
    """

    groups: Mapping[str, Sequence[socket.socket]] = {}
    stored: Collection[str] = ()
    units: Collection[str] = ()


def passed_sockets() -> Passed:
    """Return what the service manager has passed to this process, once: it is not passed on.

    Anything but listening TCP sockets is closed, and logged.
    """
    pid, count, names = (os.environ.pop(name, "") for name in _VARIABLES)
    if pid != str(os.getpid()) or not count.isdecimal():
        return Passed()
    groups: dict[str, list[socket.socket]] = {}
    stored, units = set(), set()
    called = names.split(":")
    for number in range(int(count)):
        name = called[number] if number < len(called) else ""
        try:
            sock = socket.socket(fileno=_FIRST + number)
        except OSError:  # not a socket, or nothing at all
            logger().warning("the service manager has passed something that is no socket", name=name)
            continue
        sock.set_inheritable(False)
        addr = listening_address(sock)
        if not addr:
            logger().warning("the service manager has passed a socket that does not listen for TCP", name=name)
            sock.close()
            continue
        if name.startswith(_PREFIX):
            # the name says what was asked for: without IPv6 a listener on all addresses is bound to those of IPv4
            addr = name.removeprefix(_PREFIX).replace(";", ":")
            stored.add(addr)
        else:
            units.add(addr)
        prepare_listening(sock)
        groups.setdefault(addr, []).append(sock)
    return Passed(groups, stored, units)


class SocketStore:
    """The service manager's store, as far as it holds sockets of listeners.

    Attributes:
        stored: the listeners whose sockets are there.
        units: those whose sockets belong to .socket units, which need no store.
    """

    def __init__(self, passed: Passed) -> None:
        """Begin with what the service manager holds already."""
        self.stored = set(passed.stored)
        self.units = frozenset(passed.units)

    def keep(self, groups: Mapping[str, Sequence[socket.socket]]) -> None:
        """Have the sockets of these listeners there, and no others."""
        wanted = groups.keys() - self.units
        for addr in self.stored - wanted:
            notify(f"FDSTOREREMOVE=1\nFDNAME={_name(addr)}")
        for addr in wanted - self.stored:
            fds = [sock.fileno() for sock in groups[addr]]
            for start in range(0, len(fds), _PER_MESSAGE):
                notify(f"FDSTORE=1\nFDNAME={_name(addr)}", fds[start : start + _PER_MESSAGE])
        self.stored = wanted


def _name(addr: str) -> str:
    """Return what the sockets of a listener are called in the store: a name there has no colon."""
    return _PREFIX + addr.replace(":", ";")
