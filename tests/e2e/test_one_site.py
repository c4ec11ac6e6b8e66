"""One site in four proxies, as the page `docs/one-site.md` has it: the same 40 requests, and equal answers.

The page's addresses and paths are replaced by those of this test; the rest is run as it stands. Clients come from two addresses of
this machine, of which one counts as the office's.
"""

import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.conftest import StartProxy
from tests.support import other_proxies
from tests.support.certificates import Certificates, Leaf
from tests.support.curl import curl
from tests.support.http_thread import Handler, HttpThread
from tests.support.load import until
from tests.support.processes import Processes
from tests.support.proxy import ROOT

WWW = "www.example.com"
OFFICE, STRANGER = "127.0.0.2", "127.0.0.1"
HSTS = "max-age=63072000"
ROBOTS = "User-agent: *\nDisallow: /admin/\n"
SERVERS = {f"10.0.0.{number}:8080": name for number, name in ((11, "web"), (12, "web"), (21, "api"), (22, "api"))}
ROBOTS_SERVER = "10.0.0.31:8080"  # Traefik's


class Asked(msgspec.Struct, frozen=True):
    """One request, and its answer.

    Attributes:
        line: method and target.
        status: of the answer.
        told: its body, where a server or the proxy's own text is answered: what the server was told.
        office: whether it comes from the office.
        tls: whether it comes by https.
        stays: it has the cookie of the first answer, and comes to the same server as that.
        body: of the request.
        location: where the client is sent.
    """

    line: str
    status: int
    told: str = ""
    office: bool = False
    tls: bool = True
    stays: bool = False
    body: str = ""
    location: str = ""


def at(servers: str, line: str, **more: bool | str) -> Asked:
    """Return a request that one of these servers answers."""
    told = "" if line.startswith("HEAD") else f"{servers} {line} {len(str(more.get('body', '')))}"
    return Asked(line, 200, told, **more)  # type: ignore[arg-type]


def sent(target: str, location: str = "") -> Asked:
    """Return a request without TLS, which is sent to https."""
    return Asked(f"GET {target}", 301, tls=False, location=location or f"https://{WWW}{target}")


REQUESTS = (
    at("web", "GET /"),
    at("web", "GET /", stays=True),
    at("web", "GET /a/b?c=d&e=f", stays=True),
    at("web", "POST /cart", body="x" * 1000, stays=True),
    at("web", "GET /x.css", stays=True),
    at("web", "GET /", stays=True, office=True),
    at("web", "HEAD /"),
    at("web", "POST /", body="one=1"),
    at("web", "GET /index.html?q=%20%2F"),
    at("web", "GET /a%20b"),
    at("web", "GET /apis"),
    at("web", "GET /api.html"),
    at("web", "GET /apiary/x"),
    at("web", "GET /a/api/"),
    at("api", "GET /api"),
    at("api", "GET /api/"),
    at("api", "GET /api?x=1"),
    at("api", "GET /api/v1/users?page=2"),
    at("api", "POST /api/v1/users", body='{"name": "anna"}'),
    at("api", "HEAD /api/v1"),
    at("api", "GET /api/admin/"),
    at("api", "GET /api/", office=True),
    Asked("GET /robots.txt", 200, ROBOTS),
    Asked("GET /robots.txt?x", 200, ROBOTS),
    Asked("HEAD /robots.txt", 200),
    at("web", "POST /robots.txt", body="x"),
    at("web", "GET /robots.txt.gz"),
    at("web", "GET /a/robots.txt"),
    Asked("GET /admin", 403),
    Asked("GET /admin/", 403),
    Asked("GET /admin/users?x=1", 403),
    Asked("POST /admin/users", 403, body="x"),
    at("web", "GET /administration"),
    at("web", "GET /adm"),
    at("web", "GET /admin", office=True),
    at("web", "GET /admin/users", office=True),
    sent("/"),
    sent("/a/b?c=d"),
    sent("/admin/"),
    sent("/robots.txt"),
)


