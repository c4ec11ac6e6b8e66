"""The gate of a worker, without the proxy around it."""

from collections.abc import Sequence
from pathlib import Path

import psutil

import mcproxy
from tests.bench.peer import Peer, Processes
from tests.bench.processes import python
from tests.bench.site import Site


class ClientGate(Peer):
    """A process of `tests.bench.gate`: the only peer of its layer."""

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return mcproxy.__version__

    def config(self, site: Site, folder: Path) -> str:
        return str(site.listen)

    def command(self, config: Path) -> list[str]:
        return python("-m", "tests.bench.gate", str(config))

    def processes(self, members: Sequence[psutil.Process]) -> Processes:
        return Processes(data=(members[0].pid,), control=())
