"""`basic_auth` in front of a site: users of a file that may change, and passwords that are tried without end."""

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import bcrypt
import msgspec
import pytest
import tomlkit

from tests.support.certificates import Certificates
from tests.support.endpoint import metric
from tests.support.fleet import Fleet
from tests.support.http_clients import H2Client, Response, client
from tests.support.http_thread import Handler, HttpThread
from tests.support.l4 import wait_for
from tests.support.l7 import l7_route
from tests.support.proxy import Proxy
from tests.support.settings import listener

NAME = "l7.test"
VERSIONS = ("http/1.1", "h2")
ROUNDS = 8
"""Of bcrypt: a check takes longer than many requests."""


def line(user: str, password: bytes, rounds: int = 4) -> str:
    return f"{user}:{bcrypt.hashpw(password, bcrypt.gensalt(rounds)).decode()}\n"


def scrypt_line(user: str, password: bytes) -> str:
    salt = b"0123456789abcdef"
    digest = hashlib.scrypt(password, salt=salt, n=1 << 10, r=8, p=1)
    return f"{user}:$scrypt$ln=10,r=8,p=1${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def login(user: str, password: str) -> tuple[str, str]:
    return "authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Site(Handler):
    """The site behind; it keeps the credentials that it gets."""

    got: ClassVar[list[str | None]]

    def serve(self) -> None:
        self.got.append(self.headers["Authorization"])
        self.answer(200, b"site")


class Stage(msgspec.Struct, frozen=True):
    """A proxy whose users are in files."""

    proxy: Proxy
    users: Path
    got: list[str | None]

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.proxy.port()

    def ask(self, version: str, path: str, *headers: tuple[str, str], method: str = "GET") -> Response:
        with client(version, self.address, NAME) as peer:
            return peer.request(method, path, headers)


@pytest.fixture(scope="module")
def running(fleet: Fleet, certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("users")
    users, slow = folder / "ops.htpasswd", folder / "slow.htpasswd"
    users.write_text("# who may\n" + line("anna", b"secret") + scrypt_line("otto", b"geheim"), encoding="utf-8")
    slow.write_text(line("anna", b"secret", ROUNDS), encoding="utf-8")
    with ExitStack() as stack:
        site: type[Site] = type("Mine", (Site,), {"got": []})
        behind = stack.enter_context(HttpThread(site))
        cases = [
            {"match": "/open/*"},
            {"match": "/ops/*", "use": ["ops"]},
            {"match": "/told/*", "filter": {"basic_auth": str(users), "pass_credentials": True}},
            {"match": "/slow/*", "use": ["slow"]},
        ]
        text = tomlkit.dumps(
            {
                "proxy": {"workers": 1, "shutdown_timeout": "2s"},
                "filters": {"ops": {"basic_auth": str(users)}, "slow": {"basic_auth": str(slow)}},
                "listeners": [listener("127.0.0.1:PORT", [l7_route(certs, behind.port, NAME, cases=cases)])],
                "metrics": {"addr": "127.0.0.1:PORT_METRICS"},
            }
        )
        yield Stage(stack.enter_context(fleet.serve(text)), users, site.got)


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.got.clear()
    return running


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("user", "password"), [("anna", "secret"), ("otto", "geheim")])
def test_who_has_the_password_comes_in(stage: Stage, version: str, user: str, password: str) -> None:
    """By either kind of hash; the site does not learn it, unless it is to."""
    for _ in range(2):
        assert stage.ask(version, "/ops/x", login(user, password)).body == b"site"
    assert stage.ask(version, "/told/x", login(user, password)).body == b"site"
    assert stage.got == [None, None, login(user, password)[1]]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "headers",
    [[], [login("anna", "Secret")], [login("nobody", "secret")], [("authorization", "Bearer x")], [login("anna", "")]],
    ids=["nothing", "wrong", "unknown", "another scheme", "empty"],
)
def test_who_has_not_is_asked_for_it(stage: Stage, version: str, headers: list[tuple[str, str]]) -> None:
    """By a challenge that browsers understand, for GET as for POST; on the paths without the filter nobody is."""
    for method in ("GET", "POST"):
        answer = stage.ask(version, "/ops/x", *headers, method=method)
        assert (answer.status, answer.header("www-authenticate")) == (401, 'Basic realm="ops", charset="UTF-8"')
    assert (
        stage.ask(version, "/told/x", *headers).header("www-authenticate")
        == 'Basic realm="restricted", charset="UTF-8"'
    )
    assert stage.got == []
    assert stage.ask(version, "/open/x", *headers).status == 200


def test_a_file_that_changes_counts_at_once(stage: Stage) -> None:
    """Who is taken out is out, though known; what can't be read leaves the last good content in force."""
    before = stage.users.read_text(encoding="utf-8")
    try:
        with client("h2", stage.address, NAME) as peer:
            assert peer.request("GET", "/ops/x", [login("anna", "secret")]).status == 200
            stage.users.write_text(line("anna", b"another"), encoding="utf-8")
            wait_for(lambda: peer.request("GET", "/ops/x", [login("anna", "another")]).status == 200)
            assert peer.request("GET", "/ops/x", [login("anna", "secret")]).status == 401
            mark = stage.proxy.mark()
            stage.users.write_text("anna:$apr1$abc$def\n", encoding="utf-8")
            stage.proxy.wait_for_log(r"htpasswd.*MD5", since=mark)
            assert peer.request("GET", "/ops/x", [login("anna", "another")]).status == 200
    finally:
        stage.users.write_text(before, encoding="utf-8")
        wait_for(lambda: stage.ask("h2", "/ops/x", login("otto", "geheim")).status == 200)


def test_wrong_passwords_without_end(stage: Stage) -> None:
    """What can't be hashed soon is told to come again; who is known comes in all the while, and other paths are served."""
    known = login("anna", "secret")
    assert stage.ask("h2", "/slow/x", known).status == 200
    with (
        client("h2", stage.address, NAME) as loud,
        client("h2", stage.address, NAME) as quiet,
        ThreadPoolExecutor(1) as pool,
    ):
        assert isinstance(loud, H2Client)
        streams = [loud.begin("GET", "/slow/x", [login("anna", f"wrong{number}")]) for number in range(90)]
        others = pool.submit(
            lambda: [
                [quiet.request("GET", "/slow/x", [known]).status, quiet.request("GET", "/open/x").status]
                for _ in range(50)
            ]
        )
        answers = [loud.receive(stream) for stream in streams]
        assert others.result(60) == [[200, 200]] * 50
    busy = [answer for answer in answers if answer.status == 503]
    assert {answer.status for answer in answers} == {401, 503}
    assert {answer.header("retry-after") for answer in busy} == {"5"}
    assert len(answers) - len(busy) >= 16, "what one client may have waiting"


def test_what_is_counted(stage: Stage) -> None:
    """Refusals, by the filter."""
    port = stage.proxy.port("METRICS")
    where = {"listener": f"127.0.0.1:{stage.proxy.port()}", "route": NAME, "filter": "(case)", "stage": "auth"}
    before = metric(port, "mcproxy_filter_blocks_total", **where) or 0
    stage.ask("h2", "/told/x")
    wait_for(lambda: metric(port, "mcproxy_filter_blocks_total", **where) == before + 1)
