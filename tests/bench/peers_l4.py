"""The L4 peers: TLS for one hostname is passed on untouched, every other is refused."""

from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.bench.peer import Peer, Processes, SingleProcess, find, said
from tests.bench.site import Site


class Haproxy(SingleProcess):
    """HAProxy with one thread.

    Args:
        name: as for every peer.
        splicing: its options about splice(2). ``splice-auto`` leaves the choice to HAProxy, which then copies what comes in
            whole buffers; ``splice-request`` and ``splice-response`` are cheaper for bulk and dearer for messages.
    """

    def __init__(self, name: str, splicing: Sequence[str]) -> None:
        super().__init__(name, "haproxy", "apt-get install haproxy")
        self._options = "".join(f"    option {option}\n" for option in splicing)

    def version(self) -> str:
        return said(self.program, "-v").split()[2]

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
        return [self.program, "-db", "-f", str(config)]


class Nginx(Peer):
    """The stream module of nginx with one worker process."""

    MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

    def missing(self) -> str:
        if not find("nginx"):
            return "no nginx here: apt-get install nginx libnginx-mod-stream"
        return "" if self.MODULE.exists() else f"no {self.MODULE} here: apt-get install libnginx-mod-stream"

    def version(self) -> str:
        return said(find("nginx"), "-v").rpartition("/")[2]

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
        return [find("nginx"), "-e", "stderr", "-c", str(config)]

    def processes(self, members: Sequence[psutil.Process]) -> Processes:
        master, *workers = members
        return Processes(data=tuple(worker.pid for worker in workers), control=(master.pid,))
