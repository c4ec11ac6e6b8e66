"""L4 connections to the endpoints of an upstream, as conversations."""

from typing import Any

import pytest

from mcproxy.net.memory import endpoints
from mcproxy.net.memory.endpoints import DOWN
from mcproxy.worker.frontend.connection import Connection
from tests.support.fake_upstreams import FakeUpstreams
from tests.support.fake_wire import Peer
from tests.support.fake_worker import FakeWorker
from tests.support.tls import client_hello

HELLO = client_hello("app.example")
A, B, C = "192.0.2.1:443", "192.0.2.2:443", "192.0.2.3:443"


class Scene:
    """A route to an upstream of three endpoints, and clients."""

    def __init__(self, *addresses: str, **options: Any) -> None:
        self.worker = FakeWorker()
        self.wire = self.worker.wire
        self.made = FakeUpstreams(self.worker)
        self.options = options
        self.upstream = self.made.make("db", *(addresses or (A, B, C)), **options)
        self.route = self.worker.route("app.example")
        self.route.lead_to(self.upstream)
        self.listener = self.worker.listener(self.route)

    def connects(self) -> tuple[Peer, Connection]:
        """Let a client connect and send its hello."""
        client, connection = self.worker.connect(self.listener)
        client.sends(HELLO)
        return client, connection

    def dialed(self) -> list[str]:
        return [line.removeprefix("dial ") for line in self.wire.happened() if line.startswith("dial ")]

    def counts(self, address: str) -> dict[str, int]:
        (index,) = (live.index for live in self.upstream.endpoints.values() if live.address == address)
        named = {name: self.made.counted(index, word) for word, name in enumerate(endpoints.COUNTERS)}
        return {name: count for name, count in named.items() if count}


def test_connections_take_turns_and_are_counted_until_both_ends_are_closed() -> None:
    """Bytes count when a connection has ended."""
    scene = Scene()
    clients = [scene.connects() for _ in range(3)]
    assert sorted(scene.dialed()) == [A, B, C]
    assert scene.made.open(0, 1, 2) == [1, 1, 1]
    backend = scene.wire.backend(A)
    backend.accepts(b"hello")
    (at_a,) = [connection for _, connection in clients if connection.endpoint_index == 0]
    (client,) = [client for client, connection in clients if connection is at_a]
    assert client.takes() == b"hello"
    client.ends()
    backend.ends()
    scene.wire.settle()
    assert scene.counts(A) == {"taken": 1, "received": len(HELLO), "sent": 5}
    assert scene.made.open(0, 1, 2) == [0, 1, 1]


def test_a_dial_goes_on_to_other_endpoints_each_with_the_whole_time() -> None:
    """The first refuses, the second does not answer in time, the third takes the connection with the whole hello."""
    scene = Scene(connect_timeout=2.0)
    client, connection = scene.connects()
    (first,) = scene.dialed()
    scene.wire.backend(first).refuses()
    (second,) = scene.dialed()
    scene.wire.pass_time(1.9)
    assert scene.dialed() == []
    assert connection.describe(scene.wire.now).stage == "dial"
    scene.wire.pass_time(0.3)
    (third,) = scene.dialed()
    assert {first, second, third} == {A, B, C}
    scene.wire.pass_time(1.5)
    scene.wire.backend(third).accepts()
    assert scene.wire.backend(third).takes() == HELLO
    assert scene.counts(first) == scene.counts(second) == {"taken": 1, "dial_failures": 1, "retries_dial": 1}
    assert scene.counts(third) == {"active": 1, "taken": 1}
    client.resets()
    scene.wire.settle()
    (line,) = scene.worker.log.connections
    assert (line.endpoint, line.tries) == (third, 3)
    assert line.dial == pytest.approx(3.7, abs=0.3)
    assert scene.made.open(0, 1, 2) == [0, 0, 0]


