"""The resolver with a clock and a name service of the test's own."""

import queue
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from mcproxy.net import resolver as module
from mcproxy.net.resolver import Addresses, Resolver
from tests.support.hand_loop import HandLoop

ONE: Addresses = ((socket.AF_INET, ("192.0.2.1", 443)),)
TWO: Addresses = ((socket.AF_INET6, ("2001:db8::2", 443, 0, 0)), (socket.AF_INET, ("192.0.2.2", 443)))


class NameService:
    """Answers getaddrinfo(3) as the test says; a lookup waits until it is answered.

    Attributes:
        now: the resolver's clock, monotonic seconds.
        asked: the names looked up so far.
        hanging: names that are never answered.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked: list[str] = []
        self.hanging: frozenset[str] = frozenset()
        self._answers: queue.SimpleQueue[Addresses | Exception] = queue.SimpleQueue()
        self._over = threading.Event()
        self._lock = threading.Lock()

    def answer(self, answer: Addresses | Exception) -> None:
        self._answers.put(answer)

    def end(self) -> None:
        """Let every lookup fail that still waits."""
        self._over.set()
        for _ in range(300):
            self._answers.put(OSError("the test is over"))

    def getaddrinfo(self, name: bytes, port: None, **options: object) -> list[tuple[int, int, int, str, object]]:
        host = name.decode()
        assert port is None
        assert options == {"type": socket.SOCK_STREAM}, "no flags: AI_ADDRCONFIG hides addresses"
        with self._lock:
            self.asked.append(host)
        if host in self.hanging:
            self._over.wait(timeout=10)
            raise OSError("the test is over")
        answer = self._answers.get(timeout=10)
        if isinstance(answer, Exception):
            raise answer
        return [(family, socket.SOCK_STREAM, 6, "", (address[0], 0, *address[2:])) for family, address in answer]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> NameService:
    names = NameService()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: names.now))
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    return names


@pytest.fixture
def loop() -> HandLoop:
    return HandLoop()


@pytest.fixture
def resolver(loop: HandLoop, names: NameService) -> Iterator[Resolver]:
    resolver = Resolver(loop.as_loop())
    yield resolver
    resolver.close()
    names.end()


@pytest.fixture
def told() -> list[Addresses]:
    return []


def test_all_addresses_in_their_order(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """The caller is told every address of both families, in the order of the name service, when the lookup is done."""
    resolver.lookup("backend.test", 443, told.append)
    assert told == []
    names.answer(TWO)
    loop.wait()
    assert told == [TWO]
    assert names.asked == ["backend.test"]


def test_known_name_is_answered_at_once(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """Within half of its 30 s an answer is used without asking again, for every port; other names are asked for."""
    resolver.lookup("backend.test", 443, told.append)
    names.answer(TWO)
    loop.wait()
    names.now += 14.9
    resolver.lookup("backend.test", 443, told.append)
    assert told == [TWO, TWO]
    resolver.lookup("backend.test", 8443, told.append)
    assert told[2:] == [
        ((socket.AF_INET6, ("2001:db8::2", 8443, 0, 0)), (socket.AF_INET, ("192.0.2.2", 8443))),
    ]
    assert len(names.asked) == 1
    resolver.lookup("other.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    assert told[3:] == [ONE]


def test_families_take_turns(resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]) -> None:
    """A family that can't be reached is not tried several times before the other; an address counts once."""
    six: Addresses = tuple((socket.AF_INET6, (f"2001:db8::{number}", 443, 0, 0)) for number in (1, 2, 3))
    resolver.lookup("backend.test", 443, told.append)
    names.answer((*six, *ONE, *ONE, TWO[1]))
    loop.wait()
    assert told == [(six[0], ONE[0], six[1], TWO[1], six[2])]


