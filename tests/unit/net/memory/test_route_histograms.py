"""Histograms of routes: the first ones get their own, and it is theirs until they are gone."""

from collections.abc import Iterator

import pytest

from mcproxy.model.state.state import MAX_ROUTES
from mcproxy.net.memory import histogram
from mcproxy.net.memory.admission import AdmissionLock
from mcproxy.net.memory.route_histograms import MOST, RouteHistograms, owned
from mcproxy.net.memory.shared_memory import SharedMemory, route_histogram_counter


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create()
    memory.use_slot(2)
    yield memory
    memory.close()


def of(memory: SharedMemory) -> RouteHistograms:
    return RouteHistograms(memory, AdmissionLock(memory).fd)


def never(_: int) -> bool:
    return False


def test_all_processes_assign_the_same(memory: SharedMemory) -> None:
    """Whoever asks first decides; asked again, the answer stays."""
    first, second = of(memory), of(memory)
    assert [first.assign(route) for route in (7, MAX_ROUTES - 1)] == [0, 1]
    assert [second.assign(route) for route in (MAX_ROUTES - 1, 7, 9)] == [1, 0, 2]
    assert first.assign(9) == 2
    assert owned(memory) == {7: 0, MAX_ROUTES - 1: 1, 9: 2}


def test_who_comes_too_late_shares(memory: SharedMemory) -> None:
    """For good, also when one of the others goes: its counts are in the listener's histogram already."""
    histograms = of(memory)
    assert [histograms.assign(route) for route in range(MOST)] == list(range(MOST))
    assert histograms.assign(MOST) is None
    histograms.release(set(range(1, MOST + 1)), never)
    assert histograms.assign(MOST) is None
    assert histograms.assign(MOST + 1) == 0
    assert histograms.assign(MOST + 2) is None


def test_what_a_route_leaves_behind_is_nobody_elses(memory: SharedMemory) -> None:
    """A histogram is taken back when its route is gone with all that was open, and begins at zero for the next one."""
    histograms = of(memory)
    number = histograms.assign(3)
    assert number == 0
    with memory.counter_block(2) as counters:
        histogram.observe(counters, route_histogram_counter(number), 0.2)
        histogram.observe(counters, route_histogram_counter(number + 1), 0.2)
    histograms.release({4}, lambda route: route == 3)
    assert histograms.assign(4) == 1, "the first one is still open"
    histograms.release({4}, never)
    assert owned(memory) == {4: 1}
    assert histograms.assign(5) == 0
    sums = [sum(memory.totals(route_histogram_counter(each), histogram.WORDS)) for each in (0, 1)]
    assert sums == [0, 200_001]
    histograms.forget(4)
    assert owned(memory) == {5: 0}
    assert histograms.assign(4) == 1
