"""The counters and the access log agree with what clients have seen, to the last connection, request and byte."""

import json
import socket
import ssl
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest
import tomlkit

from mcproxy.control.counters.totals import Totals
from tests.conftest import StartProxy
from tests.support import admin, counters
from tests.support.certificates import Certificates
from tests.support.crowd import Client, Crowd
from tests.support.http_clients import H2Client, tls_socket
from tests.support.l4 import HELLO, wait_for
from tests.support.l7 import l7_route
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.settings import listener, route
from tests.support.status_backend import StatusBackend
from tests.support.tls import client_hello

MAIN, SMALL = "127.0.0.1:PORT", "127.0.0.1:PORT_SMALL"
L4, L7, DEAD, DEAD_L7 = "l4.test", "l7.test", "dead.test", "dead-l7.test"
BLOCKED = "127.0.0.9"


class Seen:
    """What clients have seen.

    Attributes:
        accepted: connections by listener.
        errors: refusals by listener and reason.
        connections: connections by route.
        received: bytes sent on a route's connections that were passed on, or read from TLS.
        sent: bytes received from a route.
        responses: by route, protocol and code.
        blocks: requests refused by a policy, by route and type.
    """

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self.connections: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.responses: Counter[tuple[str, str, str]] = Counter()
        self.blocks: Counter[tuple[str, str]] = Counter()

    def refused(self, addr: str, reason: str, count: int = 1) -> None:
        self.accepted[addr] += count
        self.errors[addr, reason] += count

    def relayed(self, addr: str, count: int) -> None:
        """Each client of a crowd sends a hello and gets one byte."""
        self.accepted[addr] += count
        self.connections[L4] += count
        self.received[L4] += count * len(HELLO)
        self.sent[L4] += count

    def terminated(self, hostname: str) -> None:
        self.accepted[MAIN] += 1
        self.connections[hostname] += 1


class Edge:
    """The proxy, its backends, and what was seen so far."""

    def __init__(self, proxy: Proxy, crowd: Crowd, backend: StatusBackend) -> None:
        self.proxy = proxy
        self.crowd = crowd
        self.backend = backend
        self.seen = Seen()
        self.main = ("127.0.0.1", proxy.port())
        self.small = ("127.0.0.1", proxy.port("SMALL"))

    # L4

    def relay(self, count: int, *, leave: bool = True) -> list[Client]:
        clients = self.crowd.come(self.main, [HELLO] * count)
        self.crowd.settle(clients)
        assert all(client.fate == "served" for client in clients)
        self.seen.relayed(MAIN, count)
        if leave:
            self.crowd.leave(clients)
        return clients

    def refuse(self, reason: str, data: bytes, count: int) -> None:
        clients = self.crowd.come(self.main, [data] * count)
        self.crowd.settle(clients)
        assert all(client.fate == "refused" for client in clients)
        self.seen.refused(MAIN, reason, count)

    def crowd_out(self) -> None:
        clients = self.crowd.come(self.small, [HELLO] * 12)
        self.crowd.settle(clients)
        served = [client for client in clients if client.fate == "served"]
        assert len(served) == 3
        self.seen.relayed(SMALL, 3)
        self.seen.refused(SMALL, "limit", 9)
        self.crowd.leave(served)
        wait_for(lambda: self.totals().listeners[self.addr(SMALL)].open == 0)

    def block_addresses(self) -> None:
        for _ in range(20):
            with socket.create_connection(self.main, timeout=10, source_address=(BLOCKED, 0)) as sock:
                sock.sendall(HELLO)
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)
            self.seen.refused(MAIN, "ip")

    # L7

    def speak_h1(self, hostname: str, requests: list[tuple[bytes, str]]) -> None:
        """Send requests on one connection and compare each answer's status with the expected one."""
        self.seen.terminated(hostname)
        with tls_socket(self.main, hostname, "http/1.1") as sock:
            for request, status in requests:
                sock.sendall(request)
                answer = b""
                while not complete(answer):
                    answer += sock.recv(1 << 16)
                assert answer.split()[1].decode() == status
                self.seen.received[hostname] += len(request)
                self.seen.sent[hostname] += len(answer)
                self.seen.responses[hostname, "http/1.1", status] += 1

    def speak_h2(self, hostname: str, paths: list[str], headers: list[tuple[str, str]] | None = None) -> None:
        """Send a hundred requests at a time on one connection."""
        self.seen.terminated(hostname)
        with H2Client(self.main, hostname) as client:
            for start in range(0, len(paths), 100):
                streams = [client.begin("GET", path, headers or ()) for path in paths[start : start + 100]]
                for stream in streams:
                    response = client.receive(stream)
                    self.seen.responses[hostname, "h2", str(response.status)] += 1
            client.ping()
            self.seen.received[hostname] += client.sent
            self.seen.sent[hostname] += client.taken

    def hang(self, count: int) -> list[ssl.SSLSocket]:
        """Send requests that get no answer."""
        before = self.backend.hanging
        socks = [tls_socket(self.main, L7, "http/1.1") for _ in range(count)]
        for sock in socks:
            self.seen.terminated(L7)
            sock.sendall(get("/hang"))
            self.seen.received[L7] += len(get("/hang"))
        wait_for(lambda: self.backend.hanging == before + count)
        return socks

    def distrust(self) -> None:
        """Break off a handshake: the client does not know who has signed the certificate."""
        context = ssl.create_default_context()
        with socket.create_connection(self.main, timeout=10) as sock, pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(sock, server_hostname=L7)
        self.seen.terminated(L7)
        self.seen.errors[MAIN, "tls_failed"] += 1

    # What was counted

    def addr(self, addr: str) -> str:
        return self.proxy.fill_in(addr)

    def totals(self) -> Totals:
        return counters.totals(self.proxy)

    def open(self) -> int:
        return sum(route.active for route in self.totals().routes.values())

    def lines(self) -> list[dict[str, object]]:
        text = (self.proxy.folder / "access.log").read_text(encoding="ascii")
        assert text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]


