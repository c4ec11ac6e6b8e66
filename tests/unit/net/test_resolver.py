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
        asked: the lookups so far.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked: list[tuple[str, int]] = []
        self._answers: queue.SimpleQueue[Addresses | Exception] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def answer(self, answer: Addresses | Exception) -> None:
        self._answers.put(answer)

    def getaddrinfo(self, host: str, port: int, **_: object) -> list[tuple[int, int, int, str, object]]:
        with self._lock:
            self.asked.append((host, port))
        answer = self._answers.get(timeout=10)
        if isinstance(answer, Exception):
            raise answer
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in answer]


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
    for _ in range(16):
        names.answer(ONE)  # whatever still waits
    resolver.close()


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
    assert names.asked == [("backend.test", 443)]


def test_known_name_is_answered_at_once(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """Within half of its 30 s an answer is used without asking again; other ports and names are lookups of their own."""
    resolver.lookup("backend.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    names.now += 14.9
    resolver.lookup("backend.test", 443, told.append)
    assert told == [ONE, ONE]
    assert len(names.asked) == 1
    resolver.lookup("backend.test", 8443, told.append)
    names.answer(TWO)
    loop.wait()
    assert told == [ONE, ONE, TWO]


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
    """After 30 s the caller waits for a new answer."""
    resolver.lookup("backend.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    names.now += 30
    resolver.lookup("backend.test", 443, told.append)
    assert told == [ONE]
    names.answer(TWO)
    loop.wait()
    assert told == [ONE, TWO]


def test_last_answer_counts_while_the_name_service_fails(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """A failing lookup gives the last known addresses, however old, and is tried anew each time until one succeeds."""
    resolver.lookup("backend.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    for failures in range(1, 4):
        names.now += 3600
        resolver.lookup("backend.test", 443, told.append)
        names.answer(socket.gaierror(socket.EAI_AGAIN, "try again"))
        loop.wait()
        assert told == [ONE] * (1 + failures)
    resolver.lookup("backend.test", 443, told.append)
    names.answer(TWO)
    loop.wait()
    assert told[-1] == TWO


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


def test_slow_names_do_not_hold_up_others(
    resolver: Resolver, names: NameService, loop: HandLoop, told: list[Addresses]
) -> None:
    """Several lookups are under way at once: seven that hang leave the eighth its answer."""
    for number in range(8):
        resolver.lookup(f"backend-{number}.test", 443, told.append)
    names.answer(ONE)
    loop.wait()
    assert told == [ONE]


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
    """After `close` nobody is told anything by lookups that were still waiting for a thread."""
    resolver = Resolver(loop.as_loop())
    for number in range(9):
        resolver.lookup(f"backend-{number}.test", 443, told.append)
    resolver.close()
    for _ in range(8):
        names.answer(ONE)
    for _ in range(9):
        loop.wait()
    assert told == [ONE] * 8
    assert len(names.asked) == 8
