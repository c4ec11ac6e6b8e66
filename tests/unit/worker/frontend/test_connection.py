"""A client's connection as a conversation: what comes from the client and the backend, and what each of them gets."""

import ipaddress

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from mcproxy.model.state.snapshot import ListenerEntry
from mcproxy.model.state.state import Listener, ListenerProtocol
from mcproxy.model.values.reasons import COUNTED
from mcproxy.net.memory.shared_memory import PROCESS_DRAINING, health_counter
from mcproxy.wire.proxy_protocol import LOCAL_HEADER, encode_v1, encode_v2
from mcproxy.worker.frontend.connection import Connection
from mcproxy.worker.live.listener import LiveListener, LiveRoute
from tests.support.fake_wire import Peer
from tests.support.fake_worker import HTTP, TIMEOUTS, FakeWorker
from tests.support.tls import client_hello

HELLO = client_hello("app.example")
BACKEND = "192.0.2.7:443"
PROXY_IP = "203.0.113.1"


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def route(worker: FakeWorker) -> LiveRoute:
    return worker.route("app.example", BACKEND)


@pytest.fixture
def listener(worker: FakeWorker, route: LiveRoute) -> LiveListener:
    return worker.listener(route)


def relayed(worker: FakeWorker, listener: LiveListener) -> tuple[Peer, Peer, Connection]:
    """Return a client and a backend that are joined; the backend has got the hello."""
    client, connection = worker.connect(listener)
    client.sends(HELLO)
    backend = worker.wire.backend(BACKEND)
    backend.accepts()
    assert backend.takes() == HELLO
    assert worker.wire.happened() == [f"dial {BACKEND}"]
    return client, backend, connection


def assert_forgotten(worker: FakeWorker, *routes: LiveRoute) -> None:
    """Nothing of a connection is left: no socket, limit, count or place in a set."""
    assert not worker.registry.connections
    assert not worker.wire.poller.watched
    assert worker.admission.open == 0
    assert [worker.counted(route.active_counter) for route in routes] == [0] * len(routes)
    assert worker.counted(PROCESS_DRAINING) == 0
    worker.wire.happened()
    worker.wire.pass_time(300)
    assert worker.wire.happened() == []


# The way to the backend


def test_bytes_go_both_ways_until_both_have_ended(worker: FakeWorker, listener: LiveListener, route: LiveRoute) -> None:
    """The hello reaches the backend whole; each end of a stream is passed on, and the second one ends the connection."""
    client, backend, _ = relayed(worker, listener)
    backend.sends(b"server")
    client.sends(b"client")
    assert (client.takes(), backend.takes()) == (b"server", b"client")
    client.ends()
    assert worker.wire.happened() == [f"{BACKEND} half-closed"]
    backend.sends(b"last words")
    assert client.takes() == b"last words"
    backend.ends()
    assert worker.wire.happened() == ["idle", "client closed", f"{BACKEND} closed"]
    received, sent = route.byte_counters
    assert (worker.counted(received), worker.counted(sent)) == (len(HELLO) + 6, 16)
    assert worker.counted(route.connections_counter) == 1
    assert_forgotten(worker, route)


def test_the_log_tells_of_a_connection_when_it_is_over(worker: FakeWorker, listener: LiveListener) -> None:
    """Who, where to, how much, how long, and who ended it."""
    client, connection = worker.connect(listener, ("192.0.2.5", 4444))
    client.sends(HELLO)
    worker.wire.pass_time(0.5)
    backend = worker.wire.backend(BACKEND)
    backend.accepts(b"abc")
    worker.wire.pass_time(1.5)
    assert worker.log.connections == []
    assert connection.describe(worker.wire.now).stage == "relay"
    client.ends()
    backend.ends()
    (line,) = worker.log.connections
    assert (line.listener, line.route, line.client, line.sni) == (
        ":8443",
        "app.example",
        "192.0.2.5:4444",
        "app.example",
    )
    assert (line.received, line.sent, line.mode, line.reason) == (len(HELLO), 3, "l4", "client_closed")
    assert [line.dial, line.total] == pytest.approx([0.5, 2.0])


def test_nothing_is_told_when_no_log_is_open(worker: FakeWorker, listener: LiveListener) -> None:
    """The log decides for each connection at its end."""
    worker.log.is_open = False
    client, _, _ = relayed(worker, listener)
    client.resets()
    assert worker.log.connections == []


def test_a_hello_in_pieces_is_peeked_until_it_is_whole(worker: FakeWorker, listener: LiveListener) -> None:
    """The socket wakes the worker only when what is missing has come; nothing is consumed before."""
    client, _ = worker.connect(listener)
    client.sends(HELLO[:3])
    client.sends(HELLO[3:20])
    assert client.sock.lowat == len(HELLO)
    assert worker.wire.happened() == []
    client.sends(HELLO[20:])
    assert worker.wire.happened() == [f"dial {BACKEND}"]
    assert client.sock.lowat == 1
    worker.wire.backend(BACKEND).accepts()
    assert worker.wire.backend(BACKEND).takes() == HELLO


def test_a_hello_that_is_there_at_once_is_dialed_at_once(
    worker: FakeWorker, listener: LiveListener, route: LiveRoute
) -> None:
    """No event of the client is waited for, and no time limit set for a hello."""
    client, _ = worker.connect(listener, sent=HELLO)
    assert worker.wire.happened() == [f"dial {BACKEND}"]
    assert client.sock.options == {}
    client.resets()
    assert worker.refused("client_gone") == 1
    assert_forgotten(worker, route)


