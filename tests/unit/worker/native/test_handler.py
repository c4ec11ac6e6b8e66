"""What Python does with the records of the native core: it goes on where the core was, and nothing is counted twice."""

import errno

import pytest

from mcproxy.net.loop.poller import HANGUP
from mcproxy.net.memory.endpoints import DIAL_FAILURES
from mcproxy.net.memory.shared_memory import PROCESS_DRAINING
from mcproxy.net.native import records
from mcproxy.net.native.records import (
    ASK_GATE,
    CHOOSE,
    CLIENT_FIRST,
    CONNECTED,
    COUNTED,
    DECLINED,
    DIAL_FAILED,
    DRAINING,
    ENDED,
    ENTERED,
    EXACT,
    JOINED,
    LATE_RESET,
    LOGGED,
    OVER_LIMIT,
    TABLE_FREED,
)
from mcproxy.worker.live.listener import LiveListener, LiveRoute
from mcproxy.worker.native.handler import Handler
from mcproxy.worker.native.names import reason_number
from tests.support.fake_core import FakeCore
from tests.support.fake_upstreams import FakeUpstreams
from tests.support.fake_worker import FakeWorker
from tests.support.tls import client_hello

HELLO = client_hello("app.example")
BACKEND = "192.0.2.7:443"


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def route(worker: FakeWorker) -> LiveRoute:
    return worker.route("app.example", BACKEND)


@pytest.fixture
def web(worker: FakeWorker) -> LiveRoute:
    """Return a route that leads to an upstream."""
    return worker.route("web.example")


@pytest.fixture
def upstreams(worker: FakeWorker, web: LiveRoute) -> FakeUpstreams:
    made = FakeUpstreams(worker)
    web.lead_to(made.make("web", "192.0.2.1:80", "192.0.2.2:80"))
    return made


@pytest.fixture
def listener(worker: FakeWorker, route: LiveRoute, web: LiveRoute) -> LiveListener:
    return worker.listener(route, web)


@pytest.fixture
def core(
    worker: FakeWorker, listener: LiveListener, route: LiveRoute, web: LiveRoute, monkeypatch: pytest.MonkeyPatch
) -> FakeCore:
    made = FakeCore(worker, monkeypatch)
    made.lead(listener, route, web)
    return made


@pytest.fixture
def handler(worker: FakeWorker, core: FakeCore) -> Handler:
    return Handler(worker.frontend, core.as_core(), core.names)


def assert_nothing_open(worker: FakeWorker, *routes: LiveRoute) -> None:
    assert not worker.registry.connections
    assert not worker.wire.poller.watched
    assert worker.admission.open == 0
    assert [worker.counted(each.active_counter) for each in routes] == [0] * len(routes)
    assert worker.counted(PROCESS_DRAINING) == 0


# Declined


def test_a_declined_connection_goes_on_as_if_python_had_accepted_it(
    worker: FakeWorker, core: FakeCore, handler: Handler, route: LiveRoute
) -> None:
    """The hello is still there; nothing is counted that the core has counted."""
    client = core.leave(DECLINED, HELLO)
    core.settle(handler)
    backend = worker.wire.backend(BACKEND)
    backend.accepts(b"hi")
    assert (backend.takes(), client.takes()) == (HELLO, b"hi")
    assert worker.counted(route.connections_counter) == 1
    client.ends()
    backend.ends()
    assert worker.log.connections[0].reason == "client_closed"
    assert_nothing_open(worker, route)