@pytest.mark.parametrize(("tries", "expected"), [(3, 3), (2, 2), (1, 1)])
def test_a_client_is_reset_when_no_endpoint_that_may_be_tried_answers(tries: int, expected: int) -> None:
    """The last one's failure is told, and the connection is forgotten."""
    scene = Scene(tries=tries)
    scene.connects()
    dialed = []
    for _ in range(expected):
        dialed += scene.dialed()
        scene.wire.backend(dialed[-1]).refuses()
    assert len(set(dialed)) == expected
    assert "client reset" in scene.wire.happened()
    assert scene.worker.refused("backend_refused") == 1
    (line,) = scene.worker.log.connections
    assert (line.endpoint, line.tries, line.reason) == (dialed[-1], expected, "backend_refused")
    assert not scene.worker.registry.connections
    scene.wire.pass_time(60)
    assert scene.made.open(0, 1, 2) == [0, 0, 0]


def test_an_endpoint_that_refuses_is_passed_over_for_a_second() -> None:
    """Also by connections that come later."""
    scene = Scene(A, B)
    scene.connects()
    (first,) = scene.dialed()
    scene.wire.backend(first).refuses()
    (second,) = scene.dialed()
    for _ in range(4):
        scene.connects()
    assert scene.dialed() == [second] * 4
    scene.wire.pass_time(1.1)
    for _ in range(4):
        scene.connects()
    assert first in scene.dialed()


def test_a_client_that_leaves_while_it_is_dialed_for_gives_its_place_back() -> None:
    """And the dial is given up."""
    scene = Scene(A)
    client, _ = scene.connects()
    assert scene.made.open(0) == [1]
    client.resets()
    scene.wire.settle()
    assert scene.made.open(0) == [0]
    assert f"{A} closed" in scene.wire.happened()


def test_endpoints_that_are_full_or_down_are_passed_over_and_else_clients_are_reset() -> None:
    """For a word of its own each."""
    scene = Scene(A, B, panic=False)
    scene.made.update(scene.upstream, "db", A, B, each={A: {"max_active": 1}}, panic=False)
    scene.made.says(1, DOWN)
    scene.connects()
    assert scene.dialed() == [A]
    scene.connects()
    assert scene.worker.refused("upstream_full") == 1
    scene.made.says(0, DOWN)
    scene.connects()
    assert scene.worker.refused("upstream_down") == 1
    assert [line.reason for line in scene.worker.log.connections] == ["upstream_full", "upstream_down"]
    assert scene.dialed() == []
    assert scene.made.open(0, 1) == [1, 0]


def test_panic_is_named_where_it_did_not_help() -> None:
    """All endpoints are down, all are tried, and none answers."""
    scene = Scene(A)
    scene.made.says(0, DOWN)
    scene.connects()
    scene.wire.backend(A).refuses()
    (line,) = scene.worker.log.connections
    assert line.detail.endswith("panic: no endpoint of db is usable, so all are tried")


def test_a_drained_connection_is_not_dialed_for_longer_than_it_may_last() -> None:
    """The limit of a drain holds from one dial to the next."""
    scene = Scene(A, B, connect_timeout=5.0)
    _, connection = scene.connects()
    connection.drain(scene.wire.now + 6)
    scene.dialed()
    scene.wire.pass_time(5.5)
    assert len(scene.dialed()) == 1
    scene.wire.pass_time(1)
    assert scene.worker.log.connections[0].reason == "drained"
    assert scene.made.open(0, 1) == [0, 0]


def test_an_endpoint_that_breaks_off_is_counted() -> None:
    """A reset, and an end without a byte; the ordinary end of a connection is none, also if a close_notify then finds it closed."""
    scene = Scene(A)
    for end in ("resets", "ends", "serves", "closes"):
        client, _ = scene.connects()
        backend = scene.wire.backend(A)
        backend.accepts(b"x" if end in ("serves", "closes") else b"")
        if end == "resets":
            backend.resets()
        else:
            backend.ends()
        if end == "closes":
            scene.wire.settle()
            backend.resets()
        client.ends()
        scene.wire.settle()
    assert scene.counts(A)["resets"] == 2
    assert scene.made.open(0) == [0]