def test_a_client_that_ends_with_its_hello_is_heard(worker: FakeWorker, listener: LiveListener) -> None:
    """Epoll tells of the end once, with the hello; the backend gets it behind the bytes."""
    client, _ = worker.connect(listener)
    client.sends(HELLO, then_ends=True)
    backend = worker.wire.backend(BACKEND)
    backend.accepts()
    assert backend.takes() == HELLO
    assert worker.wire.happened() == [f"dial {BACKEND}", f"{BACKEND} half-closed"]


def test_what_a_client_says_while_the_backend_is_dialed_is_passed_on(
    worker: FakeWorker, listener: LiveListener
) -> None:
    """Its end of the stream included."""
    client, _ = worker.connect(listener)
    client.sends(HELLO)
    client.sends(b"early", then_ends=True)
    backend = worker.wire.backend(BACKEND)
    backend.accepts()
    assert backend.takes() == HELLO + b"early"
    assert worker.wire.happened() == [f"dial {BACKEND}", f"{BACKEND} half-closed"]


def test_the_backend_is_told_the_client_in_a_proxy_header(worker: FakeWorker) -> None:
    """Before everything else."""
    route = worker.route("app.example", BACKEND, send_proxy_protocol=True)
    client, _ = worker.connect(worker.listener(route), ("192.0.2.5", 4444))
    client.sends(HELLO)
    backend = worker.wire.backend(BACKEND)
    backend.accepts()
    source, there = ipaddress.ip_address("192.0.2.5").packed, ipaddress.ip_address("192.0.2.7").packed
    assert backend.takes() == encode_v2((source, 4444), (there, 443)) + HELLO


def test_a_unix_socket_is_told_where_the_client_came_in(worker: FakeWorker) -> None:
    """It has no address that a PROXY header could name."""
    route = worker.route("app.example", "/run/backend.sock", send_proxy_protocol=True)
    client, _ = worker.connect(worker.listener(route), ("192.0.2.5", 4444))
    client.sends(HELLO)
    backend = worker.wire.backend("/run/backend.sock")
    backend.accepts()
    source, there = ipaddress.ip_address("192.0.2.5").packed, ipaddress.ip_address("192.0.2.100").packed
    assert backend.takes() == encode_v2((source, 4444), (there, 8443)) + HELLO


def packed(host: str) -> bytes:
    return ipaddress.ip_address(host).packed


RECEIVED = packed("198.51.100.9"), 443
TLVS = ((0xEA, b"vpce-1"),)


@pytest.mark.parametrize("address", [BACKEND, "/run/backend.sock"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_proxy_header_keeps_the_original_destination(worker: FakeWorker, address: str, version: str) -> None:
    """The one of the header received, where the route says so; else where the client came in."""
    route = worker.route(
        "app.example",
        address,
        send_proxy_protocol=True,
        proxy_protocol_destination="original",
        proxy_protocol_version=version,
    )
    encode = encode_v1 if version == "v1" else encode_v2
    source = packed("203.0.113.5"), 4444
    listener = worker.listener(route, proxy_protocol=True)
    for header, expected in (
        (encode_v2(source, RECEIVED, TLVS), encode(source, RECEIVED)),
        (encode_v1(source, RECEIVED), encode(source, RECEIVED)),
        (LOCAL_HEADER, encode((packed("192.0.2.1"), 55555), (packed("192.0.2.100"), 8443))),
    ):
        client, _ = worker.connect(listener)
        client.sends(header + HELLO)
        backend = worker.wire.backend(address)
        backend.accepts()
        assert backend.takes() == expected + HELLO


def test_a_proxy_header_names_the_backend_and_drops_tlvs_by_default(worker: FakeWorker) -> None:
    """Also when a header was received; its TLVs are passed on where the route says so."""
    source, there = (packed("203.0.113.5"), 4444), (packed("192.0.2.7"), 443)
    for tlvs in (False, True):
        route = worker.route("app.example", BACKEND, send_proxy_protocol=True, proxy_protocol_tlvs=tlvs)
        client, _ = worker.connect(worker.listener(route, proxy_protocol=True))
        client.sends(encode_v2(source, RECEIVED, TLVS) + HELLO)
        backend = worker.wire.backend(BACKEND)
        backend.accepts()
        assert backend.takes() == encode_v2(source, there, TLVS if tlvs else ()) + HELLO


def test_a_backend_that_takes_no_whole_proxy_header_is_given_up(worker: FakeWorker) -> None:
    """A part of it would name nobody, or somebody else."""
    route = worker.route("app.example", BACKEND, send_proxy_protocol=True)
    client, _ = worker.connect(worker.listener(route))
    client.sends(HELLO)
    backend = worker.wire.backend(BACKEND)
    backend.sock.room = 5
    backend.accepts()
    assert worker.wire.happened() == [f"dial {BACKEND}", "idle", f"{BACKEND} closed", "client reset"]
    assert worker.refused("backend_refused") == 1


# Refusals: each counts its reason once, resets the client, and is told to the log


def refusals(worker: FakeWorker) -> dict[str, int]:
    return {reason: count for reason in COUNTED if (count := worker.refused(reason))}


def assert_refused(worker: FakeWorker, reason: str, *before: str, route: str = "") -> None:
    assert worker.wire.happened() == [*before, "idle", "client reset"]
    assert refusals(worker) == {reason: 1}
    assert [(line.reason, line.route) for line in worker.log.connections] == [(reason, route)]


def test_a_backend_that_refuses(worker: FakeWorker, listener: LiveListener, route: LiveRoute) -> None:
    """The client is reset: what it has sent reached nobody."""
    client, _ = worker.connect(listener)
    client.sends(HELLO)
    worker.wire.backend(BACKEND).refuses()
    assert worker.wire.happened() == [f"dial {BACKEND}", "idle", f"{BACKEND} closed", "client reset"]
    assert refusals(worker) == {"backend_refused": 1}
    assert [line.route for line in worker.log.connections] == ["app.example"]
    assert_forgotten(worker, route)


def test_a_backend_that_is_silent(worker: FakeWorker, listener: LiveListener, route: LiveRoute) -> None:
    """The connection's time limit is the dial's while it lasts."""
    client, _ = worker.connect(listener)
    client.sends(HELLO)
    worker.wire.pass_time(TIMEOUTS.connect - 0.2)
    assert worker.wire.happened() == [f"dial {BACKEND}"]
    worker.wire.pass_time(0.4)
    assert refusals(worker) == {"backend_timeout": 1}
    assert worker.wire.happened() == ["idle", f"{BACKEND} closed", "client reset"]
    assert_forgotten(worker, route)


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (client_hello("other.example"), "no_route"),
        (client_hello(None), "no_sni"),
        (b"GET / HTTP/1.1\r\n", "plain_http"),
        (b"SSH-2.0-x\r\n", "not_tls"),
    ],
)
def test_a_hello_that_leads_nowhere(worker: FakeWorker, listener: LiveListener, hello: bytes, reason: str) -> None:
    """No backend is dialed."""
    client, _ = worker.connect(listener)
    client.sends(hello)
    assert_refused(worker, reason)
    assert_forgotten(worker)


