"""Giving memory back to the system."""

from mcproxy.net.c_library import malloc_trim
from mcproxy.worker.tools.heap import Heap
from tests.support.hand_loop import HandLoop


def test_many_who_end_together_release_once() -> None:
    """Within a second one release serves all who have asked; who asks later has one of its own."""
    loop, released = HandLoop(), list[int]()
    heap = Heap(loop.as_loop(), lambda: released.append(1))
    for _ in range(3):
        heap.release_later()
    loop.pass_time(0.9)
    assert released == []
    loop.pass_time(0.2)
    assert released == [1]
    heap.release_later()
    loop.pass_time(2)
    assert released == [1, 1]


def test_the_c_library_is_asked() -> None:
    """Whatever the library is, the release can be called."""
    release = malloc_trim()
    assert release() in (None, 0, 1)
