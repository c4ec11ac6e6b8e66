"""What was refused lately: what came on top of what was counted some minutes ago."""

from collections.abc import Iterator

import pytest

from mcproxy.control.counters.counters import Counters
from mcproxy.control.counters.refusals import RECENT, RecentRefusals, Refusals
from mcproxy.model.state.snapshot import make_snapshot
from mcproxy.net.memory.shared_memory import SharedMemory, limit_counter, reason_counter
from tests.support import toml

A, B = ":1", ":2"


def counted(a: int, limit: int = 0, **others: int) -> Refusals:
    limits = {"header_bytes": limit} if limit else {}
    return Refusals({A: {"ip": a, **others}, B: {"no_route": 9}}, limits)


def played(*samples: tuple[float, Refusals], start: Refusals | None = None) -> RecentRefusals:
    recent = RecentRefusals(start or counted(0))
    for now, each in samples:
        if recent.is_due(now):
            recent.keep(now, each)
    return recent


def test_only_what_came_on_top_is_told() -> None:
    """By listener and reason; a listener that refused nothing, and a limit that was not hit, are left out."""
    recent = played((100, counted(2)))
    assert recent.since(101, counted(5, limit=1, limit_of=3)) == Refusals(
        {A: {"ip": 5, "limit_of": 3}}, {"header_bytes": 1}
    )
    assert recent.since(101, counted(0)) == Refusals({}, {})


def test_what_is_counted_before_the_first_sample_is_news() -> None:
    """A new control may look for the first time behind the first client; one that goes on with counters begins with these."""
    assert played().since(5, counted(3)).listeners == {A: {"ip": 3}}
    assert played((5, counted(3))).since(6, counted(3)).listeners == {A: {"ip": 3}}
    assert played((5, counted(3)), start=counted(2)).since(6, counted(3)).listeners == {A: {"ip": 1}}


def test_after_a_while_it_is_no_news_any_more() -> None:
    """Not before five minutes less a sample's distance, and not long after."""
    samples = [(float(now), counted(1 if now >= 10 else 0)) for now in range(0, 1000, 5)]
    assert played(*(each for each in samples if each[0] <= 240)).since(245, counted(1)).listeners == {A: {"ip": 1}}
    assert played(*(each for each in samples if each[0] <= 400)).since(400, counted(1)).listeners == {}


def test_nothing_is_kept_without_end() -> None:
    """Samples of a minute, as many as are needed; after a long pause the newest of them counts."""
    recent = played(*((float(now), counted(now)) for now in range(0, 3600, 10)))
    told = recent.since(3600, counted(3600)).listeners[A]["ip"]
    assert RECENT - 60 <= told <= RECENT
    assert recent.since(3600 + 10 * RECENT, counted(3600)).listeners[A]["ip"] <= 60


def test_counters_that_begin_anew_are_no_negative_numbers() -> None:
    recent = played((0, counted(0)), (60, counted(50)), start=counted(70))
    assert recent.since(61, counted(4)).listeners == {A: {"ip": 4}}


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    made = SharedMemory.create()
    yield made
    made.close()


def test_the_counters_of_all_workers_count(memory: SharedMemory) -> None:
    """What is no refusal is left out; a control that takes over does not tell the past as news."""
    state = toml.state(toml.listener(A, toml.route("a.test", 9000)))
    counters = Counters(memory)
    listeners, routes = counters.assign(state)
    for slot in (counters.take_slot(), counters.take_slot()):
        with memory.counter_block(slot) as words:
            for reason in ("ip", "limit", "client_gone", "backend_dns"):
                words[reason_counter(listeners[A], reason)] += 2
            words[limit_counter("header_bytes")] += 1
    assert counters.refused_recently(1.0) == Refusals({A: {"ip": 4, "limit": 4}}, {"header_bytes": 2})
    counters.follow_refusals(1.0)
    assert counters.refused_recently(2.0).limits == {"header_bytes": 2}
    another = Counters(memory)
    another.seed(make_snapshot(state, 7, listeners, routes, {A: 1}, digests={}), taken=())
    assert another.refused_recently(1.0) == Refusals({}, {})