def test_a_client_that_says_nothing(worker: FakeWorker, listener: LiveListener) -> None:
    """It has the hello's time, however often it sends a part."""
    client, _ = worker.connect(listener)
    worker.wire.pass_time(TIMEOUTS.client_hello - 1)
    client.sends(HELLO[:10])
    assert worker.wire.happened() == []
    worker.wire.pass_time(1.2)
    assert_refused(worker, "hello_timeout")
    assert_forgotten(worker)


@pytest.mark.parametrize(("sent", "reason"), [(0, "client_gone"), (10, "hello_truncated")])
def test_a_client_that_ends_before_its_hello(
    worker: FakeWorker, listener: LiveListener, sent: int, reason: str
) -> None:
    """With nothing sent it is just gone."""
    client, _ = worker.connect(listener)
    client.sends(HELLO[:sent], then_ends=True)
    assert_refused(worker, reason)


def test_a_client_that_resets_while_the_backend_is_dialed(
    worker: FakeWorker, listener: LiveListener, route: LiveRoute
) -> None:
    """The dial is given up with it."""
    client, _ = worker.connect(listener)
    client.sends(HELLO)
    client.resets()
    assert worker.wire.happened() == [f"dial {BACKEND}", "idle", "client reset", f"{BACKEND} closed"]
    assert refusals(worker) == {"client_gone": 1}
    assert_forgotten(worker, route)


def test_the_gate_is_asked_before_the_hello_is_looked_at(worker: FakeWorker, listener: LiveListener) -> None:
    """Its word is the reason."""
    worker.gate.refused[ipaddress.ip_address("192.0.2.1").packed] = "cidr"
    worker.connect(listener)
    assert_refused(worker, "cidr")


# The PROXY header


@pytest.fixture
def behind_proxy(worker: FakeWorker, route: LiveRoute) -> LiveListener:
    return worker.listener(route, proxy_protocol=True, trusted=(f"{PROXY_IP}/32",))


def header(host: str = "198.51.100.9", port: int = 7777) -> bytes:
    return encode_v2((ipaddress.ip_address(host).packed, port), (ipaddress.ip_address("198.51.100.1").packed, 443))


def test_a_trusted_header_says_who_the_client_is(worker: FakeWorker, behind_proxy: LiveListener) -> None:
    """To the gate, the log and operators; the backend gets nothing of it, wherever it was cut."""
    told = header() + HELLO
    client, connection = worker.connect(behind_proxy, (PROXY_IP, 1))
    assert connection.describe(worker.wire.now).stage == "proxy_header"
    for start, end in ((0, 7), (7, 20), (20, 40), (40, len(told))):
        client.sends(told[start:end])
    backend = worker.wire.backend(BACKEND)
    backend.accepts()
    assert backend.takes() == HELLO
    assert connection.describe(worker.wire.now).client == "198.51.100.9:7777"
    client.resets()
    assert [line.client for line in worker.log.connections] == ["198.51.100.9:7777"]


def test_a_hello_that_comes_with_the_rest_of_the_header_is_dialed_at_once(
    worker: FakeWorker, behind_proxy: LiveListener
) -> None:
    """Every byte counts again from then on: the socket no longer waits for as many as the header had."""
    told = header() + HELLO
    client, _ = worker.connect(behind_proxy, (PROXY_IP, 1), sent=told[:20])
    assert client.sock.lowat == len(header())
    client.sends(told[20:])
    assert worker.wire.happened() == [f"dial {BACKEND}"]
    assert client.sock.lowat == 1
    worker.wire.backend(BACKEND).accepts()
    client.sends(b".")
    assert worker.wire.backend(BACKEND).takes() == HELLO + b"."


