"""What a worker keeps of those that were refused."""

import sys
import tracemalloc

import pytest

from mcproxy.model.values.reasons import REASONS
from mcproxy.net.told import KeptRefusal
from mcproxy.worker.requests.refusals import KEPT, TURNED_AWAY, UNTOLD, Kept, Refusals

ADDRESS = b"\xc0\x00\x02\x01"
LONG = 5000


def add(kept: Refusals, number: int, client: bytes = ADDRESS, *, path: bytes = b"", status: int = 0) -> None:
    """Keep a request whose id is its number."""
    fields = "GET", "a.test", "a.test"
    method, authority, route = fields
    kept.add(
        *(float(number), ":443", "no_case", client, 4711, kept.generation, route, "", f"{number:016x}".encode()),
        *(method.encode(), authority.encode(), path, "", "", "", status, "", b""),
    )


def add_longest(kept: Refusals, number: int) -> None:
    """Keep one of which everything is as long as clients and the configuration can make it."""
    text = f"{number:06}" + "\u20ac" * LONG
    said = text.encode()
    kept.add(
        *(
            float(number),
            text,
            "no_case",
            bytes(16),
            65_535,
            2**60,
            text,
            text,
            f"{number:06}".ljust(128, "x").encode(),
        ),
        *(said, said, said, text, text, text, 503, text, bytes(16)),
    )


def test_the_last_thousand_of_each_sort_are_kept() -> None:
    """A flood of refused connections pushes out no request, nor requests a connection; the newest stands first."""
    kept = Refusals()
    for number in range(KEPT + 5):
        add(kept, number)
    for number in range(3 * KEPT):
        kept.turned_away(float(number), ":443", "", "rate_limit", (ADDRESS, number), "", "")
    assert (len(kept), kept.total) == (2 * KEPT, 4 * KEPT + 5)
    assert [each.id for each in kept.find(f"{5:016x}", b"")] == [f"{5:016x}"]
    assert not list(kept.find(f"{4:016x}", b""))
    ports = [each.port for each in kept.find("", ADDRESS) if each.reason == "rate_limit"]
    assert ports == list(range(3 * KEPT - 1, 2 * KEPT - 1, -1))


def test_what_is_kept_of_a_client() -> None:
    """Of it alone, whichever form its address has; with what was live, and the time of the clock on the wall."""
    kept = Refusals()
    kept.generation = 7
    add(kept, 90, path=b"/x\x1b", status=404)
    kept.turned_away(95.0, ":80", "a.test", "filter_rate", (bytes(10) + b"\xff\xff" + ADDRESS, 1), "a.test", "office")
    add(kept, 99, b"\xc0\x00\x02\x02")
    found = list(kept.find("", ADDRESS))
    assert [(each.reason, each.generation, each.listener) for each in found] == [
        ("filter_rate", 7, ":80"),
        ("no_case", 7, ":443"),
    ]
    assert found[0].at - found[1].at == pytest.approx(5)
    assert (found[0].filter, found[0].sni, found[0].route, found[1].path, found[1].status) == (
        "office",
        "a.test",
        "a.test",
        r"/x\x1b",
        404,
    )
    assert kept.goes_back() == kept.since


def test_since_when_all_is_kept() -> None:
    """From the oldest on that has not been pushed out yet, of the sort that has come more often."""
    kept = Refusals()
    for number in range(KEPT + 10):
        add(kept, number)
    (oldest,) = kept.find(f"{10:016x}", b"")
    assert kept.goes_back() == oldest.at


def test_a_thousand_take_less_than_a_mebibyte_whatever_they_are_called() -> None:
    """Also of both sorts, with names of the longest kind that belong to no snapshot any more; ids stay whole."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = Refusals()
        for number in range(KEPT + 100):
            add_longest(kept, number)
            source = (bytes(12) + number.to_bytes(4, "big"), 40_000 + number)
            route, server = (f"{kind}{number}" + "x" * LONG for kind in "ab")
            kept.turned_away(number + 0.5, f"[::1]:{number}", route, "no_route", source, server, f"x{number}")
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(kept) == 2 * KEPT
    assert taken < 1 << 20
    assert [each.id[:6] for each in kept.find(f"{500:06}".ljust(128, "x"), b"")] == ["000500"]


def test_what_is_told_has_the_fields_of_what_is_kept() -> None:
    assert KeptRefusal.__struct_fields__ == Kept.__struct_fields__


def test_every_reason_is_of_one_sort() -> None:
    """Those that come in floods say all there is to say in a word; what was served is kept by nobody."""
    assert set(REASONS) > TURNED_AWAY
    assert set(REASONS) > UNTOLD
    assert not TURNED_AWAY & UNTOLD
    assert sys.getsizeof(Refusals()) < 200
