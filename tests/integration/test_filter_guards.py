"""Networks, countries and rates of filters over four workers, for requests and for connections of l4 routes; whom a proxy names."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomlkit

from tests.conftest import StartProxy
from tests.support.admin import client as admin_client
from tests.support.countries import write_countries
from tests.support.l4 import HELLO, serve, stop_and_count, wait_for
from tests.support.l7 import read_head
from tests.support.proxy import Proxy
from tests.support.proxy_header import Names, v2
from tests.support.settings import Table

LIMIT, WORKERS = 20, 4
FOR_EVER = f"{LIMIT}/8760h"  # one window since the machine was started
TEXT = "hello\n"


def text(
    listeners: list[Table], *, filters: Table | None = None, firewall: Table | None = None, workers: int = WORKERS
) -> str:
    tables: Table = {
        "log": {"format": "json"},
        "proxy": {"workers": workers, "shutdown_timeout": "1s"},
        "firewall": firewall or {},
        "filters": filters or {},
        "listeners": listeners,
    }
    return tomlkit.dumps(tables)


def http(addr: str, *routes: Table, **keys: object) -> Table:
    return {"addr": addr, "protocol": "http", **keys, "routes": list(routes)}


def ask(sock: socket.socket, host: str, path: str = "/", *fields: str) -> tuple[int, str]:
    """Return status and head of an answer; the body, if there is one, is read."""
    lines = (f"GET {path} HTTP/1.1", f"host: {host}", *fields, "", "")
    sock.sendall("\r\n".join(lines).encode())
    head = read_head(sock).decode().lower()
    length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length"))
    body = b""
    while len(body) < length:
        body += sock.recv(length - len(body))
    return int(head.split(" ")[1]), head


def connect(address: tuple[str, int], source: str = "") -> socket.socket:
    """Connect, as a client that a PROXY header names if there is a ``source``."""
    sock = socket.create_connection(address, timeout=30)
    if source:
        sock.sendall(v2(Names(source, 1000, "2001:db8::2" if ":" in source else "192.0.2.2", 80)))
    return sock


def once(address: tuple[str, int], host: str, source: str = "", path: str = "/", *fields: str) -> int:
    """Return the status of a request on a connection of its own, so that any worker may get it."""
    with connect(address, source) as sock:
        return ask(sock, host, path, *fields)[0]


@pytest.fixture(scope="module")
def limited() -> Iterator[Proxy]:
    """Serve requests with a rate by client and by a header, as named by PROXY headers, and a network for one case."""
    route = {
        "hostname": "a.test",
        "respond": TEXT,
        "filter": {"rate_limit": FOR_EVER},
        "cases": [
            {"match": "/office/*", "use": ["office"]},
        ],
    }
    keyed = {"hostname": "b.test", "respond": TEXT, "filter": {"rate_limit": FOR_EVER, "rate_key": "header:X-Key"}}
    filters = {"office": {"allow_cidrs": ["203.0.113.0/24", "2001:db8:5e::/48"]}}
    with serve(text([http("127.0.0.1:PORT", route, keyed, proxy_protocol=True)], filters=filters)) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("same", "other"),
    [
        (["198.51.100.1", "::ffff:198.51.100.1"], "198.51.100.2"),
        (["2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:0:3"], "2001:db8:0:1::1"),
    ],
)
def test_a_rate_is_exact_over_all_workers(limited: Proxy, same: list[str], other: str) -> None:
    """One request after the other, whichever worker gets it; an IPv6 client is its /64."""
    address = "127.0.0.1", limited.port()
    told = [once(address, "a.test", same[number % len(same)]) for number in range(LIMIT + 5)]
    assert told == [200] * LIMIT + [429] * 5
    assert once(address, "a.test", other) == 200
    with connect(address, same[0]) as sock:
        status, head = ask(sock, "a.test")
        assert status == 429
        assert "\r\nretry-after: " in head


def test_a_rate_by_a_header_is_the_same_for_all_clients_that_send_it(limited: Proxy) -> None:
    """Another value has a count of its own."""
    address = "127.0.0.1", limited.port()
    told = [once(address, "b.test", f"198.51.100.{number}", "/", "x-key: one") for number in range(LIMIT + 2)]
    assert told == [200] * LIMIT + [429] * 2
    assert once(address, "b.test", "198.51.100.1", "/", "x-key: two") == 200


def test_a_case_is_for_some_networks(limited: Proxy) -> None:
    """Under any reading of its path that could lead there; the others see the route."""
    address = "127.0.0.1", limited.port()
    assert once(address, "a.test", "203.0.113.3", "/office/x") == 200
    assert once(address, "a.test", "2001:db8:5e::1", "/office") == 200
    assert once(address, "a.test", "203.0.112.3", "/office/x") == 403
    assert once(address, "a.test", "203.0.112.3", "/officer") == 200


def is_connected(address: tuple[str, int], data: bytes, backend: socket.socket, source: str = "") -> bool:
    """Come with some first bytes; tell whether the backend gets a connection, or the client a reset."""
    backend.setblocking(False)
    try:
        with connect(address, source) as sock:
            sock.sendall(data)
            sock.settimeout(0.02)
            while True:
                with contextlib.suppress(BlockingIOError), backend.accept()[0]:
                    return True
                with contextlib.suppress(TimeoutError):
                    assert sock.recv(1) == b"never"
    except (ConnectionResetError, BrokenPipeError):  # perhaps while it connects
        return False


def test_l4_connections_are_guarded_before_the_dial(proxy: StartProxy) -> None:
    """By network, and by a rate that is exact over all workers; the listener's filters hold for them as well."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as backend:
        route = {
            "hostname": "*",
            "backend": f"127.0.0.1:{backend.getsockname()[1]}",
            "filter": {"rate_limit": FOR_EVER},
        }
        edges: list[Table] = [
            {"addr": f"127.0.0.1:PORT_{protocol.upper()}", "protocol": protocol, "proxy_protocol": True}
            | {"use": ["office"], "routes": [route]}
            for protocol in ("tcp", "tls")
        ]
        served = proxy(text(edges, filters={"office": {"block_cidrs": ["198.51.100.0/24"]}}))

        def is_served(name: str, source: str) -> bool:
            return is_connected(("127.0.0.1", served.port(name)), HELLO, backend, source)

        for name in ("TCP", "TLS"):
            assert [is_served(name, "203.0.113.1") for _ in range(LIMIT + 3)] == [True] * LIMIT + [False] * 3
            assert not is_served(name, "198.51.100.1")
            assert is_served(name, "203.0.113.2")
        with admin_client(served) as admin:
            blocks = [dict(each.filter_blocks) for each in admin.list_routes().routes]
        assert blocks == [{"(route) (rate)": 3, "office (allow)": 1}] * 2
        for totals in stop_and_count(served).values():
            refused = {reason: count for reason, count in totals.refused.items() if reason.startswith("filter")}
            assert refused == {"filter_rate": 3, "filter_network": 1}


