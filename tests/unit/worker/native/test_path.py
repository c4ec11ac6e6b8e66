"""What the native core is told of snapshots; the core is the real one, and nobody connects."""

import asyncio
import os
from collections.abc import Iterator
from typing import cast

import pytest

from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.told import Pending
from mcproxy.worker.challenges import Challenges
from mcproxy.worker.live.guards import Door
from mcproxy.worker.live.listener import LiveListener
from mcproxy.worker.native.path import NativePath
from tests.support.challenges import answer_of
from tests.support.fake_upstreams import FakeUpstreams
from tests.support.fake_worker import FakeWorker
from tests.support.native_parsers import library


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def path(worker: FakeWorker) -> Iterator[NativePath]:
    core = library()
    memory = SharedMemory.create()
    loop = asyncio.new_event_loop()
    lock = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    yield NativePath(loop, worker.frontend, memory, 1, lock, core)
    loop.close()
    os.close(lock)


def tables(path: NativePath) -> dict[int, list[str]]:
    """Return the hostnames of each table that a connection may use, or that is in use."""
    return {number: [route.entry.route.hostname for route in routes] for number, routes in path._names.tables.items()}


def test_a_listener_that_stays_as_it_is_keeps_its_table(worker: FakeWorker, path: NativePath) -> None:
    """With ten thousand routes a reload of something else takes no longer."""
    listener = worker.listener(worker.route("a.example", "192.0.2.1:443"))
    other = worker.listener(worker.route("b.example", "192.0.2.2:443"))
    path.update([listener, other])
    before = tables(path)
    assert sorted(before.values()) == [["a.example"], ["b.example"]]
    path.update([listener, other])
    assert tables(path) == before


def test_other_routes_are_another_table(worker: FakeWorker, path: NativePath) -> None:
    """The old one goes, as no connection uses it."""
    listener = worker.listener(worker.route("a.example", "192.0.2.1:443"))
    path.update([listener])
    listener._live = {"b.example": worker.route("b.example", "192.0.2.1:443")}
    path.update([listener])
    path.expire()
    assert list(tables(path).values()) == [["b.example"]]


def test_a_route_that_filters_guard_is_python_s_until_they_are_gone(worker: FakeWorker, path: NativePath) -> None:
    """The route itself stays the same object, as its filters are declared elsewhere."""
    route = worker.route("a.example", "192.0.2.1:443")
    listener = worker.listener(route, worker.route("b.example", "192.0.2.1:443"))
    kinds = []
    for door in (None, object(), object(), None, None):
        route.door = cast("Door | None", door)
        path.update([listener])
        path.expire()
        (number,) = tables(path)
        kinds.append((door is not None, number))
    assert len({number for _, number in kinds[:4]}) == 4
    assert kinds[3] == kinds[4]


def test_a_route_to_an_upstream_is_looked_at_each_time(worker: FakeWorker, path: NativePath) -> None:
    """It may have got an endpoint that Python alone can dial."""
    route = worker.route("c.example")
    route.lead_to(FakeUpstreams(worker).make("c", "192.0.2.1:443"))
    listener = worker.listener(route)
    path.update([listener])
    before = tables(path)
    path.update([listener])
    path.expire()
    assert list(tables(path).values()) == [["c.example"]]
    assert tables(path).keys() != before.keys()


def test_a_listener_that_is_gone_is_forgotten(worker: FakeWorker, path: NativePath) -> None:
    """Nothing is left of it, once its connections have ended: reloads may add and remove listeners for ever."""
    for _ in range(3):
        listener = worker.listener(worker.route("a.example", "192.0.2.1:443"))
        path.update([listener])
        assert path.relays(listener)
        path.forget(listener)
        assert not path.relays(listener)
        path.update(())
        path.expire()
    assert path._names.listeners == {}
    assert tables(path) == {}


@pytest.mark.parametrize("fields", [{"proxy_protocol": True}, {"protocol": "http"}])
def test_what_python_accepts_is_not_told(fields: dict[str, object], worker: FakeWorker, path: NativePath) -> None:
    listener: LiveListener = worker.listener(worker.route("a.example", "192.0.2.1:443"), **fields)  # type: ignore[arg-type]
    path.update([listener])
    assert not path.relays(listener)
    assert tables(path) == {}


def test_a_listener_that_python_takes_over_loses_its_table(worker: FakeWorker, path: NativePath) -> None:
    """And has one again as soon as the core relays there again."""
    listener = worker.listener(worker.route("a.example", "192.0.2.1:443"))
    path.update([listener])
    path.update(())
    path.expire()
    assert tables(path) == {}
    path.update([listener])
    assert list(tables(path).values()) == [["a.example"]]


def test_names_that_are_to_be_proven_make_another_table(worker: FakeWorker, path: NativePath) -> None:
    """As long as they are, and no longer; a name that Python serves anyway makes none."""
    terminated = worker.route("l7.example", mode="l7")
    listener = worker.listener(worker.route("*.example", "192.0.2.1:443"), terminated)
    seen = []
    for names in ((), ("l7.example",), ("a.example",), ("a.example",), ()):
        listener.answer(Challenges(Pending({name: answer_of(name) for name in names})))
        path.update([listener])
        path.expire()
        (number,) = tables(path)
        seen.append(number)
    assert seen[0] == seen[1] < seen[2] == seen[3] < seen[4]
