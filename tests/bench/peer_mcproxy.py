"""The program of this work tree, as a peer of either layer."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import psutil

import mcproxy
from mcproxy.control.system.data_path import problem
from tests.bench.peer import Peer, Processes
from tests.bench.processes import python
from tests.bench.site import Site


class Mcproxy(Peer):
    """mcproxy with one worker.

    Args:
        name: as for every peer.
        terminate: whether its route is an L7 one.
        settings: further tables of the config file.
        listener: further keys of its listener.
        endpoints: how many addresses of the backend its route leads to; with more than one it leads to an upstream of them.
        cases: how many cases its route has; the last one takes all requests, to the same backend.
        data_path: what relays l4 connections, `[proxy] data_path`; "" for what `DATA_PATH` says.
    """

    DATA_PATH = "auto"

    def __init__(
        self,
        name: str,
        *,
        terminate: bool = False,
        settings: str = "",
        listener: str = "",
        endpoints: int = 1,
        cases: int = 0,
        data_path: str = "",
    ) -> None:
        super().__init__(name)
        self._cases = cases
        self._endpoints = endpoints
        self._data_path = data_path
        self._terminate = terminate
        self._settings = settings
        self._listener = listener

    def missing(self) -> str:
        if not importlib.util.find_spec("mcproxy.__main__"):
            return "`python -m mcproxy` does not exist in this work tree"
        return problem() if self.data_path == "native" else ""

    def version(self) -> str:
        used = self.data_path
        if used == "auto":
            used = "python" if problem() else "native"
        return f"{mcproxy.__version__} ({used} data path)"

    @property
    def data_path(self) -> str:
        """What `[proxy] data_path` is set to."""
        return self._data_path or self.DATA_PATH

    def config(self, site: Site, folder: Path) -> str:
        termination = f"""\
mode = "l7"
tls_cert = "{site.certificate}"
tls_key = "{site.key}"
"""
        backend, protocol, upstream = f"127.0.0.1:{site.backend}", 'backend_protocol = "h2"\n', ""
        if self._endpoints > 1:  # the backend listens at every address of 127.0.0.0/8
            backend, protocol = "app", ""
            addresses = [f"127.0.0.{number + 1}:{site.backend}" for number in range(self._endpoints)]
            upstream = f"[upstreams.app]\nendpoints = {json.dumps(addresses)}\n"
            upstream += 'protocol = "h2"\n' if self._terminate else ""
        cases = [{"match": f"/case/{number}/*", "respond": str(number)} for number in range(1, self._cases)]
        rest = [{"match": "/*", "backend": backend}] if self._cases else []
        return f"""\
[proxy]
workers = 1
data_path = "{self.data_path}"
client_hello_timeout = "5s"
connect_timeout = "5s"
idle_timeout = "5m"
shutdown_timeout = "1s"
{self._settings}
{upstream}
[[listeners]]
addr = "127.0.0.1:{site.listen}"
{self._listener}
[[listeners.routes]]
hostname = "{site.hostname}"
backend = "{backend}"
{termination + protocol if self._terminate else ""}
{_tables("listeners.routes.cases", [*cases, *rest])}"""

    def command(self, config: Path) -> list[str]:
        return python("-m", "mcproxy", "serve", "--config", str(config))

    def processes(self, members: Sequence[psutil.Process]) -> Processes:
        data = tuple(member.pid for member in members if any("mcproxy.worker" in word for word in member.cmdline()))
        return Processes(data=data, control=tuple(member.pid for member in members if member.pid not in data))


def _tables(name: str, rows: Sequence[dict[str, str]]) -> str:
    """Return an array of tables."""
    keys = ("\n".join(f"{key} = {json.dumps(value)}" for key, value in row.items()) for row in rows)
    return "\n".join(f"[[{name}]]\n{each}" for each in keys)
