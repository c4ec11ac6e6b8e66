"""Dialing: addresses race, each for the connect timeout at most, and whoever asked gets one answer."""

import errno
import socket

import pytest

from mcproxy.model.values.endpoint import Endpoint
from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory.histogram import SUM
from mcproxy.net.memory.shared_memory import LISTENER_DIAL_SECONDS, histogram_counter
from mcproxy.net.sockets import PlainSocket
from mcproxy.worker.backends.dial import Dial
from mcproxy.worker.backends.target import Target
from tests.support.fake_wire import FakeSocket, Wire, inet
from tests.support.fake_worker import HTTP, TIMEOUTS

HISTOGRAM = histogram_counter(0, LISTENER_DIAL_SECONDS)
CONNECT = TIMEOUTS.connect


class Owner:
    """Tells what it hears, as lines of the wire."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.sockets: list[PlainSocket] = []
        self.failures: list[Failure] = []

    def on_connected(self, sock: PlainSocket, mask: int) -> None:
        self.sockets.append(sock)
        self.wire.note("connected")

    def on_dial_failed(self, failure: Failure) -> None:
        self.failures.append(failure)
        self.wire.note(f"failed: {failure.reason}")


@pytest.fixture
def wire() -> Wire:
    made = Wire()
    made.settings.update(TIMEOUTS, HTTP)
    return made


@pytest.fixture
def owner(wire: Wire) -> Owner:
    return Owner(wire)


def dial(wire: Wire, owner: Owner, *endpoints: Endpoint) -> Dial:
    made = Dial(wire.dial_tools, owner, tuple(Target(endpoint) for endpoint in endpoints), HISTOGRAM)
    made.start()
    wire.settle()
    return made


FIRST, SECOND = Endpoint("192.0.2.1", 443), Endpoint("192.0.2.2", 443)
NAME = Endpoint("backend.example", 443)


def test_the_first_address_answers(wire: Wire, owner: Owner) -> None:
    """The owner gets the socket, still watched and without Nagle's delay; no time limit is left behind."""
    made = dial(wire, owner, FIRST, SECOND)
    assert wire.happened() == ["dial 192.0.2.1:443"]
    backend = wire.backend("192.0.2.1:443")
    wire.pass_time(0.2)
    backend.accepts()
    assert wire.happened() == ["connected"]
    assert owner.sockets == [backend.sock.as_plain()]
    assert made.bucket == 0
    assert backend.sock.fileno() in wire.poller.watched
    assert backend.sock.options[socket.IPPROTO_TCP, socket.TCP_NODELAY] == 1
    wire.pass_time(2 * CONNECT)
    assert wire.happened() == []


def test_a_connection_belongs_to_the_owner_from_then_on(wire: Wire, owner: Owner) -> None:
    """Giving up a dial that has succeeded changes nothing."""
    made = dial(wire, owner, FIRST)
    wire.backend("192.0.2.1:443").accepts()
    made.cancel()
    wire.settle()
    assert wire.happened() == ["dial 192.0.2.1:443", "connected"]


def test_the_time_it_took_is_counted(wire: Wire, owner: Owner) -> None:
    """From the start on, attempts that failed included."""
    dial(wire, owner, FIRST, SECOND)
    wire.pass_time(0.25)
    wire.backend("192.0.2.1:443").refuses()
    wire.pass_time(0.5)
    wire.backend("192.0.2.2:443").accepts()
    assert wire.counters[HISTOGRAM + SUM] == pytest.approx(750_000, abs=1)
    assert sum(wire.counters[HISTOGRAM : HISTOGRAM + SUM]) == 1


def test_a_refusal_leads_to_the_next_address(wire: Wire, owner: Owner) -> None:
    """At once; the socket of the one before is closed."""
    dial(wire, owner, FIRST, SECOND)
    wire.backend("192.0.2.1:443").refuses()
    assert wire.happened() == ["dial 192.0.2.1:443", "dial 192.0.2.2:443", "192.0.2.1:443 closed"]
    wire.backend("192.0.2.2:443").refuses()
    assert wire.happened() == ["failed: backend_refused", "192.0.2.2:443 closed"]


def test_silence_leads_to_the_next_address(wire: Wire, owner: Owner) -> None:
    """After 250 ms; the first one goes on meanwhile, and may still win."""
    dial(wire, owner, FIRST, SECOND)
    wire.pass_time(0.2)
    assert wire.happened() == ["dial 192.0.2.1:443"]
    wire.pass_time(0.2)
    assert wire.happened() == ["dial 192.0.2.2:443"]
    wire.pass_time(CONNECT - 1)
    assert wire.happened() == []
    wire.backend("192.0.2.1:443").accepts()
    assert wire.happened() == ["connected", "192.0.2.2:443 closed"]
    assert owner.sockets == [wire.backend("192.0.2.1:443").sock.as_plain()]
    wire.pass_time(2 * CONNECT)
    assert wire.happened() == []