def test_the_gate_judges_whom_the_header_names(worker: FakeWorker, behind_proxy: LiveListener) -> None:
    """Not the proxy in between."""
    worker.gate.refused[ipaddress.ip_address("198.51.100.9").packed] = "ip"
    client, _ = worker.connect(behind_proxy, (PROXY_IP, 1))
    client.sends(header())
    assert_refused(worker, "ip")


def test_a_peer_that_is_not_trusted_is_refused_unheard(worker: FakeWorker, behind_proxy: LiveListener) -> None:
    """Whatever it would have said."""
    worker.connect(behind_proxy, ("203.0.113.2", 1))
    assert_refused(worker, "untrusted_proxy")


def test_a_header_that_does_not_come(worker: FakeWorker, behind_proxy: LiveListener) -> None:
    """It has a time limit of its own, and the hello has another behind it."""
    worker.connect(behind_proxy, (PROXY_IP, 1))
    worker.wire.pass_time(TIMEOUTS.proxy_header + 0.2)
    assert_refused(worker, "proxy_header_timeout")


def test_a_hello_that_does_not_come_behind_a_header(worker: FakeWorker, behind_proxy: LiveListener) -> None:
    """Its time begins when the header is there."""
    client, _ = worker.connect(behind_proxy, (PROXY_IP, 1))
    worker.wire.pass_time(TIMEOUTS.proxy_header - 0.5)
    client.sends(header())
    worker.wire.pass_time(TIMEOUTS.client_hello - 0.2)
    assert worker.wire.happened() == []
    worker.wire.pass_time(0.4)
    assert_refused(worker, "hello_timeout")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (header()[:20], "proxy_header_truncated"),
        (header(), "client_gone"),
        (header() + HELLO[:9], "hello_truncated"),
    ],
)
def test_a_client_that_ends_amid_header_and_hello(
    worker: FakeWorker, behind_proxy: LiveListener, data: bytes, reason: str
) -> None:
    """The end of the stream may come together with the bytes before it: epoll tells of it once."""
    client, _ = worker.connect(behind_proxy, (PROXY_IP, 1))
    client.sends(data, then_ends=True)
    assert_refused(worker, reason)
    assert_forgotten(worker)


# Health checks of proxies, and clients that come without one

LOCAL_TLVS = LOCAL_HEADER[:14] + b"\0\x07\x04\0\x04abcd"


OF_ITSELF = (packed(PROXY_IP), 1), (packed("192.0.2.100"), 8443)


def health_checks(worker: FakeWorker) -> int:
    return worker.counted(health_counter(0))


@pytest.mark.parametrize(
    "data",
    [b"", LOCAL_HEADER, LOCAL_TLVS, encode_v1(None, None), encode_v1(*OF_ITSELF), LOCAL_HEADER + b"GET / HTTP/1.0\r\n"],
)
@pytest.mark.parametrize("resets", [False, True])
def test_a_proxy_that_looks_whether_somebody_listens_is_no_error(
    worker: FakeWorker, behind_proxy: LiveListener, data: bytes, *, resets: bool
) -> None:
    """It is counted apart, and has no line in the log, however it goes."""
    client, _ = worker.connect(behind_proxy, (PROXY_IP, 1))
    if resets:
        client.sends(data)
        if worker.wire.poller.watched:
            client.resets()
    else:
        client.sends(data, then_ends=True)
    assert refusals(worker) == {}
    assert health_checks(worker) == 1
    assert worker.log.connections == []
    assert_forgotten(worker)


def test_a_health_check_that_stays_is_no_error_either(worker: FakeWorker, behind_proxy: LiveListener) -> None:
    """A proxy's own connection ends after the time of a hello; one that says nothing at all is an error."""
    client, _ = worker.connect(behind_proxy, (PROXY_IP, 1))
    client.sends(LOCAL_HEADER)
    worker.wire.pass_time(TIMEOUTS.client_hello + 0.2)
    assert (refusals(worker), health_checks(worker)) == ({}, 1)
    worker.connect(behind_proxy, (PROXY_IP, 1))
    worker.wire.pass_time(TIMEOUTS.proxy_header + 0.2)
    assert (refusals(worker), health_checks(worker)) == ({"proxy_header_timeout": 1}, 1)


def test_a_health_check_through_tls_is_served_without_a_rate(worker: FakeWorker, behind_proxy: LiveListener) -> None:
    """It reaches the route's backend, whatever the rate of the proxy's address; the rules of the firewall count."""
    worker.gate.refused[packed(PROXY_IP)] = "rate_limit"
    client, _ = worker.connect(behind_proxy, (PROXY_IP, 1))
    client.sends(LOCAL_HEADER + HELLO)
    worker.wire.backend(BACKEND).accepts()
    client.sends(b"", then_ends=True)
    worker.wire.backend(BACKEND).sends(b"", then_ends=True)
    assert (refusals(worker), health_checks(worker)) == ({}, 1)
    assert worker.log.connections == []
    worker.gate.refused[packed(PROXY_IP)] = "ip"
    client, _ = worker.connect(behind_proxy, (PROXY_IP, 1))
    client.sends(LOCAL_HEADER + HELLO)
    assert worker.wire.happened()[-1] == "client reset"


