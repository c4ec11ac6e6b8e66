"""Blocked countries, by a database that may change, break and come back while the proxy runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mcproxy.cli.server import app as server
from tests.conftest import StartProxy
from tests.support.counters import counted
from tests.support.countries import Style, write_countries
from tests.support.ctl import Result, run_command
from tests.support.l4 import HELLO, RawBackend
from tests.support.load import until
from tests.support.proxy import Proxy
from tests.support.proxy_header import Names, v2
from tests.support.settings import config, listener, route
from tests.support.tls import receive_exactly

# Loopback, where every connection of a test comes from, lies in a country too: it must not be the one that counts.
COUNTRIES = {
    "203.0.113.0/24": "KP",
    "198.51.100.0/24": "SE",
    "2001:db8:bad::/48": "KP",
    "2001:db8:5e::/48": "SE",
    "127.0.0.0/8": "DK",
}
KP, SE = "203.0.113.7", "198.51.100.7"
RENEWED = r'"event": "[^"]*\brenewed\b'


def text(port: int, *countries: str) -> str:
    """Return a config whose database lies beside it."""
    edge = listener("127.0.0.1:PORT", [route(port)], proxy_protocol=True)
    return config(edge, firewall={"geoip_db": "countries.mmdb", "blocked_countries": list(countries)}, workers=2)


def passes(served: Proxy, backend: RawBackend, source: str) -> bool:
    """Connect as a client that a header names; tell whether it is served, or else reset."""
    names = Names(source, 1234, "2001:db8::2" if ":" in source else "192.0.2.2", 443)
    client = backend.connect(("127.0.0.1", served.port()), v2(names) + HELLO)
    backend.listening.setblocking(False)
    while True:
        try:
            server = backend.accept()
        except BlockingIOError:
            client.settimeout(0.02)
            try:
                assert client.recv(1) == b"never"
            except TimeoutError:
                continue
            except ConnectionResetError:
                return False
        assert receive_exactly(server, len(HELLO)) == HELLO
        for sock in (client, server):
            sock.close()
        return True


@pytest.fixture
def start(reloaded: StartProxy, short_folder: Path) -> Callable[..., Proxy]:
    """Return a proxy with a database of these countries that blocks KP."""

    def started(backend: RawBackend, *, style: Style = "nested", blocked: tuple[str, ...] = ("KP",)) -> Proxy:
        database = write_countries(short_folder / "countries.mmdb", COUNTRIES, style=style)
        written = text(backend.port, *blocked).replace('"countries.mmdb"', f'"{database}"')
        return reloaded(written)

    return started


def edit(served: Proxy, change: Callable[[], object], event: str) -> None:
    """Change something and wait until the log tells of it."""
    since = served.mark()
    change()
    served.wait_for_log(event, since=since, timeout=20)


@pytest.mark.parametrize("style", ["nested", "flat"])
def test_the_country_of_the_address_in_the_header_decides(start: Callable[..., Proxy], style: Style) -> None:
    """Both families, mapped addresses, either layout of records; the sender's own country says nothing."""
    with RawBackend() as backend:
        served = start(backend, style=style, blocked=("KP", "DK"))
        assert [passes(served, backend, host) for host in (KP, f"::ffff:{KP}", "2001:db8:bad::1")] == [False] * 3
        assert [passes(served, backend, host) for host in (SE, "2001:db8:5e::1", "192.0.2.1", "2001:db8::1")] == [
            True
        ] * 4
        assert not passes(served, backend, "127.0.0.1")
        totals = counted(served)[f"127.0.0.1:{served.port()}"]
        assert (totals.accepted, totals.refused) == (8, {"country": 4})


