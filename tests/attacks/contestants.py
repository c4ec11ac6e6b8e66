"""The proxies that are attacked, each with one worker or thread: an L7 address for two hostnames, and an L4 address."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

import mcproxy
from tests.attacks.row import GOOD, TARGET
from tests.bench.peer import find, said
from tests.bench.peers_l4 import Nginx as StreamNginx
from tests.bench.processes import python

_DESCRIPTORS = 20_000


class Site(msgspec.Struct, frozen=True):
    """What is served.

    Attributes:
        l7, l4: ports of the proxy.
        good, target, passed: ports of the backends of `GOOD`, of `TARGET` and of the L4 address.
        h2: whether the backend of `TARGET` speaks HTTP/2.
        certificate, key: of both hostnames, PEM.
    """

    l7: int
    l4: int
    good: int
    target: int
    passed: int
    h2: bool
    certificate: Path
    key: Path


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


class Mcproxy(Contestant, frozen=True):
    """This work tree's."""

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return mcproxy.__version__

    def config(self, site: Site, folder: Path) -> str:
        tls = f'mode = "l7"\ntls_cert = "{site.certificate}"\ntls_key = "{site.key}"'
        return f"""\
[proxy]
workers = 1
shutdown_timeout = "1s"
[[listeners]]
addr = "127.0.0.1:{site.l7}"
[[listeners.routes]]
hostname = "{GOOD}"
backend = "127.0.0.1:{site.good}"
backend_protocol = "http/1.1"
{tls}
[[listeners.routes]]
hostname = "{TARGET}"
backend = "127.0.0.1:{site.target}"
backend_protocol = "{"h2" if site.h2 else "http/1.1"}"
{tls}
[[listeners]]
addr = "127.0.0.1:{site.l4}"
[[listeners.routes]]
hostname = "*"
backend = "127.0.0.1:{site.passed}"
"""

    def command(self, config: Path) -> list[str]:
        return python("-m", "mcproxy", "serve", "--config", str(config))

    def workers(self, members: Sequence[psutil.Process]) -> list[psutil.Process]:
        return [member for member in members if any("mcproxy.worker" in word for word in member.cmdline())]


class Haproxy(Contestant, frozen=True):
    """HAProxy with one thread and its defaults."""

    def missing(self) -> str:
        return "" if find("haproxy") else "no haproxy here: apt-get install haproxy"

    def version(self) -> str:
        return said(find("haproxy"), "-v").split()[2]

    def config(self, site: Site, folder: Path) -> str:
        pair = folder / "site.pem"
        pair.write_bytes(site.certificate.read_bytes() + site.key.read_bytes())
        return f"""\
global
    nbthread 1
    maxconn {_DESCRIPTORS // 4}
defaults
    timeout connect 5s
    timeout client 5m
    timeout server 5m
    timeout http-request 10s
frontend edge
    mode http
    bind 127.0.0.1:{site.l7} ssl crt {pair} alpn h2,http/1.1
    use_backend good if {{ hdr(host) -i {GOOD} }}
    use_backend target if {{ hdr(host) -i {TARGET} }}
backend good
    mode http
    http-reuse always
    server good 127.0.0.1:{site.good}
backend target
    mode http
    http-reuse always
    server target 127.0.0.1:{site.target}{" proto h2" if site.h2 else ""}
frontend passed
    mode tcp
    bind 127.0.0.1:{site.l4}
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    tcp-request content reject
    default_backend passed
backend passed
    mode tcp
    server passed 127.0.0.1:{site.passed}
"""

    def command(self, config: Path) -> list[str]:
        return [find("haproxy"), "-db", "-f", str(config)]


class Nginx(Contestant, frozen=True):
    """nginx with one worker process; it speaks HTTP/1.1 with backends alone."""

    def missing(self) -> str:
        return StreamNginx("nginx").missing()

    def version(self) -> str:
        return said(find("nginx"), "-v").rpartition("/")[2]

    def config(self, site: Site, folder: Path) -> str:
        tls = f"ssl_certificate {site.certificate}; ssl_certificate_key {site.key};"
        temporary = " ".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        servers = "".join(
            f"""
    upstream {name} {{ server 127.0.0.1:{port}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{site.l7} ssl http2;
        server_name {hostname};
        {tls}
        location / {{ proxy_pass http://{name}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; }}
    }}"""
            for name, hostname, port in (("good", GOOD, site.good), ("target", TARGET, site.target))
        )
        return f"""\
load_module {StreamNginx.MODULE};
daemon off;
worker_processes 1;
worker_rlimit_nofile {_DESCRIPTORS};
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {_DESCRIPTORS // 2}; }}
http {{
    access_log off;
    {temporary}
    server {{ listen 127.0.0.1:{site.l7} ssl http2 default_server; {tls} return 421; }}{servers}
}}
stream {{
    server {{ listen 127.0.0.1:{site.l4} backlog=4096; ssl_preread on; proxy_pass 127.0.0.1:{site.passed}; }}
}}
"""

    def command(self, config: Path) -> list[str]:
        return [find("nginx"), "-e", "stderr", "-c", str(config)]

    def workers(self, members: Sequence[psutil.Process]) -> list[psutil.Process]:
        return list(members[1:])


SUBJECT = "mcproxy"
CONTESTANTS: dict[str, Contestant] = {
    each.name: each for each in (Mcproxy(SUBJECT), Haproxy("haproxy"), Nginx("nginx", speaks_h2=False))
}