def test_each_address_has_the_connect_timeout(wire: Wire, owner: Owner) -> None:
    """From when it was begun; the dial ends with the last."""
    dial(wire, owner, FIRST, SECOND)
    wire.pass_time(CONNECT + 0.1)
    assert wire.happened() == ["dial 192.0.2.1:443", "dial 192.0.2.2:443", "192.0.2.1:443 closed"]
    wire.pass_time(0.4)
    assert wire.happened() == ["failed: backend_timeout", "192.0.2.2:443 closed"]


def test_four_addresses_at_once(wire: Wire, owner: Owner) -> None:
    """More silent ones wait until one of these has failed."""
    dial(wire, owner, *(Endpoint(f"192.0.2.{number}", 443) for number in range(1, 7)))
    wire.pass_time(CONNECT - 0.2)
    assert wire.happened() == [f"dial 192.0.2.{number}:443" for number in (1, 2, 3, 4)]
    wire.backend("192.0.2.3:443").refuses()
    assert wire.happened() == ["dial 192.0.2.5:443", "192.0.2.3:443 closed"]
    wire.pass_time(0.4)
    assert wire.happened() == ["dial 192.0.2.6:443", "192.0.2.1:443 closed"]
    wire.backend("192.0.2.6:443").accepts()
    assert sorted(wire.happened()) == [
        "192.0.2.2:443 closed",
        "192.0.2.4:443 closed",
        "192.0.2.5:443 closed",
        "connected",
    ]
    assert len(wire.poller.watched) == 1


def test_an_address_that_was_slower_comes_last_for_a_while(wire: Wire, owner: Owner) -> None:
    """For 30 s the next dials begin with the one that answered; then one dial tries, while the others still do not."""
    dial(wire, owner, FIRST, SECOND)
    wire.pass_time(0.4)
    wire.backend("192.0.2.2:443").accepts()
    wire.happened()
    for _ in range(2):
        dial(wire, owner, FIRST, SECOND)
        assert wire.happened() == ["dial 192.0.2.2:443"]
        wire.backend("192.0.2.2:443").accepts()
        assert wire.happened() == ["connected"]
    wire.pass_time(30)
    dial(wire, owner, FIRST, SECOND)
    assert wire.happened() == ["dial 192.0.2.1:443"]
    dial(wire, owner, FIRST, SECOND)
    assert wire.happened() == ["dial 192.0.2.2:443"]
    wire.backend("192.0.2.1:443").accepts()
    dial(wire, owner, FIRST, SECOND)
    assert wire.happened() == ["connected", "dial 192.0.2.1:443"]


def test_an_address_that_refused_is_tried_all_the_same(wire: Wire, owner: Owner) -> None:
    """After all others; alone, as if nothing had happened."""
    dial(wire, owner, FIRST)
    wire.backend("192.0.2.1:443").refuses()
    wire.happened()
    dial(wire, owner, FIRST, SECOND)
    wire.backend("192.0.2.2:443").refuses()
    assert wire.happened() == ["dial 192.0.2.2:443", "dial 192.0.2.1:443", "192.0.2.2:443 closed"]
    dial(wire, owner, FIRST)
    assert wire.happened() == ["dial 192.0.2.1:443"]


def test_an_owner_with_time_limits_of_its_own_passes_the_question_on(wire: Wire, owner: Owner) -> None:
    """A dial whose limits are set for another asks for nothing itself, and goes on when that one is asked."""

    class Timed:
        bucket = 0

        def on_deadline(self, now: float) -> float | None:
            return made.on_deadline(now)

        def on_fault(self) -> None:
            made.on_fault()

    made = Dial(wire.dial_tools, owner, (Target(FIRST), Target(SECOND)), HISTOGRAM, Timed())
    made.start()
    assert made.bucket == 0
    wire.pass_time(CONNECT + 0.1)
    assert wire.happened() == ["dial 192.0.2.1:443", "dial 192.0.2.2:443", "192.0.2.1:443 closed"]
    wire.pass_time(0.4)
    assert wire.happened() == ["failed: backend_timeout", "192.0.2.2:443 closed"]


