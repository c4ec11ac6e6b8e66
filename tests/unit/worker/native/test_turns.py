"""Which upstreams the native core is told to take the turns of."""

from typing import Any, cast

import pytest

from mcproxy.net.memory.endpoints import ACTIVE, DOWN, RECEIVED, RESETS, SENT, TAKEN
from mcproxy.net.native.core import Core
from mcproxy.net.native.records import CHOSEN, COUNTED_AT, ENDED, JOINED, UpstreamSetup
from mcproxy.worker.live.endpoint import NOWHERE
from mcproxy.worker.live.upstream import LiveUpstream
from mcproxy.worker.native.handler import Handler
from mcproxy.worker.native.names import Names
from mcproxy.worker.native.turns import Turns
from tests.support.fake_core import FakeCore
from tests.support.fake_upstreams import FakeUpstreams
from tests.support.fake_worker import FakeWorker

ONE, TWO = "192.0.2.1:80", "192.0.2.2:80"


class ToldCore:
    """Remembers what it is told of upstreams.

    Attributes:
        known: the setup of each, by number.
        calls: the numbers that it was told of.
        full: it takes no more.
    """

    def __init__(self) -> None:
        self.known: dict[int, UpstreamSetup] = {}
        self.calls: list[int] = []
        self.full = False

    def upstream(self, number: int, setup: UpstreamSetup | None) -> None:
        if self.full and setup is not None:
            raise OSError(12, "no memory")
        self.calls.append(number)
        self.known.pop(number, None)
        if setup is not None:
            self.known[number] = setup


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def upstreams(worker: FakeWorker) -> FakeUpstreams:
    return FakeUpstreams(worker)


@pytest.fixture
def core() -> ToldCore:
    return ToldCore()


@pytest.fixture
def turns(core: ToldCore) -> Turns:
    return Turns(cast("Core", core), Names())


def test_an_upstream_in_turn_is_the_core_s(core: ToldCore, turns: Turns, upstreams: FakeUpstreams) -> None:
    """With all of its endpoints; it is told once as long as it stays as it is."""
    web, shop = upstreams.make("web", ONE, TWO), upstreams.make("shop", "[2001:db8::1]:80", "/run/shop.sock")
    turns.update([web, web, shop])
    assert sorted((turns.number(web), turns.number(shop))) == [1, 2]
    assert [setup.count for setup in core.known.values()] == [2, 2]
    turns.update([shop, web])
    assert len(core.calls) == 2
    upstreams.update(web, "web", ONE, TWO, tries=2)
    turns.update([shop, web])
    assert core.calls[2:] == [turns.number(web)]


def test_one_that_is_gone_leaves_its_number(core: ToldCore, turns: Turns, upstreams: FakeUpstreams) -> None:
    """Numbers stay small, however many reloads there are."""
    web = upstreams.make("web", ONE)
    for number in range(5):
        other = upstreams.make(f"other{number}", TWO)
        turns.update([web, other])
        assert turns.number(web) != turns.number(other)
        assert max(core.known) <= 3
    turns.update([])
    assert core.known == {}
    assert turns.number(web) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"balance": "least_conn"},
        {"balance": "random_two"},
        {"balance": "source_hash"},
        {"each": {ONE: {"weight": 1_000_003}}},
        {"each": {ONE: {"state": "maintenance"}, TWO: {"state": "drain"}}},
    ],
)
def test_what_does_not_go_in_a_cycle_is_asked(
    options: dict[str, Any], core: ToldCore, turns: Turns, upstreams: FakeUpstreams
) -> None:
    """Other ways to choose, cycles that are too long, and no endpoint at all."""
    web = upstreams.make("web", ONE, TWO, **options)
    turns.update([web])
    assert turns.number(web) == 0
    assert core.known == {}


def test_what_python_has_to_look_up_is_asked(core: ToldCore, turns: Turns, upstreams: FakeUpstreams) -> None:
    """Also where one of many endpoints is a name."""
    web = upstreams.make("web", ONE, "web.backend:80")
    turns.update([web])
    assert turns.number(web) == 0
    assert core.known == {}


