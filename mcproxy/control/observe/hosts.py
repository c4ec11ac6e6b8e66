"""Whose pages a browser may be shown: the Host names of the status page.

A page of another site can make its own name lead to this machine (DNS rebinding), and then read what answers there as if
it were its own; all that gives it away is the name that its requests carry. Names that no other site can have are
allowed: those of loopback, addresses, and the machine's own.
"""

import contextlib
import ipaddress
import re
import socket
from collections.abc import Iterable

from mcproxy.named_file import read_file

_LOOPBACK = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_HOSTS_FILE = "/etc/hosts"
# uri-host and port, RFC 9110 section 7.2
_HOST = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]/@\\]*))(?::\d*)?")


class AllowedHosts:
    """The names, as ``[metrics] allowed_hosts`` adds to them."""

    def __init__(self, more: Iterable[str] = (), machine: Iterable[str] | None = None) -> None:
        """Allow ``more``, each in canonical form: a name, a pattern ``*.name``, or ``*`` for all; ``machine``: its own."""
        self._names = {*more, *(machine_names() if machine is None else machine)}

    def allows(self, host: str) -> bool:
        """Tell whether a Host header names one; an empty one, as of HTTP/1.0, comes from no browser."""
        if not host or "*" in self._names:
            return True
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        literal, name = match.groups()
        if literal is not None or name.replace(".", "").isdigit():
            return _is_address(name if literal is None else literal)
        name = name.lower().removesuffix(".")
        if name in _LOOPBACK or name.endswith(".localhost") or name in self._names:
            return True
        labels = name.split(".")
        return any("*." + ".".join(labels[start:]) in self._names for start in range(1, len(labels)))


def machine_names() -> frozenset[str]:
    """Return the machine's names, as far as it knows them without asking others."""
    own = socket.gethostname().lower()
    short = own.partition(".")[0]
    names = {own, short, f"{short}.local"}
    with contextlib.suppress(OSError, ValueError):
        for line in read_file(_HOSTS_FILE).decode().splitlines():
            known = line.partition("#")[0].lower().split()[1:]
            if own in known or short in known:
                names.update(known)
    return frozenset(names - {""})


def _is_address(text: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(text)
        return True
    return False