class Server(Handler):
    """One of the site's servers; it says which one it is, and what it has been asked and told."""

    name = number = ""

    def serve(self) -> None:
        length = len(self.body())
        told = f"{self.headers['X-Forwarded-Proto']} {self.headers['X-Forwarded-For']} {self.headers['Host']}"
        line = f"{self.command} {self.path}"
        self.answer(200, f"{self.name} {line} {length}\n{told}\n{self.number}".encode())


class Robots(Handler):
    """What Traefik asks for the text that the others have in their files."""

    def serve(self) -> None:
        self.answer(200, ROBOTS.encode())


class Site(msgspec.Struct, frozen=True):
    """The site's servers, with the addresses of the page, and the certificate."""

    ports: Mapping[str, int]
    leaf: Leaf

    def placed(self, text: str, folder: Path) -> str:
        """Return a config of the page with what is here."""
        pem = folder / "www.pem"
        pem.write_bytes(self.leaf.certificate.read_bytes() + self.leaf.key.read_bytes())
        for old, new in {
            **{address: f"127.0.0.1:{port}" for address, port in self.ports.items()},
            "10.0.0.0/8": f"{OFFICE}/32",
            "/etc/ssl/www.crt": str(self.leaf.certificate),
            "/etc/ssl/www.key": str(self.leaf.key),
            "/etc/ssl/www.pem": str(pem),
        }.items():
            text = text.replace(old, new)
        return text


@pytest.fixture(scope="module")
def site(certs: Certificates) -> Iterator[Site]:
    with ExitStack() as stack:
        ports = {
            address: stack.enter_context(HttpThread(type("Named", (Server,), {"name": name, "number": address}))).port
            for address, name in SERVERS.items()
        }
        ports[ROBOTS_SERVER] = stack.enter_context(HttpThread(Robots)).port
        yield Site(ports, certs.server(WWW))


