"""What a proxy that is attacked serves, and what it has to tell of itself."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil


class Door(msgspec.Struct, frozen=True):
    """An address that terminates TLS for `GOOD` and `TARGET`, and one without TLS.

    Attributes:
        port: of the proxy.
        clear: its port for HTTP without TLS: nginx speaks HTTP/1.1 alone there.
        target: port of the backend of `TARGET`.
        h2: whether that one speaks HTTP/2.
    """

    port: int
    clear: int
    target: int
    h2: bool


class Site(msgspec.Struct, frozen=True):
    """What is served.

    Attributes:
        doors: where clients come in.
        l4: port of the proxy for connections that are passed on.
        good, passed: ports of the backends of `GOOD` and of the L4 address.
        certificate, key: of both hostnames, PEM.
        descriptors: how many the proxy may have.
    """

    doors: Sequence[Door]
    l4: int
    good: int
    passed: int
    certificate: Path
    key: Path
    descriptors: int = 20_000


class Contestant(msgspec.Struct, frozen=True):
    """One proxy.

    Attributes:
        name: what it is called.
        speaks_h2: whether it can speak HTTP/2 with a backend.
    """

    name: str
    speaks_h2: bool = True

    @abstractmethod
    def missing(self) -> str:
        """Return why it cannot run here, "" if it can."""

    @abstractmethod
    def version(self) -> str:
        """Return its version."""

    @abstractmethod
    def config(self, site: Site, folder: Path) -> str:
        """Return the configuration file; further files go into the folder."""

    @abstractmethod
    def command(self, config: Path) -> list[str]:
        """Return the command that serves it in the foreground."""

    def workers(self, members: Sequence[psutil.Process]) -> list[psutil.Process]:
        """Return those of its processes that move clients' bytes."""
        return list(members)