def test_a_changed_database_is_used_and_a_broken_one_is_not(start: Callable[..., Proxy], short_folder: Path) -> None:
    """Renewed by rename or in place; corrupt or missing, the old one stays and the log names the line; then repaired."""
    path = short_folder / "countries.mmdb"
    with RawBackend() as backend:
        served = start(backend)
        assert (passes(served, backend, KP), passes(served, backend, SE)) == (False, True)

        swapped = COUNTRIES | {"203.0.113.0/24": "SE", "198.51.100.0/24": "KP"}
        edit(served, lambda: write_countries(path, swapped), RENEWED)
        assert (passes(served, backend, KP), passes(served, backend, SE)) == (True, False)

        original = write_countries(short_folder / "other.mmdb", COUNTRIES).read_bytes()
        edit(served, lambda: path.write_bytes(original), RENEWED)
        assert (passes(served, backend, KP), passes(served, backend, SE)) == (False, True)

        wrong = r"mc-proxy\.toml:\d+:\d+: error: firewall\.geoip_db: "
        for change in (
            lambda: path.write_bytes(original[: len(original) // 2]),
            lambda: path.write_bytes(b"no database"),
            path.unlink,
        ):
            edit(served, change, wrong)
            assert (passes(served, backend, KP), passes(served, backend, SE)) == (False, True)
            # a replacement for a dead worker gets the old database too
            victim = served.workers()[0]
            edit(served, victim.kill, "worker died, replacing it")
            until(lambda gone=victim.pid: len(served.workers()) == 2 and gone not in map_pids(served), "replaced")  # type: ignore[misc]  # mypy can't infer a lambda with a default
            assert (passes(served, backend, KP), passes(served, backend, SE)) == (False, True)

        edit(served, lambda: write_countries(path, swapped), RENEWED)
        assert (passes(served, backend, KP), passes(served, backend, SE)) == (True, False)


def map_pids(served: Proxy) -> list[int]:
    return [worker.pid for worker in served.workers()]


def test_a_repaired_database_that_is_the_old_one_needs_no_change(
    start: Callable[..., Proxy], short_folder: Path
) -> None:
    """Broken and restored to the same bytes: read again, and nothing to do."""
    path = short_folder / "countries.mmdb"
    with RawBackend() as backend:
        served = start(backend)
        original = path.read_bytes()
        edit(served, lambda: path.write_bytes(b"broken"), "firewall.geoip_db")
        edit(served, lambda: path.write_bytes(original), "no changes")
        assert (passes(served, backend, KP), passes(served, backend, SE)) == (False, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        (b"", ""),
        (b"this is text", "MaxMind DB"),
    ],
)
def test_validation_tells_line_and_reason(tmp_path: Path, content: bytes | None, message: str) -> None:
    """A missing or corrupt database is an error at its line, exit status 1; the syntax level does not look."""
    database = tmp_path / "countries.mmdb"
    if content is not None:
        database.write_bytes(content)
    file = tmp_path / "mc-proxy.toml"
    text = '[firewall]\n\n  geoip_db = "countries.mmdb"\nblocked_countries = ["KP"]\n'
    file.write_text(f'{text}[[listeners]]\naddr = ":1"\n{ROUTE}', encoding="utf-8")

    def validate(*args: str) -> Result:
        return run_command(server.main, "validate-config", *args, str(file))

    result = validate()
    assert result.status == 1
    assert result.stdout.startswith(f"{file}:3:14: error: firewall.geoip_db: {database}: ")
    assert message in result.stdout
    assert validate("--syntax").status == 0
    write_countries(database, COUNTRIES)
    assert validate("--strict").status == 0


ROUTE = '[[listeners.routes]]\nhostname = "a.test"\nbackend = "b:1"\n'


def test_explain_looks_the_country_up(tmp_path: Path) -> None:
    """The command opens the same database and names the rule's line."""
    write_countries(tmp_path / "countries.mmdb", COUNTRIES)
    file = tmp_path / "mc-proxy.toml"
    file.write_text(
        '[firewall]\ngeoip_db = "countries.mmdb"\nblocked_countries = [\n"NO",\n"KP",\n]\n'
        '[[listeners]]\naddr = ":8443"\nproxy_protocol = true\ntrusted_proxies = ["10.0.0.0/8"]\n',
        encoding="utf-8",
    )
    result = run_command(server.main, "explain", str(file), "--ip", KP, "--proxy-ip", "10.1.1.1")
    assert result.status == 0, result.stderr
    last = result.stdout.splitlines()[-1]
    assert last.split(maxsplit=2)[:2] == ["firewall", "refused"]
    assert f"{KP} is blocked by country KP" in last
    assert last.endswith(f"{file}:5")
