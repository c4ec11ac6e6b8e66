"""A connection of the native core, as operators and snapshots deal with it."""

from typing import cast

import pytest

from mcproxy.net.native.core import Core
from mcproxy.net.native.records import COUNTED, HALF_CLOSED, HELLO, RELAY, Record
from mcproxy.net.told import LiveConnection
from mcproxy.worker.live.listener import LiveRoute
from mcproxy.worker.native.connection import NativeConnection
from mcproxy.worker.native.names import Names, reason_word
from mcproxy.worker.tools.gate import ClientGate
from mcproxy.worker.tools.interfaces import OpenConnection
from mcproxy.worker.tools.registry import Registry
from tests.support.fake_worker import FakeWorker


class Told:
    """Keeps what the core and the gate are told; a connection that has ended is known to neither."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.ended = False

    def count_client(self, number: int, token: int) -> int:
        return self._call("count", number, token)

    def drain(self, number: int, limit: float) -> int:
        return self._call("drain", number, limit)

    def close(self, number: int, reason: int) -> int:
        return self._call("close", number, reason_word(reason))

    def enter_late(self, packed: bytes) -> int:
        self.calls.append(("enter", packed))
        return 17

    def leave(self, token: int) -> None:
        self.calls.append(("leave", token))

    def settle_soon(self) -> None:
        self.calls.append(("settle",))

    def _call(self, *call: object) -> int:
        if self.ended:
            return -1
        self.calls.append(call)
        return 0


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def route(worker: FakeWorker) -> LiveRoute:
    return worker.route("app.example", "192.0.2.7:443")


def connection(worker: FakeWorker, route: LiveRoute, told: Told, /, **fields: int) -> NativeConnection:
    """Return what a record of number 5 tells, which came from 192.0.2.1 a second ago."""
    names = Names()
    names.listeners[3], names.tables[7] = worker.listener(route), [route]
    record = Record(conn=5, listener=3, table=7, route=0, endpoint=-1, stage=RELAY, started=worker.wire.now - 1)
    record.family, record.port = 2, 55555
    record.address[:4] = [192, 0, 2, 1]
    for name, value in fields.items():
        setattr(record, name, value)
    return NativeConnection(cast("Core", told), names, cast("ClientGate", told), record, told.settle_soon)


def test_it_describes_itself(worker: FakeWorker, route: LiveRoute, told: Told) -> None:
    """In the words of connections that Python relays."""
    made_at = int(worker.wire.now)
    made = connection(worker, route, told, stage=HALF_CLOSED, endpoint=4, started=made_at)
    told_of = made.describe(made_at + 1)
    assert told_of == LiveConnection(":8443", "app.example", "192.0.2.1:55555", "half_closed", 1.0, 0)
    assert (made.route_index, made.endpoint_index) == (route.entry.index, 4)
    waiting = connection(worker, route, told, stage=HELLO, route=-1)
    assert (waiting.route_index, waiting.endpoint_index, waiting.describe(0.0).stage) == (None, None, "hello")


def test_it_belongs_to_its_listener_and_route(worker: FakeWorker, route: LiveRoute, told: Told) -> None:
    made, waiting = connection(worker, route, told), connection(worker, route, told, route=-1)
    for listener, hostname, wanted in (
        ("", "", True),
        (":8443", "app.example", True),
        (":8444", "", False),
        ("", "other.example", False),
    ):
        assert made.belongs_to(listener, hostname) is wanted
    assert waiting.belongs_to(":8443", "")
    assert not waiting.belongs_to("", "app.example")


def test_the_core_is_told_what_becomes_of_it(worker: FakeWorker, route: LiveRoute, told: Told) -> None:
    """What is closed is closed soon, outside of the core's own run."""
    made = connection(worker, route, told)
    made.drain(7.5)
    made.close("endpoint_removed")
    made.leave_routes({route.entry.index: "close"}, 0.0)
    assert told.calls == [("drain", 5, 7.5), ("close", 5, "endpoint_removed"), ("settle",)]


def test_its_client_is_counted_once(worker: FakeWorker, route: LiveRoute, told: Told) -> None:
    """Who came in before there was a limit counts from then on."""
    made = connection(worker, route, told)
    made.count_client()
    made.count_client()
    connection(worker, route, told, flags=COUNTED).count_client()
    assert told.calls == [("enter", b"\xc0\x00\x02\x01"), ("count", 5, 17)]


def test_a_client_whose_connection_has_ended_is_not_counted(worker: FakeWorker, route: LiveRoute, told: Told) -> None:
    """Nobody would count it down again."""
    made = connection(worker, route, told)
    told.ended = True
    made.count_client()
    assert told.calls == [("enter", b"\xc0\x00\x02\x01"), ("leave", 17)]


def test_a_worker_is_idle_when_nothing_is_open_anywhere(worker: FakeWorker, route: LiveRoute, told: Told) -> None:
    """Neither here nor in the core; whoever asks for all gets both."""
    idle: list[bool] = []
    registry = Registry(lambda: idle.append(True))
    native = [connection(worker, route, told)]

    class Elsewhere:
        def open(self) -> int:
            return len(native)

        def listed(self) -> list[OpenConnection]:
            return [*native]

    registry.elsewhere = Elsewhere()
    own = connection(worker, route, told)
    registry.connections.add(own)
    assert registry.all() == [own, *native]
    registry.remove(own)
    assert not idle
    native.clear()
    registry.look()
    assert idle == [True]
