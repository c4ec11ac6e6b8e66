"""Why an address can't be bound, for the operator."""

import errno
import os
from collections.abc import Iterable

from mcproxy.net.sockets import split_addr


def why_unbound(addr: str, error: OSError, live: Iterable[str]) -> str:
    """Return, for the operator, why an address can't be bound while the ``live`` listeners are."""
    match error.errno:
        case errno.EADDRINUSE:
            _, port = split_addr(addr)
            own = [other for other in live if split_addr(other)[1] == port]
            if own:
                return f"the address overlaps with the live listener {own[0]}; remove that one first, in an edit of its own"
            return f"another process listens there; find it with: ss -ltnp 'sport = :{port}'"
        case errno.EACCES:
            return "not permitted; ports below 1024 need CAP_NET_BIND_SERVICE"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address"
        case errno.EMFILE:
            return "no descriptors left; raise LimitNOFILE (ulimit -n)"
        case _:
            return os.strerror(error.errno or 0)