def test_a_client_behind_a_proxy_is_no_health_check(worker: FakeWorker, behind_proxy: LiveListener) -> None:
    """One that a header names and that goes without a byte is counted as before."""
    client, _ = worker.connect(behind_proxy, (PROXY_IP, 1))
    client.sends(header(), then_ends=True)
    assert (refusals(worker), health_checks(worker)) == ({"client_gone": 1}, 0)


def test_untrusted_clients_may_come_without_a_header(worker: FakeWorker, route: LiveRoute) -> None:
    """With untrusted = "direct" they are clients, and a header of theirs is no hello; proxies still need one."""
    listener = worker.listener(route, proxy_protocol=True, trusted=(f"{PROXY_IP}/32",), untrusted="direct")
    client, connection = worker.connect(listener, ("203.0.113.2", 5))
    client.sends(HELLO)
    worker.wire.backend(BACKEND).accepts()
    assert worker.wire.backend(BACKEND).takes() == HELLO
    assert connection.describe(worker.wire.now).client == "203.0.113.2:5"
    client, _ = worker.connect(listener, ("203.0.113.2", 6))
    client.sends(header() + HELLO)
    client, _ = worker.connect(listener, ("203.0.113.2", 7))
    client.sends(b"", then_ends=True)
    client, _ = worker.connect(listener, (PROXY_IP, 8))
    client.sends(HELLO)
    assert refusals(worker) == {"unexpected_proxy_header": 1, "client_gone": 1, "no_proxy_header": 1}
    assert health_checks(worker) == 0


@pytest.mark.parametrize(
    ("family", "size"), [(0x12, 12), (0x22, 36), (0x32, 216)], ids=["UDP4", "UDP6", "UNIX datagram"]
)
def test_a_header_of_a_datagram_family_is_refused(
    worker: FakeWorker, behind_proxy: LiveListener, family: int, size: int
) -> None:
    """No connection has come by UDP; with LOCAL the family means nothing."""
    block = bytes([family, 0, size]) + bytes(size)
    client, _ = worker.connect(behind_proxy, (PROXY_IP, 1))
    client.sends(LOCAL_HEADER[:12] + b"\x20" + block, then_ends=True)
    assert (refusals(worker), health_checks(worker)) == ({}, 1)
    worker.wire.happened()
    client, _ = worker.connect(behind_proxy, (PROXY_IP, 1))
    client.sends(LOCAL_HEADER[:12] + b"\x21" + block + HELLO)
    assert_refused(worker, "bad_proxy_header")


def test_a_header_may_have_as_many_bytes_as_configured(worker: FakeWorker, behind_proxy: LiveListener) -> None:
    """`limits.proxy_header_bytes`, to the byte; it counts for the next connection."""
    there = packed("198.51.100.9"), 443

    def of_size(size: int) -> bytes:
        return encode_v2(there, there, ((0xEA, bytes(size - 28 - 3)),))

    for most, size, refused in ((536, 536, False), (536, 537, True), (4096, 4096, False), (4096, 4097, True)):
        worker.wire.settings.update(TIMEOUTS, msgspec.structs.replace(HTTP, proxy_header_bytes=most))
        assert len(of_size(size)) == size
        client, _ = worker.connect(behind_proxy, (PROXY_IP, 1))
        client.sends(of_size(size) + HELLO)
        assert worker.wire.happened()[-1] == ("client reset" if refused else f"dial {BACKEND}")
    assert refusals(worker) == {"proxy_header_too_large": 2}


# The end of a connection


def test_a_reset_is_passed_on(worker: FakeWorker, listener: LiveListener, route: LiveRoute) -> None:
    """What the other side has got must not look complete."""
    client, backend, _ = relayed(worker, listener)
    backend.sends(b"hello")
    assert client.takes() == b"hello"
    backend.resets()
    assert worker.wire.happened() == ["idle", "client reset", f"{BACKEND} reset"]
    assert [line.reason for line in worker.log.connections] == ["backend_broke_off"]
    assert refusals(worker) == {}
    assert client.takes() == b""
    assert_forgotten(worker, route)


def test_a_backend_that_has_closed_breaks_nothing_off(
    worker: FakeWorker, listener: LiveListener, route: LiveRoute
) -> None:
    """Its kernel answers a reset to whatever still comes from the client, most often the close_notify of TLS."""
    client, backend, _ = relayed(worker, listener)
    backend.sends(b"hello")
    backend.ends()
    assert client.takes() == b"hello"
    backend.resets()
    worker.wire.settle()
    assert [line.reason for line in worker.log.connections] == ["backend_closed"]
    assert refusals(worker) == {}
    assert_forgotten(worker, route)


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_backend_that_ends_without_a_byte_has_failed(
    worker: FakeWorker, listener: LiveListener, route: LiveRoute, how: str
) -> None:
    """So does a port forwarder with nothing behind it, or a program that speaks no TLS."""
    client, backend, _ = relayed(worker, listener)
    if how == "reset":
        backend.resets()
    else:
        backend.ends()
        client.ends()
    worker.wire.settle()
    assert refusals(worker) == {"backend_no_answer": 1}
    assert [line.reason for line in worker.log.connections] == ["backend_no_answer"]
    assert_forgotten(worker, route)