def config(name: str) -> list[str]:
    """Return the files of a proxy, as the page has them."""
    page = (ROOT / "docs" / "one-site.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\w+\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def haproxy(texts: list[str], folder: Path, http: int, https: int) -> list[str]:
    (text,) = texts
    text = text.replace("bind :80", f"bind 127.0.0.1:{http}").replace("bind :443", f"bind 127.0.0.1:{https}")
    return other_proxies.haproxy(text, folder)


def caddy(texts: list[str], folder: Path, http: int, https: int) -> list[str]:
    (text,) = texts
    text = text.replace("http://:80", f"http://:{http}").replace(f"https://{WWW}:443", f"https://{WWW}:{https}")
    return other_proxies.caddy(text, folder)


def traefik(texts: list[str], folder: Path, http: int, https: int) -> list[str]:
    static, dynamic = texts
    static = static.partition("providers:")[0].replace('":80"', f"127.0.0.1:{http}")
    return other_proxies.traefik(static.replace('":443"', f"127.0.0.1:{https}"), dynamic, folder)


OTHERS: Mapping[str, Callable[[list[str], Path, int, int], list[str]]] = {
    "HAProxy": haproxy,
    "Caddy": caddy,
    "Traefik": traefik,
}


class Clients:
    """A stranger and somebody in the office, with one version of HTTP, at one proxy."""

    def __init__(self, stack: ExitStack, ca: Path, http: int, https: int, *, http2: bool) -> None:
        self._bases = {False: f"http://127.0.0.1:{http}", True: f"https://127.0.0.1:{https}"}
        self._https = https
        context = ssl.create_default_context(cafile=str(ca))
        self._clients = {
            address == OFFICE: stack.enter_context(
                httpx.Client(
                    transport=httpx.HTTPTransport(local_address=address, verify=context, http2=http2), timeout=30
                )
            )
            for address in (OFFICE, STRANGER)
        }
        self._cookie = ""
        self._first = ""
        self.numbers: set[str] = set()

    def ask(self, asked: Asked) -> Asked:
        """Send a request, and return it with what was answered."""
        method, _, target = asked.line.partition(" ")
        client = self._clients[asked.office]
        client.cookies.clear()
        headers = {"Host": WWW, **({"Cookie": self._cookie} if asked.stays else {})}
        url = self._bases[asked.tls] + target
        answer = client.request(
            method, url, headers=headers, content=asked.body.encode() or None, extensions={"sni_hostname": WWW}
        )
        assert (answer.headers.get_list("Strict-Transport-Security") == [HSTS]) == asked.tls, asked
        text, told, number = answer.text, "", ""
        if answer.status_code == 200 and text != ROBOTS and text:
            text, told, number = text.split("\n")
            client_address = OFFICE if asked.office else STRANGER
            assert told == f"https {client_address} {WWW}", asked
            self.numbers.add(number)
        if not self._cookie:
            self._cookie, self._first = answer.headers["Set-Cookie"].partition(";")[0], number
            assert self._cookie.startswith("at=")
        return Asked(
            asked.line,
            answer.status_code,
            text if answer.status_code == 200 else "",
            asked.office,
            asked.tls,
            asked.stays and number == self._first,
            asked.body,
            answer.headers.get("Location", ""),
        )


def answers(name: str, ca: Path, http: int, https: int, *, versions: tuple[bool, ...] = (True,)) -> None:
    """Ask everything over HTTP/2, or both versions; every answer is that of the table, and all servers were used."""
    odd = odd_paths(name)
    assert {path: asked_raw(https, ca, path) for path in odd} == odd
    for http2 in versions:
        with ExitStack() as stack:
            clients = Clients(stack, ca, http, https, http2=http2)
            assert [clients.ask(asked) for asked in REQUESTS] == list(REQUESTS)
            assert clients.numbers == SERVERS.keys()


def odd_paths(name: str) -> dict[str, int]:
    """Return what the page says of paths that can be read in two ways, by the path: a proxy's status for strangers."""
    page = (ROOT / "docs" / "one-site.md").read_text(encoding="utf-8")
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    column = rows[0].index(name)
    return {row[0]: int(row[column]) for row in rows[2:]}


def asked_raw(port: int, ca: Path, path: str) -> int:
    """Return the status of a request whose path is sent as it stands."""
    context = ssl.create_default_context(cafile=str(ca))
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    with context.wrap_socket(sock, server_hostname=WWW) as tls:
        tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {WWW}\r\nConnection: close\r\n\r\n".encode())
        return int(tls.makefile("rb").readline().split()[1])


def test_the_table_has_forty_requests() -> None:
    """As the page says."""
    assert len(REQUESTS) == 40


@pytest.mark.parametrize(
    "name", [name if name == "HAProxy" else pytest.param(name, marks=pytest.mark.soak) for name in OTHERS]
)
def test_the_others_answer_as_the_table_says(
    name: str, processes: Processes, site: Site, certs: Certificates, short_folder: Path
) -> None:
    """So that it is no table of mcproxy's own."""
    texts = [site.placed(text, short_folder) for text in config(name)]
    ports, _ = other_proxies.start(processes, 2, lambda *ports: OTHERS[name](texts, short_folder, *ports))
    until(lambda: serves(ports[1], certs.ca), f"{name} serves the site", 20)
    answers(name, certs.ca, *ports)


def serves(port: int, ca: Path) -> bool:
    """Tell whether a proxy has read its config; Traefik listens before."""
    return curl(WWW, ("127.0.0.1", port), ca, path="/robots.txt").body == ROBOTS.encode()


def test_mcproxy_answers_as_the_table_says(
    proxy: StartProxy, site: Site, certs: Certificates, short_folder: Path
) -> None:
    """The same answers as the others'."""
    (text,) = config("mcproxy")
    text = (
        site.placed(text, short_folder).replace('":80"', '"127.0.0.1:PORT_HTTP"').replace('":443"', '"127.0.0.1:PORT"')
    )
    served = proxy(text)
    answers("mcproxy", certs.ca, served.port("HTTP"), served.port(), versions=(False, True))
