"""Time limits under any schedule: never early, never later than the look that follows the bucket, never forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from mcproxy.net.loop.deadlines import Deadlines
from tests.support.examples import examples

BUCKET = 0.1
TICK = 0.1


def fail(error: Exception) -> None:
    raise error


class Item:
    """An item that knows its limit; the buckets only know when to ask."""

    def __init__(self) -> None:
        self.limit: float | None = None
        self.bucket = 0
        self.struck: list[float] = []

    def on_deadline(self, now: float) -> float | None:
        assert self.limit is not None, "asked although it was cancelled"
        if now < self.limit:
            return self.limit
        self.struck.append(now)
        self.limit = None
        return None

    def on_fault(self) -> None:
        raise AssertionError("no item raises")


action = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 4), st.floats(0, 8, allow_nan=False)),
    st.tuples(st.just("put off"), st.integers(0, 4), st.floats(0, 8, allow_nan=False)),
    st.tuples(st.just("cancel"), st.integers(0, 4), st.none()),
    st.tuples(st.just("ticks"), st.integers(1, 40), st.none()),
)


@examples(300)
@given(start=st.floats(0, 1e7, allow_nan=False), actions=st.lists(action, max_size=40))
def test_limits_strike_in_time(start: float, actions: list[tuple[str, int, float | None]]) -> None:
    """Whatever is set, moved, put off and cancelled: each limit strikes once, at most a bucket and a tick late."""
    now = start
    deadlines = Deadlines(now, fail)
    items = [Item() for _ in range(5)]
    slack = BUCKET + TICK + 1e-6

    def tick() -> None:
        nonlocal now
        due = [(item, item.limit) for item in items if item.limit is not None]
        now += TICK
        deadlines.expire(now)
        for item, limit in due:
            if item.limit is None:
                assert item.struck[-1] == now
                assert now >= limit, "early"
            assert item.limit is None or now < limit + slack, "late"

    for kind, number, value in actions:
        match kind, value:
            case "set", float():
                item = items[number]
                if item.limit is None or now + value < item.limit:
                    item.limit = now + value
                    deadlines.set(item, item.limit)
            case "put off", float():
                if items[number].limit is not None:
                    items[number].limit += value  # type: ignore[operator]  # checked in the line above
            case "cancel", _:
                items[number].limit = None
                deadlines.cancel(items[number])
            case _:
                for _ in range(number):
                    tick()
    while any(item.limit is not None for item in items):
        tick()
    assert all(item.bucket == 0 for item in items)
    assert not any(deadlines._buckets.values())