def test_a_client_that_resets_is_no_failure_of_the_backend(worker: FakeWorker, listener: LiveListener) -> None:
    """Whoever breaks off is told apart, and only a backend is to be counted here."""
    client, _, _ = relayed(worker, listener)
    client.resets()
    worker.wire.settle()
    assert refusals(worker) == {}
    assert [line.reason for line in worker.log.connections] == ["client_broke_off"]


def test_a_connection_where_nothing_moves_is_closed(
    worker: FakeWorker, listener: LiveListener, route: LiveRoute
) -> None:
    """The idle time begins anew with every byte, whoever sends it."""
    client, backend, _ = relayed(worker, listener)
    for side in (client, backend):
        worker.wire.pass_time(TIMEOUTS.idle - 1)
        side.sends(b".")
    worker.wire.pass_time(TIMEOUTS.idle - 1)
    assert worker.wire.happened() == []
    worker.wire.pass_time(1.2)
    assert worker.wire.happened() == ["idle", "client closed", f"{BACKEND} closed"]
    assert [line.reason for line in worker.log.connections] == ["idle_timeout"]
    assert_forgotten(worker, route)


@pytest.mark.parametrize(("idle", "connect"), [(TIMEOUTS.idle * 3, UNSET), (0.25, UNSET), (0.25, 90.0), (5.0, 0.5)])
def test_a_route_may_have_its_own_idle_time(worker: FakeWorker, idle: float, connect: float | UnsetType) -> None:
    """Longer or shorter than that of the settings, and than the time to connect."""
    route = worker.route("app.example", BACKEND, idle_timeout=idle, connect_timeout=connect)
    client, _, _ = relayed(worker, worker.listener(route))
    worker.wire.pass_time(idle * 0.8)
    client.sends(b".")
    worker.wire.pass_time(idle * 0.8)
    assert worker.wire.happened() == []
    worker.wire.pass_time(idle * 0.2 + 0.5)
    assert worker.wire.happened() == ["idle", "client closed", f"{BACKEND} closed"]
    assert [line.reason for line in worker.log.connections] == ["idle_timeout"]
    assert_forgotten(worker, route)


def test_a_route_without_idle_time_keeps_connections_for_ever(worker: FakeWorker) -> None:
    """Until they end, or are drained."""
    route = worker.route("app.example", BACKEND, idle_timeout=0.0)
    client, backend, connection = relayed(worker, worker.listener(route))
    worker.wire.pass_time(1000 * TIMEOUTS.idle)
    assert worker.wire.happened() == []
    client.sends(b"still here")
    assert backend.takes() == b"still here"
    connection.drain(worker.wire.now + 30)
    worker.wire.pass_time(31)
    assert worker.wire.happened() == ["idle", "client closed", f"{BACKEND} closed"]
    assert [line.reason for line in worker.log.connections] == ["drained"]
    assert_forgotten(worker, route)


@pytest.mark.parametrize(("idle", "half_closed"), [(0.0, 20.0), (500.0, 0.3), (500.0, 20.0), (20.0, 500.0)])
@pytest.mark.parametrize("ends", ["client", "backend"])
def test_a_half_closed_connection_has_a_limit_of_its_own(
    worker: FakeWorker, idle: float, half_closed: float, ends: str
) -> None:
    """From the last byte on, whichever side has ended, and however long the connection has lived; or the idle time."""
    worker.wire.settings.update(msgspec.structs.replace(TIMEOUTS, half_closed=half_closed), HTTP)
    route = worker.route("app.example", BACKEND, idle_timeout=idle)
    client, backend, connection = relayed(worker, worker.listener(route))
    limit = min(half_closed, idle or half_closed)
    for _ in range(3):
        worker.wire.pass_time((idle or 1000) * 0.7)
        client.sends(b".")
    assert connection.describe(worker.wire.now).stage == "relay"
    first, other = (client, backend) if ends == "client" else (backend, client)
    first.sends(b"", then_ends=True)
    assert connection.describe(worker.wire.now).stage == "half_closed"
    worker.wire.pass_time(limit * 0.5)
    other.sends(b".")
    assert first.takes()[-1:] == b"."
    worker.wire.happened()
    worker.wire.pass_time(limit * 0.5)
    assert worker.wire.happened() == []
    worker.wire.pass_time(limit * 0.5 + 0.2)
    assert worker.wire.happened() == ["idle", "client closed", f"{BACKEND} closed"]
    expected = "half_closed_timeout" if limit == half_closed else "idle_timeout"
    assert [line.reason for line in worker.log.connections] == [expected]
    assert_forgotten(worker, route)


def test_a_route_may_have_its_own_time_to_connect(worker: FakeWorker) -> None:
    """Another route to the same backend has that of the settings."""
    quick = worker.route("quick.example", BACKEND, connect_timeout=TIMEOUTS.connect / 2)
    slow = worker.route("slow.example", BACKEND)
    listener = worker.listener(quick, slow)
    for route in (quick, slow):
        client, _ = worker.connect(listener)
        client.sends(client_hello(route.entry.route.hostname))
    worker.wire.pass_time(TIMEOUTS.connect / 2 + 0.2)
    assert refusals(worker) == {"backend_timeout": 1}
    assert (worker.counted(quick.active_counter), worker.counted(slow.active_counter)) == (0, 1)
    worker.wire.pass_time(TIMEOUTS.connect / 2)
    assert refusals(worker) == {"backend_timeout": 2}
    assert_forgotten(worker, quick, slow)