def test_a_connection_that_fails_at_once_leads_to_the_next_address(wire: Wire, owner: Owner) -> None:
    """No route to the host, for one."""
    wire.failing["192.0.2.1:443"] = errno.ENETUNREACH
    dial(wire, owner, FIRST, SECOND)
    assert wire.happened() == ["dial 192.0.2.1:443", "192.0.2.1:443 closed", "dial 192.0.2.2:443"]
    wire.failing["192.0.2.2:443"] = errno.ENETUNREACH
    dial(wire, owner, SECOND)
    assert wire.happened() == ["dial 192.0.2.2:443", "192.0.2.2:443 closed", "failed: backend_refused"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        *((code, "no_resources") for code in (errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN)),
        *((code, "backend_refused") for code in (errno.EHOSTUNREACH, errno.EACCES, errno.ECONNREFUSED)),
        (errno.ETIMEDOUT, "backend_timeout"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_what_is_lacking_here_is_no_refusal(wire: Wire, owner: Owner, code: int, reason: str, *, late: bool) -> None:
    """Ports, buffers and memory are the proxy's own, whether connect(2) says so or the socket later."""
    if late:
        dial(wire, owner, FIRST)
        wire.backend("192.0.2.1:443").refuses(code)
    else:
        wire.failing["192.0.2.1:443"] = code
        dial(wire, owner, FIRST)
    assert f"failed: {reason}" in wire.happened()


def test_want_of_ports_does_not_count_against_the_backend(wire: Wire, owner: Owner) -> None:
    """The next address is tried at once; the first one comes first again in the next dial."""
    wire.failing["192.0.2.1:443"] = errno.EADDRNOTAVAIL
    for _ in range(2):
        dial(wire, owner, FIRST, SECOND)
        assert wire.happened() == ["dial 192.0.2.1:443", "192.0.2.1:443 closed", "dial 192.0.2.2:443"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [(errno.EMFILE, "no_resources"), (errno.ENFILE, "no_resources"), (errno.EAFNOSUPPORT, "backend_refused")],
)
def test_no_socket_to_be_had(wire: Wire, owner: Owner, code: int, reason: str) -> None:
    """What the system lacks is told apart from what it does not know."""
    wire.no_sockets = code
    dial(wire, owner, FIRST, SECOND)
    assert wire.happened() == [f"failed: {reason}"]


def test_nothing_to_dial(wire: Wire, owner: Owner) -> None:
    """No target is a failure, too, not silence."""
    dial(wire, owner)
    assert wire.happened() == ["failed: backend_dns"]


def test_a_name_is_looked_up_and_all_its_addresses_are_tried(wire: Wire, owner: Owner) -> None:
    """In the order of the answer, before the next endpoint."""
    dial(wire, owner, NAME, FIRST)
    assert wire.happened() == ["look up backend.example"]
    wire.answer("backend.example", inet("[2001:db8::1]:443", "192.0.2.9:443"))
    assert wire.happened() == ["dial [2001:db8::1]:443"]
    wire.backend("[2001:db8::1]:443").refuses(errno.EHOSTUNREACH)
    wire.backend("192.0.2.9:443").refuses()
    assert wire.happened() == [
        "dial 192.0.2.9:443",
        "[2001:db8::1]:443 closed",
        "dial 192.0.2.1:443",
        "192.0.2.9:443 closed",
    ]


def test_a_name_without_an_answer_leads_to_the_next_endpoint(wire: Wire, owner: Owner) -> None:
    """A failed lookup costs no more than itself."""
    dial(wire, owner, NAME, FIRST)
    wire.answer("backend.example", ())
    assert wire.happened() == ["look up backend.example", "dial 192.0.2.1:443"]


def test_a_name_that_nobody_knows(wire: Wire, owner: Owner) -> None:
    """As the last target it is the reason."""
    wire.names["backend.example"] = ()
    dial(wire, owner, NAME)
    assert wire.happened() == ["look up backend.example", "failed: backend_dns"]


def test_an_endpoint_does_not_wait_for_the_name_of_another(wire: Wire, owner: Owner) -> None:
    """It is dialed after 250 ms; the addresses of the name join the race when they come."""
    dial(wire, owner, NAME, FIRST, SECOND)
    wire.pass_time(0.2)
    assert wire.happened() == ["look up backend.example"]
    wire.pass_time(0.2)
    assert wire.happened() == ["dial 192.0.2.1:443"]
    wire.answer("backend.example", inet("192.0.2.9:443"))
    assert wire.happened() == ["dial 192.0.2.9:443"]
    wire.pass_time(0.3)
    assert wire.happened() == ["dial 192.0.2.2:443"]
    wire.backend("192.0.2.9:443").accepts()
    assert wire.happened() == ["connected", "192.0.2.1:443 closed", "192.0.2.2:443 closed"]


def test_a_lookup_has_the_connect_timeout(wire: Wire, owner: Owner) -> None:
    """A dead DNS server ends the dial when nothing else is left; its answer comes too late for anything."""
    dial(wire, owner, NAME)
    wire.pass_time(CONNECT - 0.2)
    assert wire.happened() == ["look up backend.example"]
    wire.pass_time(0.4)
    assert wire.happened() == ["failed: backend_dns"]
    wire.answer("backend.example", inet("192.0.2.9:443"))
    assert wire.happened() == []


def test_a_dial_may_have_a_time_limit_of_its_own(wire: Wire, owner: Owner) -> None:
    """In place of the settings' one, for each address."""
    targets = tuple(map(Target, (FIRST, SECOND)))
    Dial(wire.dial_tools, owner, targets, HISTOGRAM, connect_timeout=3 * CONNECT).start()
    wire.pass_time(3 * CONNECT - 0.2)
    assert wire.happened() == ["dial 192.0.2.1:443", "dial 192.0.2.2:443"]
    wire.pass_time(0.3)
    assert wire.happened() == ["192.0.2.1:443 closed"]
    wire.pass_time(0.4)
    assert wire.happened() == ["failed: backend_timeout", "192.0.2.2:443 closed"]


def test_a_busy_unix_socket_is_tried_again(wire: Wire, owner: Owner) -> None:
    """Its queue is full (EAGAIN): connected as soon as there is room, within the connect timeout."""
    path = "/run/backend.sock"
    wire.failing[path] = errno.EAGAIN
    dial(wire, owner, Endpoint(path=path))
    wire.pass_time(CONNECT - 0.3)
    assert set(wire.happened()) == {f"dial {path}"}
    del wire.failing[path]
    wire.pass_time(0.2)
    assert wire.happened() == [f"dial {path}"]
    wire.backend(path).accepts()
    assert wire.happened() == ["connected"]


def test_a_unix_socket_that_stays_busy_is_a_timeout(wire: Wire, owner: Owner) -> None:
    """And one that goes away meanwhile a refusal; another endpoint is dialed after 250 ms."""
    path = "/run/backend.sock"
    wire.failing[path] = errno.EAGAIN
    dial(wire, owner, Endpoint(path=path))
    wire.pass_time(CONNECT + 0.2)
    assert wire.happened()[-2:] == ["failed: backend_timeout", f"{path} closed"]
    dial(wire, owner, Endpoint(path=path))
    wire.failing[path] = errno.ECONNREFUSED
    wire.pass_time(0.2)
    assert wire.happened()[-2:] == ["failed: backend_refused", f"{path} closed"]
    wire.failing[path] = errno.EAGAIN
    wire.pass_time(60)
    dial(wire, owner, Endpoint(path=path), FIRST)
    wire.pass_time(0.4)
    assert "dial 192.0.2.1:443" in wire.happened()
    wire.backend("192.0.2.1:443").accepts()
    assert wire.happened() == ["connected", f"{path} closed"]


def test_a_unix_socket_is_dialed_by_its_path(wire: Wire, owner: Owner) -> None:
    """It has no Nagle's algorithm to be switched off."""
    dial(wire, owner, Endpoint(path="/run/backend.sock"))
    backend = wire.backend("/run/backend.sock")
    backend.accepts()
    assert wire.happened() == ["dial /run/backend.sock", "connected"]
    assert backend.sock.family == socket.AF_UNIX
    assert backend.sock.options == {}


@pytest.mark.parametrize("waits", ["for DNS", "for a connection"])
def test_whoever_gives_up_hears_nothing_more(wire: Wire, owner: Owner, waits: str) -> None:
    """What was under way is closed; answers that come later change nothing."""
    made = dial(wire, owner, NAME if waits == "for DNS" else FIRST, SECOND)
    wire.happened()
    made.cancel()
    wire.settle()
    assert wire.happened() == ([] if waits == "for DNS" else ["192.0.2.1:443 closed"])
    if waits == "for DNS":
        wire.answer("backend.example", inet("192.0.2.9:443"))
    wire.pass_time(3 * CONNECT)
    assert wire.happened() == []
    assert not wire.poller.watched


def test_a_backend_that_answers_and_closes_at_once_is_connected(wire: Wire, owner: Owner) -> None:
    """End-of-file is no failure of the dial: what was sent before it is the owner's."""
    dial(wire, owner, FIRST)
    backend = wire.backend("192.0.2.1:443")
    sock: FakeSocket = backend.sock
    sock.connected = True
    backend.sends(b"sorry", then_ends=True)
    assert wire.happened() == ["dial 192.0.2.1:443", "connected"]
    assert sock.recv(100) == b"sorry"


def test_a_time_limit_that_fails_ends_the_dial(wire: Wire, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here because the poller does not take the next socket: the owner hears of it, nothing stays open."""
    dial(wire, owner, FIRST, SECOND)
    wire.happened()

    def watch(_fd: int, _handler: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(wire.poller, "watch", watch)
    wire.pass_time(CONNECT + 0.2)
    assert wire.happened() == [
        "dial 192.0.2.2:443",
        "fault: ValueError('a bug')",
        "failed: backend_refused",
        "192.0.2.1:443 closed",
        "192.0.2.2:443 closed",
    ]
    wire.pass_time(2 * CONNECT)
    assert wire.happened() == []
