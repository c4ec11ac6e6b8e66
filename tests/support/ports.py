"""Free ports on loopback."""

import os
import random
import socket
from pathlib import Path

_FIRST = 10_000
_given: set[int] = set()


def free_port() -> int:
    """Return a TCP port that nothing listens on, neither on 127.0.0.1 nor on ::1, and that was not given before.

    Whoever can bind port 0 itself should; this is for programs that must be told a number. The number lies below the
    range from which the kernel takes the source ports of outgoing connections: under load one of those would else
    take a port between the choice and its use. For the same reason each of the processes that share a run of the tests
    (pytest-xdist) has ports of its own.
    """
    sharing = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    low, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split())
    for _ in range(1000):
        port = random.randrange(_FIRST + share, low, sharing) if low > _FIRST + 1000 else _ephemeral()
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise RuntimeError("no free port on loopback")


def _ephemeral() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _is_free(port: int) -> bool:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as sock:
            # as servers do: a connection in TIME_WAIT does not occupy the port, a listening socket does
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((host, port))
            except OSError:
                return False
    return True