def test_a_drained_connection_may_finish(worker: FakeWorker, listener: LiveListener, route: LiveRoute) -> None:
    """It counts as draining until then."""
    client, backend, connection = relayed(worker, listener)
    connection.drain(worker.wire.now + 30)
    assert worker.counted(PROCESS_DRAINING) == 1
    worker.wire.pass_time(29)
    client.ends()
    backend.ends()
    assert [line.reason for line in worker.log.connections] == ["client_closed"]
    assert_forgotten(worker, route)


@pytest.mark.parametrize("stage", ["hello", "dial", "relay"])
def test_a_drained_connection_is_closed_at_the_limit(worker: FakeWorker, stage: str) -> None:
    """In every stage; draining twice makes no difference but an earlier limit."""
    worker.wire.settings.update(msgspec.structs.replace(TIMEOUTS, client_hello=90, connect=90, idle=90), HTTP)
    route = worker.route("app.example", BACKEND)
    client, connection = worker.connect(worker.listener(route))
    if stage != "hello":
        client.sends(HELLO)
    if stage == "relay":
        worker.wire.backend(BACKEND).accepts()
    assert connection.describe(worker.wire.now).stage == stage
    connection.drain(worker.wire.now + 30)
    connection.drain(worker.wire.now + 20)
    connection.drain(worker.wire.now + 40)
    worker.wire.pass_time(19.5)
    assert worker.registry.connections == {connection}
    worker.wire.pass_time(1)
    assert [line.reason for line in worker.log.connections] == ["hello_timeout" if stage == "hello" else "drained"]
    assert_forgotten(worker, route)


def test_a_connection_is_closed_when_its_route_is(worker: FakeWorker, listener: LiveListener, route: LiveRoute) -> None:
    """For the reason that is given."""
    _, _, connection = relayed(worker, listener)
    connection.close("route_removed")
    worker.wire.settle()
    assert [line.reason for line in worker.log.connections] == ["route_removed"]
    assert_forgotten(worker, route)


def test_operators_can_ask_for_connections_of_a_listener_and_route(
    worker: FakeWorker, listener: LiveListener, route: LiveRoute
) -> None:
    """An empty name stands for any; a connection without a route belongs to none."""
    _, waiting = worker.connect(listener)
    assert [waiting.belongs_to(addr, name) for addr in ("", ":8443", ":1") for name in ("", "app.example")] == [
        *(True, False),
        *(True, False),
        *(False, False),
    ]
    assert waiting.route_index is None
    _, _, joined = relayed(worker, listener)
    assert [joined.belongs_to("", name) for name in ("", "app.example", "other.example")] == [True, True, False]
    assert joined.route_index == route.entry.index


