"""The poller with a loop turned by hand."""

import select
import socket
import time
from collections.abc import Iterator

import pytest

from mcproxy.net.loop.poller import HANGUP, READABLE, WRITABLE, Poller
from tests.support.hand_loop import HandLoop

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def loop() -> HandLoop:
    return HandLoop()


@pytest.fixture
def poller(loop: HandLoop) -> Iterator[Poller]:
    poller = Poller(loop.as_loop())
    yield poller
    poller.shut()


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_edges_are_told_once(loop: HandLoop, poller: Poller, pair: Pair) -> None:
    """A socket tells of room, of data and of the end once each, although nothing was read."""
    ours, theirs = pair
    masks: list[int] = []
    poller.watch(ours.fileno(), masks.append)
    loop.turn()
    loop.turn()
    assert masks == [WRITABLE]
    theirs.send(b"x")
    loop.turn()
    loop.turn()
    assert len(masks) == 2
    assert masks[1] & select.EPOLLIN
    theirs.close()
    loop.turn()
    assert len(masks) == 3
    assert masks[2] & HANGUP


def test_redirected_socket_has_a_new_handler(loop: HandLoop, poller: Poller, pair: Pair) -> None:
    """After `redirect` the old handler hears nothing more."""
    ours, theirs = pair
    old: list[int] = []
    new: list[int] = []
    poller.watch(ours.fileno(), old.append)
    loop.turn()
    poller.redirect(ours.fileno(), new.append)
    theirs.send(b"x")
    loop.turn()
    assert len(old) == 1
    assert len(new) == 1
    assert new[0] & READABLE


def test_forgotten_socket_is_silent_and_open(loop: HandLoop, poller: Poller, pair: Pair) -> None:
    """`forget` ends the events but leaves the socket to its owner; a second time does nothing."""
    ours, theirs = pair
    masks: list[int] = []
    poller.watch(ours.fileno(), masks.append)
    poller.forget(ours.fileno())
    poller.forget(ours.fileno())
    theirs.send(b"x")
    loop.turn()
    assert masks == []
    assert ours.recv(1) == b"x"


def test_listening_socket_tells_until_it_is_empty(loop: HandLoop, poller: Poller) -> None:
    """A listening socket is level-triggered: what is not accepted now is told again."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        seen: list[int] = []
        poller.watch_listening(listening.fileno(), seen.append)
        with socket.create_connection(listening.getsockname()):
            for _ in range(3):
                loop.turn()
            assert seen == [select.EPOLLIN] * 3
            listening.accept()[0].close()
            loop.turn()
            assert len(seen) == 3
        poller.forget(listening.fileno())


def test_no_stale_event_for_a_socket_closed_in_the_same_batch(loop: HandLoop, poller: Poller) -> None:
    """Of two sockets with events in one batch, the first handler closes the second: that one hears nothing."""
    pairs = [socket.socketpair() for _ in range(2)]
    heard: list[int] = []

    def handler(number: int, other: int) -> None:
        heard.append(number)
        poller.close(pairs[other][0])
        assert pairs[other][0].fileno() >= 0  # its number is not free for others before the batch has ended

    for number in (0, 1):
        poller.watch(
            pairs[number][0].fileno(),
            lambda _mask, number=number: handler(number, 1 - number),  # type: ignore[misc]
        )
    loop.turn()
    assert len(heard) == 1
    assert pairs[1 - heard[0]][0].fileno() == -1
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_number_of_a_closed_socket_can_be_watched_anew(loop: HandLoop, poller: Poller) -> None:
    """A new socket that gets a closed one's number has its own events, and only those."""
    first, first_peer = socket.socketpair()
    number = first.fileno()
    old: list[int] = []
    poller.watch(number, old.append)
    loop.turn()
    poller.close(first)
    loop.turn()
    assert first.fileno() == -1
    second, second_peer = socket.socketpair()
    assert number in (second.fileno(), second_peer.fileno())
    ours, theirs = (second, second_peer) if second.fileno() == number else (second_peer, second)
    new: list[int] = []
    poller.watch(number, new.append)
    first_peer.close()
    loop.turn()
    assert new == [WRITABLE]
    assert len(old) == 1
    poller.close(ours)
    loop.turn()
    theirs.close()


def test_socket_closed_outside_a_batch_is_closed_at_the_next_turn(loop: HandLoop, poller: Poller, pair: Pair) -> None:
    """Timers close sockets too; those need no event to be carried out. Who waits for the closing is told after it."""
    ours, theirs = pair
    done: list[int] = []
    poller.close(ours)
    poller.after_closing(lambda: done.append(ours.fileno()))
    assert ours.fileno() >= 0
    loop.turn()
    assert ours.fileno() == -1
    assert done == [-1]
    assert theirs.recv(1) == b""


def test_again_comes_after_the_events_of_the_turn(loop: HandLoop, poller: Poller, pair: Pair) -> None:
    """Who stopped early is called once per request, after the others, without any event."""
    ours, _ = pair
    order: list[str] = []
    poller.again(lambda: order.append("again"))
    poller.watch(ours.fileno(), lambda _mask: order.append("event"))
    loop.turn()
    assert order == ["event", "again"]
    loop.turn()
    assert order == ["event", "again"]


def test_who_asks_again_and_again_gives_way_to_events(loop: HandLoop, poller: Poller, pair: Pair) -> None:
    """Between two calls of one that never finishes, whatever event came up is handled."""
    ours, theirs = pair
    order: list[str] = []

    def once_more() -> None:
        order.append("more")
        theirs.send(b"x")
        if order.count("more") < 3:
            poller.again(once_more)

    poller.watch(ours.fileno(), lambda _mask: order.append("event"))
    loop.turn()
    order.clear()
    poller.again(once_more)
    while not loop.idle:
        loop.turn()
    loop.turn()
    assert order == ["more", "event"] * 3


def test_one_handlers_bug_does_not_take_the_others_events(loop: HandLoop, poller: Poller) -> None:
    """An exception is reported to the loop, and every other handler of the batch and the turn is still called."""
    pairs = [socket.socketpair() for _ in range(3)]
    heard: list[int] = []

    def handler(number: int) -> None:
        heard.append(number)
        raise RuntimeError(f"bug {number}")

    for number, pair in enumerate(pairs):
        poller.watch(pair[0].fileno(), lambda _mask, number=number: handler(number))  # type: ignore[misc]
    poller.again(lambda: handler(3))
    loop.turn()
    assert sorted(heard) == [0, 1, 2, 3]
    assert sorted(str(problem["exception"]) for problem in loop.problems) == [f"bug {number}" for number in range(4)]
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_now_is_the_batchs_time(loop: HandLoop, poller: Poller) -> None:
    """``now`` is taken once per batch, and by `tick` between batches."""
    before = time.monotonic()
    loop.turn()
    assert before <= poller.now <= time.monotonic()
    stamp = poller.now
    assert poller.tick() >= stamp
    assert poller.now >= stamp


def test_a_handlers_owner_ends_what_is_broken(loop: HandLoop, poller: Poller) -> None:
    """The event that it has missed does not come again; an error in that is reported as well."""

    class Owner:
        faults = 0

        def on_event(self, mask: int) -> None:
            raise RuntimeError("bug")

        def on_fault(self) -> None:
            self.faults += 1
            raise RuntimeError("another")

    owner = Owner()
    one, other = socket.socketpair()
    with one, other:
        poller.watch(one.fileno(), owner.on_event)
        loop.turn()
        assert owner.faults == 1
        assert [str(problem["exception"]) for problem in loop.problems] == ["bug", "another"]
        poller.forget(one.fileno())