def test_lookups_of_one_name_are_one(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """Whoever asks while a lookup is under way waits for the same answer."""
    for _ in range(5):
        resolver.lookup("backend.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    assert told == [ONE] * 5
    assert len(names.asked) == 1


def test_answer_in_use_is_refreshed_behind_the_use(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """In the second half of its time an answer is used at once and asked for again, once; the new one then counts."""
    resolver.lookup("backend.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    names.now += 15
    resolver.lookup("backend.test", 443, told.append)
    resolver.lookup("backend.test", 443, told.append)
    assert told == [ONE] * 3
    names.answer(TWO)
    loop.wait()
    assert len(names.asked) == 2
    assert told == [ONE] * 3
    names.now += 14
    resolver.lookup("backend.test", 443, told.append)
    assert told[3:] == [TWO]
    assert len(names.asked) == 2


def test_old_answer_is_not_used_without_asking(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """After 30 s the caller waits a moment for a new answer."""
    resolver.lookup("backend.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    names.now += 30
    resolver.lookup("backend.test", 443, told.append)
    loop.pass_time(0.19)
    assert told == [ONE]
    names.answer(TWO)
    loop.wait()
    assert told == [ONE, TWO]
    loop.pass_time(1)
    assert told == [ONE, TWO]


def test_known_address_does_not_wait_for_a_silent_name_service(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """Whoever asks first waits 0.2 s, all others nothing, as long as the outage lasts; there is one lookup all the time."""
    resolver.lookup("backend.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    names.now += 31
    resolver.lookup("backend.test", 443, told.append)
    names.now += 0.1
    resolver.lookup("backend.test", 443, told.append)
    assert told == [ONE]
    loop.pass_time(0.2)
    assert told == [ONE] * 3
    for number in range(4, 8):
        names.now += 60
        resolver.lookup("backend.test", 443, told.append)
        assert told == [ONE] * number
    assert len(names.asked) == 2
    names.answer(TWO)
    loop.wait()
    resolver.lookup("backend.test", 443, told.append)
    assert told[7:] == [TWO]


def test_refresh_that_hangs_costs_nobody_a_wait(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """A refresh behind the use that is not over when the answer is too old has had its time."""
    resolver.lookup("backend.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    names.now += 20
    resolver.lookup("backend.test", 443, told.append)
    names.now += 20
    resolver.lookup("backend.test", 443, told.append)
    assert told == [ONE] * 3


def test_last_answer_counts_while_the_name_service_fails(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """After a failing lookup the last known addresses are used at once, however old; a name is asked for once a second."""
    resolver.lookup("backend.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    names.now += 3600
    resolver.lookup("backend.test", 443, told.append)
    names.answer(socket.gaierror(socket.EAI_AGAIN, "try again"))
    loop.wait()
    assert told == [ONE] * 2
    for _ in range(5):
        names.now += 0.1
        resolver.lookup("backend.test", 443, told.append)
    assert told == [ONE] * 7
    assert len(names.asked) == 2
    names.now += 3600
    resolver.lookup("backend.test", 443, told.append)
    assert told == [ONE] * 8
    names.answer(TWO)
    loop.wait()
    resolver.lookup("backend.test", 443, told.append)
    assert told[8:] == [TWO]
    assert len(names.asked) == 3


@pytest.mark.parametrize(
    "error", [socket.gaierror(socket.EAI_NONAME, "unknown"), OSError("no sockets"), UnicodeError("label too long")]
)
def test_unknown_name_has_no_address_and_is_asked_again(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses], error: Exception
) -> None:
    """A failure without an earlier answer is told as no address; it is not remembered."""
    resolver.lookup("nowhere.test", 443, told.append)
    names.answer(error)
    loop.wait()
    assert told == [()]
    resolver.lookup("nowhere.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    assert told == [(), ONE]


def test_names_of_a_dead_zone_do_not_hold_up_others(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """Sixty names that hang leave another one of the same zone its answer, and hundreds those of other zones."""
    dead = [f"backend-{number}.dead.test" for number in range(400)]
    names.hanging = frozenset(dead)
    for name in dead[:60]:
        resolver.lookup(name, 443, told.append)
    resolver.lookup("alive.dead.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    assert told == [ONE]
    for name in dead[60:]:
        resolver.lookup(name, 443, told.append)
    resolver.lookup("backend.test", 443, told.append)
    names.answer(TWO)
    loop.wait()
    assert told == [ONE, TWO]
    assert len(names.asked) <= 64 + 2


def test_queued_names_follow_those_that_are_done(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """Beyond the bound of a zone lookups wait for another one's end, and are lost for nobody."""
    for number in range(100):
        resolver.lookup(f"backend-{number}.test", 443, told.append)
    for _ in range(100):
        names.answer(ONE)
        loop.wait()
    assert told == [ONE] * 100
    assert sorted(names.asked) == sorted(f"backend-{number}.test" for number in range(100))


def test_no_thread_to_be_had(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lookup has failed, and the next one is tried."""

    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as broken:
        broken.setattr(threading.Thread, "start", fail)
        resolver.lookup("backend.test", 443, told.append)
        loop.wait()
    assert told == [()]
    resolver.lookup("backend.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    assert told == [(), ONE]


def test_literal_loopback_name_of_the_system(loop: HandLoop, told: list[Addresses]) -> None:
    """The system's own name service knows localhost, and its answer has the form that sockets connect to."""
    resolver = Resolver(loop.as_loop())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        resolver.lookup("localhost", port, told.append)
        loop.wait()
        ((family, address),) = [each for each in told[0] if each[0] == socket.AF_INET]
        assert address == ("127.0.0.1", port)
        with socket.socket(family) as sock:
            sock.connect(address)
    resolver.close()


def test_closing_drops_what_has_not_begun(names: NameService, loop: HandLoop, told: list[Addresses]) -> None:
    """After `close` nobody is told anything, and no queued lookup begins."""
    resolver = Resolver(loop.as_loop())
    for number in range(65):
        resolver.lookup(f"backend-{number}.test", 443, told.append)
    resolver.close()
    names.end()
    for thread in threading.enumerate():
        if thread.name == "resolver":
            thread.join()
    assert loop.idle
    assert told == []
    assert len(names.asked) == 64


def test_renewing_asks_whatever_is_known_and_tells_the_new_answer_alone(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """A failure is told as no address, while those who look up go on with the last answer."""
    for answer in (ONE, TWO):
        resolver.renew("backend.test", 443, told.append)
        names.answer(answer)
        loop.wait()
    assert told == [ONE, TWO]
    resolver.renew("backend.test", 443, told.append)
    resolver.renew("backend.test", 80, told.append)  # the same lookup serves both
    names.answer(OSError("none"))
    loop.wait()
    assert told[2:] == [(), ()]
    resolver.lookup("backend.test", 443, told.append)
    assert told[4:] == [TWO]
    assert names.asked == ["backend.test"] * 3