@pytest.mark.parametrize("stage", ["hello", "dial", "relay", "handshake", "session"])
def test_a_connection_whose_time_limit_fails_is_reset(
    worker: FakeWorker, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """In every stage; the fault is told, and nothing of the connection is left."""
    mode = "l7" if stage in ("handshake", "session") else "l4"
    route = worker.route("app.example", BACKEND, mode=mode)
    client, connection = worker.connect(worker.listener(route))
    if stage != "hello":
        client.sends(HELLO)
    if stage == "relay":
        worker.wire.backend(BACKEND).accepts()
    if stage == "session":
        worker.wire.loop.handshake("client").succeeds("h2")
    worker.wire.happened()

    def broken(_self: Connection, _now: float) -> float | None:
        raise ValueError("a bug")

    monkeypatch.setattr(Connection, "on_deadline", broken)
    worker.wire.deadlines.set(connection, worker.wire.now + 1)
    worker.wire.pass_time(1.2)
    lines = worker.wire.happened()
    assert lines[0] == "fault: ValueError('a bug')"
    assert "idle" in lines
    if stage != "handshake":  # there the loop closes the socket
        assert "client reset" in lines
    if stage in ("dial", "relay"):
        assert f"{BACKEND} {'reset' if stage == 'relay' else 'closed'}" in lines
    assert_forgotten(worker, route)


# L7: the socket goes to the event loop


def test_a_terminated_connection_hands_the_untouched_hello_to_tls(worker: FakeWorker) -> None:
    """Nothing of it is consumed; what ALPN chose is spoken from then on."""
    route = worker.route("app.example", BACKEND, mode="l7")
    client, connection = worker.connect(worker.listener(route))
    client.sends(HELLO)
    assert worker.wire.happened() == ["client handshake"]
    assert bytes(client.sock.incoming) == HELLO
    assert connection.describe(worker.wire.now).stage == "handshake"
    worker.wire.loop.handshake("client").succeeds("http/1.1")
    assert connection.describe(worker.wire.now).stage == "http/1.1"
    peer = worker.wire.peer("client")
    peer.sends(b"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n")
    (exchange,) = worker.pool.acquired
    peer.is_gone()
    assert worker.pool.acquired == []
    assert worker.pool.abandoned == [exchange]
    assert worker.log.connections == []
    assert_forgotten(worker, route)


def test_no_handshake_is_begun_with_a_client_that_is_gone(worker: FakeWorker) -> None:
    """It may have sent a whole hello before: a flood of these costs a look at each."""
    route = worker.route("app.example", BACKEND, mode="l7")
    client, _ = worker.connect(worker.listener(route))
    client.sends(HELLO, then_ends=True)
    assert "client handshake" not in worker.wire.happened()
    assert worker.refused("client_gone") == 1
    assert worker.wire.loop.transports == {}


def test_a_terminated_connection_is_closed_with_its_route(worker: FakeWorker) -> None:
    """Its requests tell the reason; there is no line of the connection beside theirs."""
    route = worker.route("app.example", BACKEND, mode="l7")
    client, connection = worker.connect(worker.listener(route), sent=HELLO)
    worker.wire.loop.handshake(client.name).succeeds("http/1.1")
    worker.wire.peer("client").sends(b"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n")
    worker.wire.happened()
    connection.close("route_removed")
    worker.wire.settle()
    assert worker.wire.happened() == ["client reset", "idle"]
    assert [reason for *_, reason in worker.log.requests] == ["route_removed"]
    assert worker.log.connections == []
    assert_forgotten(worker, route)


@pytest.mark.parametrize(("error", "reason"), [(TimeoutError(), "tls_timeout"), (ConnectionResetError(), "tls_failed")])
def test_a_failed_handshake_counts_as_a_refusal(worker: FakeWorker, error: Exception, reason: str) -> None:
    """The loop has closed the socket."""
    route = worker.route("app.example", BACKEND, mode="l7")
    client, _ = worker.connect(worker.listener(route))
    client.sends(HELLO)
    worker.wire.loop.handshake("client").fails(error)
    assert refusals(worker) == {reason: 1}
    assert [line.reason for line in worker.log.connections] == [reason]
    assert_forgotten(worker, route)


# Listeners for tcp


@pytest.fixture
def every(worker: FakeWorker) -> LiveRoute:
    return worker.route("*", BACKEND)


def test_the_backend_of_a_tcp_listener_may_speak_first(worker: FakeWorker, every: LiveRoute) -> None:
    """It is dialed before the client has sent a byte, and what each of them sends is passed on as it comes."""
    client, _ = worker.connect(worker.listener(every, protocol="tcp"))
    backend = worker.wire.backend(BACKEND)
    backend.accepts()
    backend.sends(b"220 mail\r\n")
    assert client.takes() == b"220 mail\r\n"
    client.sends(b"QUIT\r\n")
    assert backend.takes() == b"QUIT\r\n"
    backend.ends()
    client.ends()
    (line,) = worker.log.connections
    assert (line.route, line.sni, line.mode, line.received, line.sent) == ("*", "", "l4", 6, 10)
    assert line.reason == "backend_closed"
    worker.wire.happened()
    assert_forgotten(worker, every)


def test_a_tcp_listener_passes_on_whatever_comes(worker: FakeWorker, every: LiveRoute) -> None:
    """A hello, a byte that begins none, a PROXY header that nobody has asked for; also when it came before the backend was there."""
    for number, data in enumerate((HELLO, b"\x16", b"GET / HTTP/1.0\r\n\r\n", LOCAL_HEADER), 1):
        client, _ = worker.connect(worker.listener(every, protocol="tcp"), sent=data)
        backend = worker.wire.backend(BACKEND)
        backend.accepts()
        assert backend.takes() == data
        client.ends()
        backend.ends()
        assert worker.counted(every.connections_counter) == number
    worker.wire.happened()
    assert_forgotten(worker, every)


def test_a_proxy_header_comes_before_all_else_on_a_tcp_listener(worker: FakeWorker) -> None:
    """It is consumed, and names the client to the backend; what follows it is not read here."""
    route = worker.route("*", BACKEND, send_proxy_protocol=True)
    listener = worker.listener(route, proxy_protocol=True, protocol="tcp")
    client, _ = worker.connect(listener, (PROXY_IP, 4444))
    assert worker.wire.happened() == []
    source = (ipaddress.ip_address("198.51.100.9").packed, 1234)
    header = encode_v2(source, (ipaddress.ip_address("198.51.100.1").packed, 25))
    client.sends(header[:5])
    client.sends(header[5:] + b"EHLO\r\n")
    backend = worker.wire.backend(BACKEND)
    backend.accepts()
    assert backend.takes().endswith(b"EHLO\r\n")
    backend.sends(b"250\r\n")
    assert client.takes() == b"250\r\n"


def test_a_tcp_listener_without_its_route_resets(worker: FakeWorker) -> None:
    """A runtime edit may have removed it."""
    worker.connect(worker.listener(protocol="tcp"))
    assert_refused(worker, "no_route")
    assert_forgotten(worker)


@pytest.mark.parametrize("before", ["tls", "http"])
@pytest.mark.parametrize(
    ("after", "data"), [("tls", HELLO), ("http", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"), ("tcp", b"EHLO a\r\n")]
)
def test_what_a_silent_client_says_is_read_as_its_listener_has_it_by_then(
    worker: FakeWorker, before: ListenerProtocol, after: ListenerProtocol, data: bytes
) -> None:
    """It was there before the listener's protocol changed."""
    l4, l7 = worker.route("*", BACKEND), worker.route("*", BACKEND, mode="l7", clear=True)
    listener = worker.listener(l7 if before == "http" else l4, protocol=before)
    client, _ = worker.connect(listener)
    route = l7 if after == "http" else l4
    listener.update(ListenerEntry(0, Listener(":8443", protocol=after), 0, (route.entry,)), {"*": route})
    client.sends(data)
    assert (f"dial {BACKEND}" in worker.wire.happened()) is (after != "http")
    assert len(worker.pool.acquired) == (after == "http")
