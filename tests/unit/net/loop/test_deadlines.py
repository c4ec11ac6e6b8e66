"""Time limits; every time is made up by the test."""

from mcproxy.net.loop.deadlines import Deadlines


def fail(error: Exception) -> None:
    """Let a bug that no test expects end the test."""
    raise error


class Item:
    """Something with a limit that can be put off without telling."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.bucket = 0
        self.asked: list[float] = []
        self.struck: float | None = None
        self.closed = 0

    def on_deadline(self, now: float) -> float | None:
        self.asked.append(now)
        if now < self.limit:
            return self.limit
        self.struck = now
        return None

    def on_fault(self) -> None:
        self.closed += 1


def test_limit_strikes_once_and_not_early() -> None:
    """An item is asked at its limit or within the bucket behind it, and never again."""
    deadlines = Deadlines(100.0, fail)
    item = Item(105.0)
    deadlines.set(item, item.limit)
    deadlines.expire(104.99)
    assert item.asked == []
    deadlines.expire(105.11)
    assert item.struck == 105.11
    deadlines.expire(200.0)
    assert len(item.asked) == 1
    assert item.bucket == 0


def test_putting_off_costs_one_question() -> None:
    """An item whose limit has moved on meanwhile is asked at the old one and strikes at the new one."""
    deadlines = Deadlines(0.0, fail)
    item = Item(5.0)
    deadlines.set(item, item.limit)
    item.limit = 9.0
    deadlines.expire(6.0)
    assert item.struck is None
    deadlines.expire(8.9)
    assert item.asked == [6.0]
    deadlines.expire(9.2)
    assert item.struck == 9.2


def test_limit_that_comes_closer_moves_the_item() -> None:
    """Setting an earlier time counts at once; setting a later one keeps the earlier question."""
    deadlines = Deadlines(0.0, fail)
    item = Item(2.0)
    deadlines.set(item, 300.0)
    deadlines.set(item, 2.0)
    deadlines.set(item, 50.0)
    deadlines.expire(2.2)
    assert item.asked == [2.2]
    deadlines.expire(400.0)
    assert item.asked == [2.2]


def test_cancelled_item_is_forgotten() -> None:
    """`cancel` works for items that are set, are not, or were before."""
    deadlines = Deadlines(0.0, fail)
    item = Item(1.0)
    deadlines.cancel(item)
    deadlines.set(item, 1.0)
    deadlines.cancel(item)
    deadlines.cancel(item)
    deadlines.expire(10.0)
    assert item.asked == []


def test_limit_in_the_past_strikes_at_the_next_look() -> None:
    """A limit that has passed already, also long ago, is dealt with at the next look, not lost."""
    deadlines = Deadlines(50.0, fail)
    deadlines.expire(60.0)
    item = Item(10.0)
    deadlines.set(item, 10.0)
    deadlines.expire(60.2)
    assert item.struck == 60.2


def test_items_of_one_bucket_may_cancel_each_other() -> None:
    """When two items strike together, the end of one may cancel the other, whichever is asked first."""
    deadlines = Deadlines(0.0, fail)

    class Partner(Item):
        other: "Partner"

        def on_deadline(self, now: float) -> float | None:
            deadlines.cancel(self.other)
            return super().on_deadline(now)

    pairs = []
    for _ in range(20):
        one, two = Partner(1.0), Partner(1.0)
        one.other, two.other = two, one
        deadlines.set(one, 1.0)
        deadlines.set(two, 1.0)
        pairs.append((one, two))
    later = Item(2.0)
    deadlines.set(later, 2.0)
    deadlines.expire(1.2)
    assert all((one.struck is None) != (two.struck is None) for one, two in pairs)
    deadlines.expire(2.2)
    assert later.struck == 2.2


def test_item_set_anew_while_others_expire() -> None:
    """An item may be set, or set another, from within its own question; the new time counts."""
    deadlines = Deadlines(0.0, fail)
    fresh = Item(1.0)

    class Parent(Item):
        def on_deadline(self, now: float) -> float | None:
            deadlines.set(fresh, now)
            return super().on_deadline(now)

    parent = Parent(1.0)
    deadlines.set(parent, 1.0)
    deadlines.expire(1.2)
    assert parent.struck == 1.2
    assert fresh.asked == []
    deadlines.expire(1.3)
    assert fresh.struck == 1.3


class Broken(Item):
    """Raises when it is asked, and perhaps again when it is closed."""

    def __init__(self, *, utterly: bool) -> None:
        super().__init__(1.0)
        self.utterly = utterly

    def on_deadline(self, now: float) -> float | None:
        super().on_deadline(now)
        raise ValueError("asked")

    def on_fault(self) -> None:
        super().on_fault()
        if self.utterly:
            raise ValueError("closed")


def test_an_item_that_raises_is_closed_and_the_others_are_asked() -> None:
    """Its bucket and all later ones go on, and it is reported; it is not asked again."""
    faults: list[str] = []
    deadlines = Deadlines(0.0, lambda error: faults.append(str(error)))
    broken = [Broken(utterly=bool(number % 2)) for number in range(4)]
    others = [Item(1.0) for _ in range(20)]
    later = Item(2.0)
    for item in (*others[:10], *broken, *others[10:], later):
        deadlines.set(item, item.limit)
    deadlines.expire(1.2)
    assert [item.struck for item in others] == [1.2] * 20
    assert [item.closed for item in broken] == [1] * 4
    assert sorted(faults) == ["asked"] * 4 + ["closed"] * 2
    deadlines.expire(100.0)
    assert later.struck == 100.0
    assert [len(item.asked) for item in broken] == [1] * 4
    assert [item.closed for item in (*others, later)] == [0] * 21


def test_an_item_whose_answer_is_no_time_is_closed() -> None:
    """What makes no sense to the buckets is the item's bug as well."""
    faults: list[Exception] = []
    deadlines = Deadlines(0.0, faults.append)

    class Lost(Item):
        def on_deadline(self, _now: float) -> float | None:
            return float("nan")

    lost, other = Lost(1.0), Item(1.0)
    deadlines.set(lost, 1.0)
    deadlines.set(other, 1.0)
    deadlines.expire(1.2)
    assert (lost.closed, other.struck, len(faults)) == (1, 1.2, 1)
