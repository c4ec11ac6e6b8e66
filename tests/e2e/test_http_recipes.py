"""The recipes for HTTP, all served at once as the page has them, with the servers of this test in the place of the page's."""

import base64
import http.client
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from tests.support.auth_server import SESSION, AuthServer
from tests.support.certificates import Certificates
from tests.support.ctl import run_ctl
from tests.support.fleet import Fleet
from tests.support.http_clients import Response, client
from tests.support.http_thread import Handler, HttpThread
from tests.support.processes import Processes
from tests.support.proxy import ROOT, Proxy
from tests.support.subversion import apache_svn, svn

NAMES = [f"{name}.example.com" for name in ("www", "shop", "app", "ops", "wiki", "api")]
VERSIONS = ("http/1.1", "h2")
OFFICE = "127.0.0.2"


def blocks(page: str, heading: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0] if heading else text
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


class Server(Handler):
    """A server that says which one it is, and what it was asked and told."""

    address: ClassVar[str]

    def serve(self) -> None:
        fields = {name.lower(): value for name, value in self.headers.items()}
        told = {"server": self.address, "path": self.path, "fields": fields}
        self.answer(200, msgspec.json.encode(told), "application/json")


class Site(msgspec.Struct, frozen=True):
    """The running recipes."""

    proxy: Proxy
    certs: Certificates

    def ask(
        self, version: str, hostname: str, path: str, *headers: tuple[str, str], method: str = "GET", source: str = ""
    ) -> Response:
        with client(version, ("127.0.0.1", self.proxy.port()), hostname, source=source) as peer:
            return peer.request(method, path, headers)


@pytest.fixture(scope="module")
def site(fleet: Fleet, certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("recipes")
    leaf = certs.server(*NAMES, "localhost")
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(folder))
        auth = stack.enter_context(AuthServer("X-Auth-Request-User", "X-Auth-Request-Email"))
        places = {"10.0.0.8:4180": auth.port, "10.0.0.9:8080": stack.enter_context(apache_svn(processes, leaf)).port}
        for number in (5, 6, 7):
            address = f"10.0.0.{number}:8080"
            places[address] = stack.enter_context(HttpThread(type("Named", (Server,), {"address": address}))).port
        (made,) = blocks("http-recipes.md", "Names and passwords", "sh")
        made = made.replace("python3 ", f"{sys.executable} ")
        subprocess.run(["bash", "-euo", "pipefail", "-c", made], cwd=folder, check=True, timeout=60)
        (redirect,) = blocks("recipes.md", "Send visitors from http to https", "toml")
        text = "".join(blocks("http-recipes.md", "", "toml"))
        for old, new in {
            **{address: f"127.0.0.1:{port}" for address, port in places.items()},
            '":8443"': '"127.0.0.1:PORT"',
            "/etc/ssl/example.crt": str(leaf.certificate),
            "/etc/ssl/example.key": str(leaf.key),
            "/etc/mcproxy": str(folder),
            "dav.example.com": "localhost",
            "10.0.0.0/8": f"{OFFICE}/32",
        }.items():
            text = text.replace(old, new)
        listeners = '[proxy]\nworkers = 1\n[[listeners]]\naddr = "127.0.0.1:PORT"\n'
        proxy = stack.enter_context(fleet.serve(text + listeners + redirect.replace('":80"', '"127.0.0.1:PORT_HTTP"')))
        yield Site(proxy, certs)


def test_hsts(site: Site) -> None:
    """On answers of the backend and of the proxy, on the route alone."""
    hsts = "max-age=63072000; includeSubDomains"
    for version in VERSIONS:
        assert site.ask(version, "www.example.com", "/").header("strict-transport-security") == hsts
        assert site.ask(version, "shop.example.com", "/").header("strict-transport-security") is None