@pytest.mark.parametrize("path", ["python", "native"])
def test_filters_hold_on_either_data_path(reloaded: StartProxy, path: str) -> None:
    """For new connections of live listeners, for the one route of several that has them, and until they are taken back."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as backend:
        to = f"127.0.0.1:{backend.getsockname()[1]}"

        def served_with(listener: Table, guarded: Table) -> str:
            routes = [{"hostname": "l4.test", "backend": to, **guarded}, {"hostname": "*", "backend": to}]
            edges: list[Table] = [
                {"addr": "127.0.0.1:PORT", "routes": routes, **listener},
                {"addr": "127.0.0.1:PORT_B", "protocol": "tcp", "routes": routes[1:], **listener},
            ]
            tables = text(edges, filters={"office": {"block_cidrs": ["127.0.0.0/8"]}}, workers=2)
            return tables.replace("[proxy]", f'[proxy]\ndata_path = "{path}"')

        served = reloaded(served_with({}, {}))
        hello = HELLO.replace(b"l4.test", b"l5.test")  # for the other route
        for listener, guarded, told in (
            ({}, {"use": ["office"]}, [False, True, True]),
            ({"use": ["office"]}, {}, [False, False, False]),
            ({"use": ["office"]}, {"without": ["office"]}, [True, False, False]),
            ({}, {}, [True, True, True]),
        ):
            since = served.mark()
            served.save(served_with(listener, guarded))
            served.wait_for_log('"event": "applied"', since=since)
            clients = (("", HELLO), ("", hello), ("B", b"220 hello"))
            found = [is_connected(("127.0.0.1", served.port(name)), data, backend) for name, data in clients]
            assert found == told


def test_another_database_is_in_force_on_the_next_request(reloaded: StartProxy, short_folder: Path) -> None:
    """Of connections that are open as well."""
    database = write_countries(short_folder / "countries.mmdb", {"127.0.0.0/8": "DK"})
    route = {"hostname": "a.test", "respond": TEXT, "filter": {"allow_countries": ["SE"]}}
    served = reloaded(text([http("127.0.0.1:PORT", route)], firewall={"geoip_db": str(database)}, workers=2))
    with connect(("127.0.0.1", served.port())) as sock:
        assert ask(sock, "a.test")[0] == 403
        since = served.mark()
        write_countries(database, {"127.0.0.0/8": "SE"})
        served.wait_for_log(r'"event": "[^"]*\brenewed\b', since=since, timeout=20)
        wait_for(lambda: ask(sock, "a.test")[0] == 200)


def test_the_client_is_whom_a_trusted_proxy_names(reloaded: StartProxy) -> None:
    """For guards, and for the log; a client that comes past the proxy is believed nothing."""
    route = {"hostname": "a.test", "respond": TEXT, "use": ["office"]}
    trusting = {"header": "X-Forwarded-For", "from": ["127.0.0.0/8"]}
    filters = {"office": {"allow_cidrs": ["203.0.113.0/24"]}}
    served = reloaded(text([http(":PORT", route, real_ip=trusting)], filters=filters, workers=1))
    for host, status in (("127.0.0.1", 200), ("::1", 403)):
        with connect((host, served.port())) as sock:
            assert ask(sock, "a.test", "/", "x-forwarded-for: 203.0.113.9, 127.0.0.3")[0] == status
            assert ask(sock, "a.test", "/", "x-forwarded-for: 203.0.113.9, 198.51.100.1")[0] == 403


def test_a_page_from_a_file(reloaded: StartProxy, short_folder: Path) -> None:
    """With its type and length; what is written into the file is answered from then on."""
    page = short_folder / "page.html"
    page.write_text("<p>one</p>")
    route = {"hostname": "a.test", "respond": {"file": str(page), "type": "text/html"}, "status": 503}
    served = reloaded(text([http("127.0.0.1:PORT", route)], workers=1))
    with connect(("127.0.0.1", served.port())) as sock:
        status, head = ask(sock, "a.test")
        assert (status, "content-type: text/html\r\n" in head, "content-length: 10\r\n" in head) == (503, True, True)
        page.write_text("<p>longer</p>")
        wait_for(lambda: "content-length: 13\r\n" in ask(sock, "a.test")[1])