def get(path: str, hostname: str = L7, agent: str = "test") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {hostname}\r\nUser-Agent: {agent}\r\n\r\n".encode()


def complete(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    return bool(end) and len(body) == length


def statuses(*codes: int, count: int) -> list[tuple[bytes, str]]:
    return [(get(f"/status/{code}"), str(code)) for code in codes for _ in range(count // len(codes))]


def first_half(edge: Edge) -> None:
    for _ in range(8):
        edge.relay(250)
    edge.refuse("no_route", client_hello("nowhere.test"), 200)
    edge.refuse("plain_http", b"GET / HTTP/1.1\r\n\r\n", 100)
    edge.crowd_out()
    edge.block_addresses()
    for _ in range(4):
        edge.speak_h1(L7, statuses(200, 206, 404, 503, count=400))
    for _ in range(6):
        edge.speak_h2(L7, [f"/status/{code}" for code in (200, 404, 299, 599) for _ in range(125)])


def second_half(edge: Edge) -> None:
    edge.refuse("backend_refused", client_hello(DEAD), 100)
    edge.seen.connections[DEAD] += 100
    for _ in range(2):
        edge.relay(250)
        edge.speak_h1(L7, statuses(200, 301, count=300))
    edge.speak_h1(L7, [(get("/status/200", agent="BadBot/1.0"), "403"), *statuses(200, count=10)])
    edge.seen.blocks[L7, "block_user_agent"] += 1
    edge.speak_h2(L7, ["/status/200"] * 150, [("user-agent", "badbot")])
    edge.seen.blocks[L7, "block_user_agent"] += 150
    edge.speak_h1(L7, [(get("/status/200", hostname=DEAD_L7), "421"), *statuses(200, count=2)])
    edge.speak_h1(L7, [(get("/status/200", agent="x" * 32_800), "431")])
    edge.speak_h1(L7, [(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400")])
    edge.speak_h1(DEAD_L7, [(get("/", hostname=DEAD_L7), "502")] * 5)
    edge.speak_h2(DEAD_L7, ["/"] * 5)
    edge.seen.errors[MAIN, "backend_refused"] += 10
    for _ in range(10):
        edge.distrust()


def kill_a_worker(edge: Edge, held: list[Client], hanging: list[ssl.SSLSocket]) -> None:
    """What was under way there is cut; what it was, it stays: connections and bytes, and requests without an answer."""
    victim: psutil.Process = edge.proxy.workers()[0]
    mark = edge.proxy.mark()
    victim.kill()
    edge.proxy.wait_for_log("worker died, replacing it", since=mark)
    survivors = []
    for sock in hanging:
        sock.settimeout(0.2)
        try:
            assert sock.recv(1) == b""
        except TimeoutError:
            survivors.append(sock)
        except OSError:
            pass
    edge.crowd.run_until(lambda: edge.open() == len(survivors) + len(edge.crowd.served))
    assert edge.totals().worker_restarts == 1
    for sock in hanging:
        sock.close()
    edge.seen.responses[L7, "http/1.1", "aborted"] += len(survivors)
    if survivors:
        edge.seen.errors[MAIN, "client_reset"] += len(survivors)
    edge.crowd.leave(held)


def check(edge: Edge) -> None:
    seen, totals = edge.seen, edge.totals()
    assert {addr: totals.listeners[edge.addr(addr)].accepted for addr in (MAIN, SMALL)} == dict(seen.accepted)
    told = {(addr, reason): n for addr in (MAIN, SMALL) for reason, n in errors(totals, edge.addr(addr)).items()}
    assert told == dict(seen.errors)
    routes = [(hostname, total) for (_, hostname), total in totals.routes.items()]
    assert summed((hostname, total.connections) for hostname, total in routes) == seen.connections
    assert summed((hostname, total.received) for hostname, total in routes) == seen.received
    assert summed((hostname, total.sent) for hostname, total in routes) == seen.sent
    told_responses = {(hostname, *key): n for hostname, total in routes for key, n in total.responses.items()}
    wanted: Counter[tuple[str, str, str]] = Counter()
    for (hostname, protocol, code), count in seen.responses.items():
        wanted[hostname, protocol, {"299": "2xx", "599": "5xx"}.get(code, code)] += count
    assert told_responses == dict(wanted)
    assert {(hostname, kind): n for hostname, t in routes for kind, n in t.blocks.items()} == dict(seen.blocks)
    main = totals.listeners[edge.addr(MAIN)]
    own = [route.durations.total for route in totals.routes.values() if route.durations is not None]
    assert main.requests.total + sum(own) == sum(seen.responses.values())
    assert main.dials.total >= seen.connections[L4] - seen.accepted[SMALL]
    assert (totals.draining, totals.log_lines_dropped, totals.limits) == (0, 0, {"header_bytes": 1})


def errors(totals: Totals, addr: str) -> dict[str, int]:
    return {
        reason: count
        for group in ("refused", "backend", "proxy", "client")
        for reason, count in totals.ended(group)[addr].items()
    }


def summed(items: Iterable[tuple[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for key, count in items:
        found[key] += count
    return found


def check_log(edge: Edge, cut: int) -> None:
    """A line for each, but for the relays that the kill has cut."""
    seen, lines = edge.seen, edge.lines()
    requests = Counter(
        (str(line["route"]), str(line["protocol"]), str(line["status"] or "aborted"))
        for line in lines
        if "path" in line
    )
    assert requests == seen.responses
    others = [line for line in lines if "path" not in line]
    relays = [line for line in others if line["protocol"] == "tls" and line["reason"] != "backend_refused"]
    assert len(relays) == seen.connections[L4] - cut
    assert {(line["received"], line["sent"], line["reason"]) for line in relays} == {
        (len(HELLO), 1, "client_broke_off")
    }
    refused = Counter((line["listener"], line["reason"]) for line in others if line not in relays)
    wanted = {(edge.addr(addr), reason): n for (addr, reason), n in seen.errors.items()}
    wanted[edge.addr(MAIN), "backend_refused"] -= 10  # those are requests
    wanted.pop((edge.addr(MAIN), "client_reset"), None)  # those, too
    assert refused == wanted


@pytest.mark.soak
def check_api(edge: Edge) -> None:
    """The admin API tells of each route what the shared memory holds."""
    with admin.client(edge.proxy) as client:
        listed = {(each.listener, each.hostname): each for each in client.list_routes().routes}
    for key, totals in edge.totals().routes.items():
        each = listed[key]
        assert (each.connections, each.active_connections) == (totals.connections, totals.active)
        assert (each.requests, each.bytes_received, each.bytes_sent) == (totals.requests, totals.received, totals.sent)
        assert dict(each.errors) == totals.failures


def test_counters_and_log_say_what_clients_have_seen(proxy: StartProxy, certs: Certificates) -> None:
    """Over some ten thousand connections and requests of all kinds, with a worker killed half-way."""
    with Crowd() as crowd, StatusBackend() as backend:
        policies = [{"type": "block_user_agent", "value": "BadBot"}]
        main = listener(
            MAIN,
            [
                route(crowd.port, L4),
                route(free_port(), DEAD),
                l7_route(certs, backend.port, L7, backend_protocol="http/1.1", l7_policies=policies),
                l7_route(certs, free_port(), DEAD_L7),
            ],
        )
        small = listener(SMALL, [route(crowd.port, L4)], max_connections=3)
        tables = {
            "log": {"access": "access.log"},
            "proxy": {"workers": 2},
            "firewall": {"blocked_ips": [BLOCKED]},
            "listeners": [main, small],
        }
        edge = Edge(proxy(tomlkit.dumps(tables)), crowd, backend)
        first_half(edge)
        wait_for(lambda: edge.open() == 0)
        seen = edge.seen
        told = sum(seen.responses.values()) + seen.connections[L4] + sum(seen.errors.values())
        wait_for(lambda: len(edge.lines()) == told)
        held, hanging = edge.relay(40, leave=False), edge.hang(8)
        kill_a_worker(edge, held, hanging)
        second_half(edge)
        wait_for(lambda: edge.open() == 0)
        check(edge)
        check_api(edge)
        edge.proxy.stop()
        cut = sum(client.fate == "cut" for client in held)
        check_log(edge, cut)


def test_the_log_file_is_not_for_others(proxy: StartProxy) -> None:
    """It tells who has connected."""
    served = proxy(tomlkit.dumps({"log": {"access": "access.log"}, "listeners": [listener(MAIN, [route(1)])]}))
    assert Path(served.folder / "access.log").stat().st_mode & 0o007 == 0