@pytest.mark.parametrize("options", [{"each": {ONE: {"max_active": 3}}}, {"sticky_cookie": "at"}])
def test_what_needs_more_than_turns_is_asked_each_time(
    options: dict[str, Any], turns: Turns, upstreams: FakeUpstreams
) -> None:
    """The mark says so, which changes with the upstream and with every pause."""
    web = upstreams.make("web", ONE, TWO, **options)
    assert web.quick_mark[0] == 0
    plain = upstreams.make("plain", ONE, TWO)
    assert plain.quick_mark[0] == 1
    plain.pause(plain.endpoints[2], 1000.0)
    assert plain.quick_mark[0] == 0
    assert plain.take(b"", NOWHERE, 1002.0) is not None
    assert plain.quick_mark[0] == 1
    place = plain.quick_mark.buffer_info()
    upstreams.update(plain, "plain", ONE, TWO, tries=2)
    assert plain.quick_mark.buffer_info() == place


def test_without_memory_python_chooses(core: ToldCore, turns: Turns, upstreams: FakeUpstreams) -> None:
    """And not by what was true before."""
    web = upstreams.make("web", ONE)
    turns.update([web])
    upstreams.update(web, "web", ONE, TWO)
    core.full = True
    turns.update([web])
    assert turns.number(web) == 0
    assert core.known == {}


# What the core has counted


@pytest.fixture
def web(worker: FakeWorker, upstreams: FakeUpstreams) -> LiveUpstream:
    route = worker.route("web.example")
    route.lead_to(upstreams.make("web", ONE, TWO))
    assert route.upstream is not None
    return route.upstream


@pytest.fixture
def fake(worker: FakeWorker, web: LiveUpstream, monkeypatch: pytest.MonkeyPatch) -> FakeCore:
    route = worker.route("web.example")
    route.lead_to(web)
    fake = FakeCore(worker, monkeypatch)
    fake.lead(worker.listener(route), route)
    fake.names.endpoints.update(web.endpoints)
    return fake


@pytest.mark.parametrize("limit", [0, 5])
def test_what_the_core_has_counted_is_added(
    limit: int, worker: FakeWorker, upstreams: FakeUpstreams, web: LiveUpstream, fake: FakeCore
) -> None:
    """To what is counted here; where a limit holds by now, it is in the shared memory at once."""
    upstreams.update(web, "web", ONE, TWO, each={ONE: {"max_active": limit}})
    endpoint = web.take(b"", NOWHERE, 1000.0) if not limit else web.endpoints[0]
    handler = Handler(worker.frontend, fake.as_core(), fake.names)
    index = endpoint.index if endpoint else -1
    before = 1 - bool(limit)
    for taken, opened, received, sent in ((3, 2, 10, 20), (0, -2, 5, 5)):
        fake.leave(COUNTED_AT, endpoint=index, conn=taken, token=opened, received=received, sent=sent)
    fake.settle(handler)
    counted = [upstreams.counted(index, word) for word in (TAKEN, ACTIVE, RECEIVED, SENT)]
    assert counted == [3 + before, before, 15, 25]


@pytest.mark.parametrize("flags", [CHOSEN, 0])
def test_an_end_counts_once(
    flags: int, worker: FakeWorker, upstreams: FakeUpstreams, web: LiveUpstream, fake: FakeCore
) -> None:
    """That it tells against the endpoint is Python's to count; whether one less is open is told by who has chosen."""
    web.endpoints[0].add(1, 1, 0, 0)
    handler = Handler(worker.frontend, fake.as_core(), fake.names)
    fake.leave(ENDED, route=0, endpoint=0, received=10, sent=0, flags=flags | JOINED)
    fake.settle(handler)
    assert upstreams.counted(0, RESETS) == 1
    assert upstreams.open(0) == [1 if flags else 0]
    assert upstreams.counted(0, RECEIVED) == (0 if flags else 10)


def test_an_endpoint_that_is_down_is_python_s_to_pass_over(upstreams: FakeUpstreams, web: LiveUpstream) -> None:
    """The core reads the same word as it does here."""
    upstreams.says(0, DOWN)
    assert {web.take(b"", NOWHERE, 1000.0) for _ in range(4)} == {web.endpoints[1]}
    assert web.schedule is not None
    assert web.schedule.marks[1] > 0