def test_one_that_is_behind_the_gate_is_not_judged_again(
    worker: FakeWorker, core: FakeCore, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would count twice towards its rate; what the gate counts it by is given back at the end."""
    worker.gate.refused[b"\xc0\x00\x02\x01"] = "rate_limit"
    left: list[int] = []
    monkeypatch.setattr(worker.gate, "leave", left.append, raising=False)
    entered = core.leave(DECLINED, HELLO, flags=ENTERED | COUNTED, token=-5)
    core.leave(DECLINED, HELLO)
    core.settle(handler)
    assert worker.wire.happened() == [f"dial {BACKEND}", "192.0.2.1 reset"]
    entered.resets()
    assert left == [-5]
    assert worker.refused("rate_limit") == 1


def test_the_time_for_a_hello_runs_since_it_was_accepted(worker: FakeWorker, core: FakeCore, handler: Handler) -> None:
    """Whoever has waited for it."""
    core.leave(DECLINED, HELLO[:10], started=worker.wire.now - 4.5)
    core.settle(handler)
    worker.wire.pass_time(0.4)
    assert worker.refused("hello_timeout") == 0
    worker.wire.pass_time(0.4)
    assert worker.refused("hello_timeout") == 1
    assert_nothing_open(worker)


def test_one_whose_time_is_over_is_refused(worker: FakeWorker, core: FakeCore, handler: Handler) -> None:
    core.leave(DECLINED, HELLO[:10], reason=records.HELLO_TIMEOUT)
    core.settle(handler)
    assert worker.refused("hello_timeout") == 1
    assert worker.wire.happened() == ["idle", "192.0.2.1 reset"]
    assert_nothing_open(worker)


def test_a_client_that_has_stopped_sending_is_refused(worker: FakeWorker, core: FakeCore, handler: Handler) -> None:
    """Epoll tells of it once, and has told the core."""
    core.leave(DECLINED, HELLO[:10], mask=HANGUP)
    core.settle(handler)
    assert worker.refused("hello_truncated") == 1
    assert_nothing_open(worker)


def test_what_drains_goes_on_draining(worker: FakeWorker, core: FakeCore, handler: Handler, route: LiveRoute) -> None:
    """Until the same moment; it is counted among those that do here now."""
    core.leave(DECLINED, HELLO, flags=DRAINING, active=worker.wire.now + 1)
    core.settle(handler)
    assert worker.counted(PROCESS_DRAINING) == 1
    worker.wire.backend(BACKEND).accepts()
    worker.wire.pass_time(1.2)
    assert worker.log.connections[0].reason == "drained"
    assert_nothing_open(worker, route)


def test_a_connection_over_the_limit_is_reset(worker: FakeWorker, core: FakeCore, handler: Handler) -> None:
    core.leave(OVER_LIMIT, HELLO, source=("2001:db8::1", 7))
    core.settle(handler)
    assert worker.wire.happened() == ["2001:db8::1 reset"]
    assert worker.refused("limit") == 1
    assert worker.log.connections[0].client == "[2001:db8::1]:7"


# The gate


@pytest.mark.parametrize("source", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"])
def test_the_gate_judges_the_address(
    source: str, worker: FakeWorker, core: FakeCore, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom it lets in goes on in the core, with what it is counted by; whom it refuses is refused here."""
    asked: list[bytes] = []
    verdicts: list[str | int | None] = [None, 17, "rate_limit"]

    def refusal(packed: bytes, _now: float) -> str | int | None:
        asked.append(packed)
        return verdicts.pop(0)

    monkeypatch.setattr(worker.gate, "refusal", refusal)
    for _ in range(3):
        core.leave(ASK_GATE, HELLO, source=(source, 9))
    core.settle(handler)
    assert core.said == ["enter -", "enter 17", "take"]
    assert {len(packed) for packed in asked} == {4 if source == "192.0.2.1" else 16}
    assert worker.refused("rate_limit") == 1
    assert worker.wire.happened()[-1] == f"{source} reset"


def test_a_client_that_has_gone_is_not_counted(
    worker: FakeWorker, core: FakeCore, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would tell of its end."""
    left: list[int] = []
    monkeypatch.setattr(worker.gate, "leave", left.append, raising=False)
    monkeypatch.setattr(worker.gate, "refusal", lambda packed, now: 17)
    core.end(core.leave(ASK_GATE))
    core.settle(handler)
    assert left == [17]


def test_a_gate_that_fails_closes_the_connection(
    worker: FakeWorker, core: FakeCore, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for an answer for ever; others have theirs."""

    def fail(packed: bytes, _now: float) -> None:
        if packed.endswith(b"\x01"):
            raise MemoryError

    monkeypatch.setattr(worker.gate, "refusal", fail)
    core.leave(ASK_GATE)
    core.leave(ASK_GATE, source=("192.0.2.2", 1))
    core.settle(handler)
    assert core.said == ["take", "enter -"]
    happened = worker.wire.happened()
    assert "fault: MemoryError()" in happened
    assert "192.0.2.1 reset" in happened


# Endpoints


def test_an_endpoint_is_chosen_by_the_upstream(
    worker: FakeWorker, core: FakeCore, handler: Handler, upstreams: FakeUpstreams
) -> None:
    """In turn; it counts there until the core tells of its end."""
    for _ in range(3):
        core.leave(CHOOSE, route=1)
    core.settle(handler)
    assert set(core.said) == {"dial 0 192.0.2.1", "dial 1 192.0.2.2"}
    assert sum(upstreams.open(0, 1)) == len(core.said) == 3


def test_without_an_endpoint_the_client_is_reset(
    worker: FakeWorker, core: FakeCore, handler: Handler, web: LiveRoute
) -> None:
    """With the upstream's own words."""
    web.lead_to(FakeUpstreams(worker).make("full", "192.0.2.1:80", each={"192.0.2.1:80": {"state": "maintenance"}}))
    core.leave(CHOOSE, HELLO, route=1, flags=EXACT)
    core.settle(handler)
    assert core.said == ["take"]
    assert worker.refused("upstream_down") == 1
    line = worker.log.connections[0]
    assert (line.sni, line.route, line.reason, line.upstream) == ("web.example", "web.example", "upstream_down", "")
    assert_nothing_open(worker, web)


def test_an_endpoint_of_a_client_that_has_gone_is_free_again(
    core: FakeCore, handler: Handler, upstreams: FakeUpstreams
) -> None:
    core.end(core.leave(CHOOSE, route=1))
    core.settle(handler)
    assert upstreams.open(0, 1) == [0, 0]


# Dials that have failed


def test_a_failed_dial_is_counted_and_told(
    worker: FakeWorker, core: FakeCore, handler: Handler, route: LiveRoute
) -> None:
    """As one that Python has begun."""
    core.leave(DIAL_FAILED, HELLO, route=0, error=errno.ECONNREFUSED, dialed=worker.wire.now, name=b"app.example")
    core.settle(handler)
    assert worker.refused("backend_refused") == 1
    line = worker.log.connections[0]
    assert (line.reason, line.detail, line.endpoint, line.tries, line.sni) == (
        "backend_refused",
        "connection refused",
        BACKEND,
        1,
        "app.example",
    )
    assert worker.wire.happened() == ["idle", "192.0.2.1 reset"]
    assert_nothing_open(worker, route)


@pytest.mark.parametrize(
    ("code", "reason"),
    [(errno.ETIMEDOUT, "backend_timeout"), (errno.EMFILE, "no_resources"), (errno.EACCES, "backend_refused")],
)
def test_each_error_has_its_reason(
    code: int, reason: str, worker: FakeWorker, core: FakeCore, handler: Handler
) -> None:
    core.leave(DIAL_FAILED, HELLO, route=0, error=code)
    core.settle(handler)
    assert worker.refused(reason) == 1


def test_another_endpoint_is_dialed(
    worker: FakeWorker, core: FakeCore, handler: Handler, upstreams: FakeUpstreams, web: LiveRoute
) -> None:
    """The first one is passed over for a while, and counts the failure; the connection counts at the other one."""
    upstream = web.upstream
    assert upstream is not None
    first = upstream.take(b"", frozenset(), worker.wire.now)
    assert first is not None
    core.names.endpoints[first.index] = first
    client = core.leave(DIAL_FAILED, HELLO, route=1, endpoint=first.index, error=errno.ECONNREFUSED)
    core.settle(handler)
    other = 1 - first.index
    backend = worker.wire.backend(f"192.0.2.{1 + other}:80")
    backend.accepts(b"hi")
    assert (client.takes(), backend.takes()) == (b"hi", HELLO)
    worker.wire.pass_time(0.2)
    assert upstreams.counted(first.index, DIAL_FAILURES) == 1
    assert upstreams.open(first.index, other) == [0, 1]
    client.ends()
    backend.ends()
    assert worker.log.connections[0].tries == 2
    assert upstreams.open(0, 1) == [0, 0]
    assert_nothing_open(worker, web)


def test_a_client_that_has_gone_while_its_backend_was_dialed(
    worker: FakeWorker, core: FakeCore, handler: Handler, upstreams: FakeUpstreams, web: LiveRoute
) -> None:
    """The backend is not to blame."""
    upstream = web.upstream
    assert upstream is not None
    endpoint = upstream.take(b"", frozenset(), worker.wire.now)
    assert endpoint is not None
    core.names.endpoints[endpoint.index] = endpoint
    core.leave(DIAL_FAILED, HELLO, route=1, endpoint=endpoint.index, mask=HANGUP)
    core.settle(handler)
    assert worker.refused("client_gone") == 1
    assert upstreams.open(0, 1) == [0, 0]
    assert_nothing_open(worker, web)


def test_a_busy_unix_socket_is_dialed_again(worker: FakeWorker, core: FakeCore, handler: Handler) -> None:
    """Python's own dial asks until it has room."""
    local = worker.route("local.example", "/run/app.sock")
    core.names.tables[7].append(local)
    core.leave(DIAL_FAILED, HELLO, route=2, error=errno.EAGAIN)
    core.settle(handler)
    worker.wire.backend("/run/app.sock").accepts()
    assert worker.wire.happened() == ["dial /run/app.sock"]


# Ends


@pytest.mark.parametrize(
    ("fields", "reason", "counted"),
    [
        ({"flags": JOINED | CLIENT_FIRST, "sent": 5}, "client_closed", ""),
        ({"flags": JOINED, "sent": 5}, "backend_closed", ""),
        ({"flags": JOINED | CLIENT_FIRST, "error": errno.ECONNRESET}, "client_broke_off", ""),
        ({"flags": JOINED, "error": errno.ECONNRESET, "sent": 5}, "backend_broke_off", ""),
        ({"flags": JOINED, "error": errno.ECONNRESET}, "backend_no_answer", "backend_no_answer"),
        ({"flags": JOINED}, "backend_no_answer", "backend_no_answer"),
        ({"flags": JOINED | LATE_RESET, "error": errno.EPIPE, "sent": 5}, "backend_closed", ""),
        ({"flags": JOINED | CLIENT_FIRST, "error": errno.EIO, "sent": 5}, "failed", ""),
        ({"flags": JOINED, "reason": records.IDLE_TIMEOUT}, "idle_timeout", ""),
        ({"flags": JOINED, "reason": records.HALF_CLOSED_TIMEOUT, "sent": 1}, "half_closed_timeout", ""),
        ({"flags": JOINED, "reason": records.DRAINED, "sent": 1}, "drained", ""),
        ({"flags": JOINED, "reason": reason_number("route_removed")}, "route_removed", ""),
        ({"reason": reason_number("closed")}, "closed", ""),
    ],
)
def test_each_end_has_its_reason(
    fields: dict[str, int], reason: str, counted: str, worker: FakeWorker, core: FakeCore, handler: Handler
) -> None:
    """The words, and what is counted, are those of connections that Python relays; sockets and counts are the core's."""
    worker.admission.open -= 1
    core.leave(ENDED, route=0, name=b"app.example", received=3, dial_seconds=0.5, **fields)
    worker.wire.pass_time(2)
    core.settle(handler)
    line = worker.log.connections[0]
    assert (line.reason, line.received, line.sent) == (reason, 3, fields.get("sent", 0))
    assert (line.route, line.sni, line.client) == ("app.example", "app.example", "192.0.2.1:55555")
    joined = bool(fields.get("flags", 0) & JOINED)
    assert (line.endpoint, line.tries, line.dial) == ((BACKEND, 1, 0.5) if joined else ("", 0, 0.0))
    assert line.total == pytest.approx(2.0)
    if counted:
        assert worker.refused(counted) == 1


def test_the_end_gives_back_endpoint_and_token(
    worker: FakeWorker,
    core: FakeCore,
    handler: Handler,
    upstreams: FakeUpstreams,
    web: LiveRoute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[int] = []
    monkeypatch.setattr(worker.gate, "leave", left.append, raising=False)
    upstream = web.upstream
    assert upstream is not None
    endpoint = upstream.take(b"", frozenset(), worker.wire.now)
    assert endpoint is not None
    core.names.endpoints[endpoint.index] = endpoint
    flags = JOINED | COUNTED | CLIENT_FIRST
    core.leave(ENDED, route=1, endpoint=endpoint.index, flags=flags, token=9, sent=5, received=6)
    core.settle(handler)
    assert upstreams.open(0, 1) == [0, 0]
    assert left == [9]
    assert worker.log.connections[0].endpoint == endpoint.address
    worker.log.is_open = False
    core.leave(ENDED, route=0, flags=JOINED, sent=5)
    core.settle(handler)
    assert len(worker.log.connections) == 1


def test_a_route_that_fails_is_told_of_its_recovery(worker: FakeWorker, core: FakeCore, handler: Handler) -> None:
    """And its address is among those that fail no more."""
    route = core.names.tables[7][0]
    address = route.targets[0].addresses[0]
    worker.frontend.dial.failing.failed(address, worker.wire.now)
    worker.frontend.errors.failing = frozenset({route.entry.index})
    core.leave(CONNECTED, route=0)
    core.settle(handler)
    worker.wire.pass_time(0.3)
    assert worker.reports[0].worked == (route.entry.index,)
    assert not worker.frontend.dial.failing.until


def test_the_routes_of_a_table_are_kept_as_long_as_it_is(core: FakeCore, handler: Handler) -> None:
    worker_routes = core.names.tables[7]
    core.leave(TABLE_FREED, table=7)
    core.settle(handler)
    assert worker_routes
    assert core.names.tables == {}


def test_the_core_learns_the_lines_of_ordinary_ends(worker: FakeWorker, core: FakeCore, handler: Handler) -> None:
    """The name is one of the texts where it is always the same; nothing is kept over a change of the snapshot."""
    core.names.tables[7].append(worker.route("*.example", "192.0.2.9:443"))
    for route, name in ((0, b""), (2, b"a.example")):
        core.leave(ENDED, route=route, flags=JOINED | (0 if name else EXACT), name=name, sent=7, dial_seconds=0.25)
    core.settle(handler)
    assert [(line.sni, line.sent, line.dial) for line in worker.log.connections] == [
        ("app.example", 7, 0.25),
        ("a.example", 7, 0.25),
    ]
    (first, exact, whole), (second, _, open_name) = core.taught
    assert (first, second, exact & EXACT) == (0, 2, EXACT)
    assert b'"sni":"|app.example"' in whole
    assert b'"sni":"|"' in open_name
    assert whole.count(b"|") == open_name.count(b"|") == records.PARTS - 1
    handler.forget()
    assert core.taught == []


@pytest.mark.parametrize(
    "fields",
    [
        {"flags": JOINED},
        {"flags": JOINED, "sent": 5, "error": errno.EPIPE},
        {"flags": 0, "reason": reason_number("closed")},
        {"flags": JOINED | LOGGED, "sent": 5},
    ],
)
def test_what_is_special_is_not_taught(
    fields: dict[str, int], worker: FakeWorker, core: FakeCore, handler: Handler
) -> None:
    """Errors and silence are counted, each time; what the core has logged is not logged again."""
    core.leave(ENDED, route=0, **fields)
    core.settle(handler)
    assert core.taught == []
    assert len(worker.log.connections) == (0 if fields["flags"] & LOGGED else 1)


def test_without_memory_lines_go_on(
    worker: FakeWorker, core: FakeCore, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core asks about the next one, too."""

    def full(record: records.Record, parts: list[bytes]) -> None:
        raise OSError(errno.ENOMEM, "no memory")

    monkeypatch.setattr(core, "shape", full)
    for _ in range(2):
        core.leave(ENDED, route=0, flags=JOINED, name=b"a.example", sent=7)
    core.settle(handler)
    assert len(worker.log.connections) == 2
