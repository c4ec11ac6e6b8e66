"""What every proxy is asked to serve: one hostname on one port, with one backend behind it, all on the loopback address."""

from enum import StrEnum
from pathlib import Path

import msgspec


class Layer(StrEnum):
    """Where a proxy works: on connections, on requests, or (that is part of ours) before either."""

    L4 = "l4"
    """TLS is routed by its server name and passed on untouched."""
    L7 = "l7"
    """TLS ends at the proxy; what it carries is HTTP/2, and so is the cleartext connection to the backend (h2c)."""
    GATE = "gate"
    """No proxy at all: connection limit, firewall and rate limit as a worker asks them, see `tests.bench.gate`."""


class Site(msgspec.Struct, frozen=True):
    """One site, as a peer serves it and a driver finds it.

    Attributes:
        hostname: the server name that leads to the backend.
        listen: the peer's port.
        backend: the backend's port.
        connections: how many client connections the peer must be able to hold at once.
        certificate: the certificate for ``hostname``, PEM; L7 peers alone use it.
        key: its private key, PEM.
        ca: the certificate of its issuer, PEM.
    """

    hostname: str
    listen: int
    backend: int
    connections: int
    certificate: Path
    key: Path
    ca: Path