def test_http_to_https(site: Site) -> None:
    """Path and query are kept."""
    with closing(http.client.HTTPConnection("127.0.0.1", site.proxy.port("HTTP"), timeout=30)) as connection:
        connection.request("HEAD", "/a/b?c=d", headers={"Host": "www.example.com"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Location"]) == (308, "https://www.example.com/a/b?c=d")


@pytest.mark.parametrize("version", VERSIONS)
def test_one_site_of_several_servers(site: Site, version: str) -> None:
    """Each path has its server; those below /api see none of it."""
    asked = {"/": (5, "/"), "/apis": (5, "/apis"), "/api": (6, "/"), "/api/v1?x=/api": (6, "/v1?x=/api")}
    asked |= {"/static/a.css": (7, "/static/a.css")}
    for path, (number, seen) in asked.items():
        told = site.ask(version, "shop.example.com", path).json()
        assert (told["server"], told["path"]) == (f"10.0.0.{number}:8080", seen)
    robots = site.ask(version, "shop.example.com", "/robots.txt")
    assert (robots.status, robots.body) == (200, b"User-agent: *\nDisallow: /cart/\n")


def test_a_maintenance_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the page's commands: for what no longer path takes elsewhere, until it is removed."""
    monkeypatch.setenv("MCPROXY_CONFIG", str(site.proxy.config))
    (commands,) = blocks("http-recipes.md", "A maintenance page", "sh")
    put, remove = commands.replace(" :8443 ", f" 127.0.0.1:{site.proxy.port()} ").splitlines()

    def run(command: str) -> None:
        done = run_ctl(*shlex.split(command)[1:])
        assert done.status == 0, done.stderr

    run(put)
    closed = site.ask("h2", "shop.example.com", "/cart")
    assert (closed.status, closed.body) == (503, b"Back at 15:00.")
    assert site.ask("http/1.1", "shop.example.com", "/api/x").status == 200
    (drift,) = json.loads(run_ctl("drift", "--json").stdout)
    assert (drift["kind"], drift["edit"]["reason"]) == ("case", "upgrade")
    assert drift["edit"]["expires"]
    run(remove)
    assert site.ask("h2", "shop.example.com", "/cart").status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_an_area_for_the_office(site: Site, version: str) -> None:
    """By the client's address; no spelling of the path leads others there."""
    assert site.ask(version, "app.example.com", "/admin/x", source=OFFICE).status == 200
    assert site.ask(version, "app.example.com", "/administration").status == 200
    for path in ("/admin", "/admin/x", "//admin", "/%61dmin", "/x/../admin", "/x/%2e%2e/admin/", "/admin;a=1/b"):
        assert site.ask(version, "app.example.com", path).status in (400, 403), path
    assert site.ask(version, "app.example.com", "/admin").status == 403


@pytest.mark.parametrize("version", VERSIONS)
def test_names_and_passwords(site: Site, version: str) -> None:
    """The user that the page's command has made; the backend learns no password."""
    assert site.ask(version, "ops.example.com", "/").header("www-authenticate") == 'Basic realm="ops", charset="UTF-8"'
    word = base64.b64encode(b"anna:open sesame").decode()
    told = site.ask(version, "ops.example.com", "/", ("authorization", f"Basic {word}")).json()
    assert "authorization" not in told["fields"]


@pytest.mark.parametrize("version", VERSIONS)
def test_log_in_through_oauth2_proxy(site: Site, version: str) -> None:
    """Strangers are sent to log in, also where they try to be somebody; who has a session is told to the backend."""
    forged = ("x_auth.request-user", "admin")
    stranger = site.ask(version, "wiki.example.com", "/page", forged)
    assert (stranger.status, stranger.header("location")) == (302, "/login")
    told = site.ask(version, "wiki.example.com", "/page", ("cookie", SESSION), forged).json()
    assert told["fields"]["x-auth-request-user"] == "anna"
    assert "admin" not in told["fields"].values()
    assert site.ask(version, "wiki.example.com", "/oauth2/sign_in").header("set-cookie") == "csrf=1", "its own paths"


def test_subversion(site: Site, tmp_path: Path) -> None:
    """A copy within the repository, which names its destination."""
    url = f"https://localhost:{site.proxy.port()}/svn"

    def run(*args: str) -> str:
        return svn(tmp_path, site.certs.ca, *args)

    run("mkdir", f"{url}/trunk", "-m", "trunk")
    run("copy", f"{url}/trunk", f"{url}/branch", "-m", "branch")
    run("move", f"{url}/branch", f"{url}/tag", "-m", "tag")
    assert run("list", url).split() == ["tag/", "trunk/"]


def test_cors(site: Site) -> None:
    """Browsers are answered before they ask, for the page's origin alone."""

    def ask(origin: str, version: str) -> tuple[Response, Response]:
        fields = [("origin", origin), ("access-control-request-method", "POST")]
        preflight = site.ask(version, "api.example.com", "/v1", *fields, method="OPTIONS")
        return preflight, site.ask(version, "api.example.com", "/v1", ("origin", origin), method="POST")

    with ThreadPoolExecutor(2) as pool:
        for preflight, answer in pool.map(lambda version: ask("https://ui.example.com", version), VERSIONS):
            assert preflight.status == 204
            assert preflight.header("access-control-allow-methods") == "GET, POST"
            assert preflight.header("access-control-max-age") == "600"
            for each in (preflight, answer):
                assert each.header("access-control-allow-origin") == "https://ui.example.com"
                assert each.header("access-control-allow-credentials") == "true"
            assert answer.json()["path"] == "/v1"
    _, answer = ask("https://evil.example", "h2")
    assert answer.header("access-control-allow-origin") is None
