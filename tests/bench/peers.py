"""The proxies that are measured, each with the configuration that asks the same of it.

To add a peer: write a subclass of `Peer` and put an instance of it into `PEERS`. To measure a proxy under other settings
(mcproxy with a firewall, say), put a second instance under another name.
"""

import importlib.util
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

import mcproxy
from tests.bench.processes import python

_DEBIAN_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


class Site(msgspec.Struct, frozen=True):
    """What a peer is asked to serve: TLS for one hostname, passed on untouched, all on the loopback address.

    Attributes:
        hostname: the server name that leads to the backend; every other is refused.
        listen: the peer's port.
        backend: the backend's port.
        connections: how many client connections it must be able to hold at once.
    """

    hostname: str
    listen: int
    backend: int
    connections: int


class Processes(msgspec.Struct, frozen=True):
    """The ids of a running peer's processes.

    Attributes:
        data: those that move the clients' bytes: their cost is the figure.
        control: the others: their cost is shown beside it.
    """

    data: tuple[int, ...]
    control: tuple[int, ...]


class Peer(ABC):
    """One proxy under one configuration.

    Args:
        name: what it is called on the command line and in the table.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def missing(self) -> str:
        """Return why this peer cannot run on this machine, and what to do about it; "" when it can."""

    @abstractmethod
    def version(self) -> str:
        """Return the version of the program; asked only where it is not missing."""

    @abstractmethod
    def config(self, site: Site, folder: Path) -> str:
        """Return the text of the configuration file that serves ``site`` with one worker or thread.

        Args:
            site: what to serve.
            folder: an empty folder of the peer's own, for sockets, databases and process ids.
        """

    @abstractmethod
    def command(self, config: Path) -> list[str]:
        """Return the command that serves ``config`` in the foreground."""

    @abstractmethod
    def processes(self, members: Sequence[psutil.Process]) -> Processes:
        """Sort the peer's processes, the one that was started first; ``data`` is empty while it starts."""


class Haproxy(Peer):
    """HAProxy with one thread.

    Args:
        name: as for every peer.
        splicing: its options about splice(2). ``splice-auto`` leaves the choice to HAProxy, which then copies what comes in
            whole buffers; ``splice-request`` and ``splice-response`` are cheaper for bulk and dearer for messages.
    """

    def __init__(self, name: str, splicing: Sequence[str]) -> None:
        super().__init__(name)
        self._options = "".join(f"    option {option}\n" for option in splicing)

    def missing(self) -> str:
        return "" if _program("haproxy") else "no haproxy here: apt-get install haproxy"

    def version(self) -> str:
        return _said(_program("haproxy"), "-v").split()[2]

    def config(self, site: Site, folder: Path) -> str:
        return f"""\
global
    nbthread 1
    maxconn {site.connections}
defaults
    mode tcp
{self._options}\
    timeout connect 5s
    timeout client 5m
    timeout server 5m
frontend edge
    bind 127.0.0.1:{site.listen}
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    tcp-request content reject
    use_backend app if {{ req.ssl_sni -i {site.hostname} }}
backend app
    server app 127.0.0.1:{site.backend}
"""

    def command(self, config: Path) -> list[str]:
        return [_program("haproxy"), "-db", "-f", str(config)]

    def processes(self, members: Sequence[psutil.Process]) -> Processes:
        return Processes(data=tuple(member.pid for member in members), control=())


class Nginx(Peer):
    """The stream module of nginx with one worker process."""

    MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

    def missing(self) -> str:
        if not _program("nginx"):
            return "no nginx here: apt-get install nginx libnginx-mod-stream"
        return "" if self.MODULE.exists() else f"no {self.MODULE} here: apt-get install libnginx-mod-stream"

    def version(self) -> str:
        return _said(_program("nginx"), "-v").rpartition("/")[2]

    def config(self, site: Site, folder: Path) -> str:
        # A relayed connection takes two of the worker's slots, and the listener and channels take a few.
        return f"""\
load_module {self.MODULE};
daemon off;
worker_processes 1;
worker_rlimit_nofile {2 * site.connections + 64};
pid {folder}/nginx.pid;
error_log stderr warn;
events {{
    worker_connections {2 * site.connections + 64};
}}
stream {{
    map $ssl_preread_server_name $chosen {{
        {site.hostname} app;
    }}
    upstream app {{
        server 127.0.0.1:{site.backend};
    }}
    server {{
        listen 127.0.0.1:{site.listen} backlog=4096;
        ssl_preread on;
        preread_timeout 5s;
        proxy_connect_timeout 5s;
        proxy_timeout 5m;
        proxy_pass $chosen;
    }}
}}
"""

    def command(self, config: Path) -> list[str]:
        return [_program("nginx"), "-e", "stderr", "-c", str(config)]

    def processes(self, members: Sequence[psutil.Process]) -> Processes:
        master, *workers = members
        return Processes(data=tuple(worker.pid for worker in workers), control=(master.pid,))


class Mcproxy(Peer):
    """The program of this work tree with one worker.

    Args:
        name: as for every peer.
        settings: further tables of the config file.
    """

    def __init__(self, name: str, settings: str = "") -> None:
        super().__init__(name)
        self._settings = settings

    def missing(self) -> str:
        return (
            ""
            if importlib.util.find_spec("mcproxy.__main__")
            else "`python -m mcproxy` does not exist in this work tree"
        )

    def version(self) -> str:
        return mcproxy.__version__

    def config(self, site: Site, folder: Path) -> str:
        return f"""\
[proxy]
workers = 1
client_hello_timeout = "5s"
connect_timeout = "5s"
idle_timeout = "5m"
shutdown_timeout = "1s"
{self._settings}
[[listeners]]
addr = "127.0.0.1:{site.listen}"
[[listeners.routes]]
hostname = "{site.hostname}"
backend = "127.0.0.1:{site.backend}"
"""

    def command(self, config: Path) -> list[str]:
        return python("-m", "mcproxy", "serve", "--config", str(config))

    def processes(self, members: Sequence[psutil.Process]) -> Processes:
        data = tuple(member.pid for member in members if any("mcproxy.worker" in word for word in member.cmdline()))
        return Processes(data=data, control=tuple(member.pid for member in members if member.pid not in data))


def _program(name: str) -> str:
    """Return the path of an installed program, "" if there is none; Debian keeps servers outside a user's PATH."""
    return shutil.which(name, path=_DEBIAN_PATH) or ""


def _said(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True, timeout=10)
    return done.stdout.splitlines()[0]


# Every ratio is the subject's figure over another peer's.
SUBJECT = "mcproxy"
PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Haproxy("haproxy", ["splice-auto"]),
        Haproxy("haproxy-splice", ["splice-request", "splice-response"]),
        Nginx("nginx"),
        Mcproxy(SUBJECT),
    )
}
