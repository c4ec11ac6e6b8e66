"""The proxies that are attacked, each with one worker or thread: L7 addresses for two hostnames, and an L4 address."""

from collections.abc import Sequence
from pathlib import Path

import psutil

import mcproxy
from tests.attacks.contestant import Contestant, Site
from tests.attacks.contestant_envoy import Envoy
from tests.attacks.row import GOOD, TARGET
from tests.bench.peer import find, said
from tests.bench.peers_l4 import Nginx as StreamNginx
from tests.bench.processes import python


class Mcproxy(Contestant, frozen=True):
    """This work tree's."""

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return mcproxy.__version__

    def config(self, site: Site, folder: Path) -> str:
        tls = f'mode = "l7"\ntls_cert = "{site.certificate}"\ntls_key = "{site.key}"'
        doors = "".join(
            f"""
[[listeners]]
addr = "127.0.0.1:{port}"
protocol = "{protocol}"
[[listeners.routes]]
hostname = "{GOOD}"
backend = "127.0.0.1:{site.good}"
backend_protocol = "http/1.1"
{keys}
[[listeners.routes]]
hostname = "{TARGET}"
backend = "127.0.0.1:{door.target}"
backend_protocol = "{"h2" if door.h2 else "http/1.1"}"
{keys}
"""
            for door in site.doors
            for port, protocol, keys in ((door.port, "tls", tls), (door.clear, "http", ""))
        )
        return f"""\
[proxy]
workers = 1
shutdown_timeout = "1s"
{doors}
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
        doors = "".join(
            f"""
frontend edge{door.port}
    mode http
    bind 127.0.0.1:{door.port} ssl crt {pair} alpn h2,http/1.1
    bind 127.0.0.1:{door.clear}
    use_backend good if {{ hdr(host) -i {GOOD} }}
    use_backend target{door.port} if {{ hdr(host) -i {TARGET} }}
backend target{door.port}
    mode http
    http-reuse always
    server target 127.0.0.1:{door.target}{" proto h2" if door.h2 else ""}
"""
            for door in site.doors
        )
        return f"""\
global
    nbthread 1
    maxconn {site.descriptors // 4}
defaults
    timeout connect 5s
    timeout client 5m
    timeout server 5m
    timeout http-request 10s
{doors}
backend good
    mode http
    http-reuse always
    server good 127.0.0.1:{site.good}
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
        nobody = "".join(
            f"listen 127.0.0.1:{door.port} ssl http2 default_server; listen 127.0.0.1:{door.clear} default_server; "
            for door in site.doors
        )
        servers = "".join(
            f"""
    upstream {name}{door.port} {{ server 127.0.0.1:{port}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{door.port} ssl http2;
        listen 127.0.0.1:{door.clear};
        server_name {hostname};
        {tls}
        location / {{
            proxy_pass http://{name}{door.port};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
        }}
    }}"""
            for door in site.doors
            for name, hostname, port in (("good", GOOD, site.good), ("target", TARGET, door.target))
        )
        return f"""\
load_module {StreamNginx.MODULE};
daemon off;
worker_processes 1;
worker_rlimit_nofile {site.descriptors};
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {site.descriptors // 2}; }}
http {{
    access_log off;
    {temporary}
    server {{ {nobody}{tls} return 421; }}{servers}
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
    each.name: each for each in (Mcproxy(SUBJECT), Haproxy("haproxy"), Nginx("nginx", speaks_h2=False), Envoy("envoy"))
}
