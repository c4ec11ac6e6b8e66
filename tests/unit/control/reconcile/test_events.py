"""Events: everyone who watches gets each once, in order, and nobody holds the others up."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from mcproxy.control.reconcile import events as module
from mcproxy.control.reconcile.events import ControlEvent, Events


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


async def take(watcher: AsyncIterator[ControlEvent], count: int) -> list[int]:
    """Return the ids of the next events."""
    return [(await anext(watcher)).id for _ in range(count)]


async def rest(watcher: AsyncIterator[ControlEvent]) -> list[int]:
    """Return the ids of all that comes until the end."""
    return [event.id async for event in watcher]


async def begun(watcher: AsyncIterator[ControlEvent]) -> "asyncio.Task[list[int]]":
    """Let a watcher wait for its next event, and return what will hold its id."""
    waiting = asyncio.ensure_future(take(watcher, 1))
    await asyncio.sleep(0)
    return waiting


def publish(events: Events, count: int) -> None:
    for number in range(count):
        events.publish("applied", f"change {number}", number, ["a", "b"])


def test_a_watcher_gets_the_past_it_asks_for_and_then_what_comes() -> None:
    """Each once and in order, however little of the past there is."""

    async def main() -> None:
        events = Events()
        publish(events, 3)
        two, many, none = events.watch(2), events.watch(2**32 - 1), events.watch(0)
        assert await take(two, 2) == [2, 3]
        assert await take(many, 3) == [1, 2, 3]
        waiting = [await begun(watcher) for watcher in (two, many, none)]
        publish(events, 1)
        assert [await each for each in waiting] == [[4], [4], [4]]

    run(main())


def test_an_event_says_what_happened() -> None:
    """When, of what kind, in words, at which generation, with its lines."""
    events = Events()
    events.publish("refused", "invalid", 7, (line for line in ("one", "two")))
    (event,) = events.recent(1)
    assert (event.id, event.kind, event.message, event.generation) == (1, "refused", "invalid", 7)
    assert event.lines == ("one", "two")
    assert event.time > 1e9
    assert events.recent(0) == events.recent(-1) == ()


def test_only_the_last_events_are_remembered() -> None:
    """A ring: the newest push the oldest out, the numbers go on."""
    events = Events()
    publish(events, module._REMEMBERED + 10)
    assert [event.id for event in events.recent(2**32)] == list(range(11, module._REMEMBERED + 11))


def test_a_watcher_that_is_too_slow_is_cut_off_without_a_gap() -> None:
    """It gets what was kept for it, then the end; the others are served on."""

    async def main() -> None:
        events = Events()
        slow, quick = events.watch(0), events.watch(0)
        first = [await begun(slow), await begun(quick)]
        publish(events, 1)
        assert [await each for each in first] == [[1], [1]]
        for number in range(module._QUEUED + 5):
            waiting = await begun(quick)
            publish(events, 1)
            assert await waiting == [number + 2]
        assert await rest(slow) == list(range(2, module._QUEUED + 2))
        waiting = await begun(quick)
        publish(events, 1)
        assert await waiting == [module._QUEUED + 7]

    run(main())


def test_a_watcher_that_goes_leaves_nothing_behind() -> None:
    """Nothing is kept for it any more."""

    async def main() -> None:
        events = Events()
        watcher = events.watch(0)
        (await begun(watcher)).cancel()
        await asyncio.sleep(0)
        await watcher.aclose()  # type: ignore[attr-defined]  # a generator
        assert events._watchers == set()

    run(main())


def test_the_end_is_the_end_for_all() -> None:
    """Those who watch get what was still to come; those who come later the past alone."""

    async def main() -> None:
        events = Events()
        watcher = events.watch(0)
        waiting = await begun(watcher)
        publish(events, 2)
        events.end()
        assert await waiting == [1]
        assert await rest(watcher) == [2]
        assert await rest(events.watch(1)) == [2]
        assert await rest(events.watch(0)) == []

    run(main())
