"""Accepting: what becomes of each connection that waits, and the pause when the system has nothing left."""

import errno
import socket
from collections import deque
from typing import Any, cast

import pytest

from mcproxy.net.sockets import PlainSocket
from mcproxy.worker.frontend import acceptor
from mcproxy.worker.frontend.acceptor import Acceptor
from mcproxy.worker.frontend.connection import Connection
from mcproxy.worker.live.listener import LiveListener
from tests.support.fake_worker import FakeWorker
from tests.support.tls import client_hello

HELLO = client_hello("app.example")
LISTENING = 7  # a descriptor


class Queue:
    """A listening socket, and the clients or errors that wait in it."""

    family = socket.AF_INET

    def __init__(self, worker: FakeWorker) -> None:
        self.worker = worker
        self.waiting: deque[tuple[str, int] | int] = deque()

    def fileno(self) -> int:
        return LISTENING

    def accept(self, sock: object, family: int) -> tuple[PlainSocket, tuple[Any, ...]]:
        """Stand for `mcproxy.net.sockets.accept`."""
        assert (sock, family) == (self, socket.AF_INET)
        if not self.waiting:
            raise BlockingIOError
        first = self.waiting.popleft()
        if isinstance(first, int):
            raise OSError(first, "not accepted")
        client = self.worker.wire.client(first[0], first)
        client.sock.incoming += HELLO
        return client.sock.as_plain(), first

    def arrive(self, *waiting: tuple[str, int] | int) -> None:
        """Let clients or errors wait, and epoll tell of them as long as some do (it is level-triggered)."""
        self.waiting.extend(waiting)
        for _ in range(len(self.waiting)):
            self.worker.wire.poller.wake(LISTENING)
            self.worker.wire.settle()


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def queue(worker: FakeWorker, monkeypatch: pytest.MonkeyPatch) -> Queue:
    made = Queue(worker)
    monkeypatch.setattr(acceptor, "accept", made.accept)
    return made


@pytest.fixture
def listener(worker: FakeWorker) -> LiveListener:
    return worker.listener(worker.route("app.example", "192.0.2.7:443"))


@pytest.fixture
def accepting(worker: FakeWorker, listener: LiveListener, queue: Queue) -> Acceptor:
    return Acceptor(worker.wire.loop.as_loop(), worker.frontend, listener, cast("socket.socket", queue))


CLIENTS = (("192.0.2.1", 1), ("192.0.2.2", 2), ("192.0.2.3", 3))


@pytest.mark.usefixtures("accepting")
def test_each_event_accepts_one_connection(worker: FakeWorker, queue: Queue, listener: LiveListener) -> None:
    """Other workers have their share of a burst; each connection begins at once."""
    queue.waiting.extend(CLIENTS)
    worker.wire.poller.wake(LISTENING)
    worker.wire.settle()
    assert len(queue.waiting) == 2
    assert worker.wire.happened() == ["dial 192.0.2.7:443"]
    assert worker.counted(listener.accepted_counter) == 1
    assert (len(worker.registry.connections), worker.admission.open) == (1, 1)


@pytest.mark.usefixtures("accepting")
def test_a_connection_over_the_limit_is_reset_and_told(
    worker: FakeWorker, queue: Queue, listener: LiveListener
) -> None:
    """It counts as accepted and as refused; the log knows who it was, and no route."""
    worker.admission.limit = 1
    queue.arrive(*CLIENTS[:2])
    assert worker.wire.happened() == ["dial 192.0.2.7:443", "192.0.2.2 reset"]
    assert (worker.counted(listener.accepted_counter), worker.refused("limit")) == (2, 1)
    (line,) = worker.log.connections
    assert (line.listener, line.client, line.reason) == (":8443", "192.0.2.2:2", "limit")
    assert (line.route, line.sni, line.mode, line.total) == ("", "", "", 0.0)
    worker.log.is_open = False
    queue.arrive(CLIENTS[2])
    assert worker.refused("limit") == 2
    assert len(worker.log.connections) == 1


@pytest.mark.usefixtures("accepting")
def test_a_connection_that_is_gone_already_is_passed_over(worker: FakeWorker, queue: Queue) -> None:
    """That is its own error, not the listening socket's."""
    queue.arrive(errno.ECONNABORTED, CLIENTS[0])
    assert worker.wire.happened() == ["dial 192.0.2.7:443"]
    assert worker.refused("no_resources") == 0


@pytest.mark.usefixtures("accepting")
def test_accepting_pauses_when_descriptors_run_out(worker: FakeWorker, queue: Queue) -> None:
    """The queue keeps the clients; after a moment it is looked at again."""
    queue.arrive(errno.EMFILE, CLIENTS[0])
    assert worker.refused("no_resources") == 1
    assert LISTENING not in worker.wire.poller.watched
    assert list(queue.waiting) == [CLIENTS[0]]
    worker.wire.pass_time(0.15)
    assert LISTENING in worker.wire.poller.watched
    queue.arrive()
    assert worker.wire.happened() == ["dial 192.0.2.7:443"]


def test_a_socket_that_was_given_up_amid_the_pause_stays_so(
    worker: FakeWorker, queue: Queue, accepting: Acceptor
) -> None:
    """Another worker serves it by then."""
    queue.arrive(errno.ENOBUFS)
    accepting.stop()
    worker.wire.pass_time(1)
    assert LISTENING not in worker.wire.poller.watched


@pytest.mark.usefixtures("accepting")
def test_another_error_is_a_fault(worker: FakeWorker, queue: Queue) -> None:
    """Nothing is known that would mend it."""
    with pytest.raises(OSError, match="not accepted"):
        queue.arrive(errno.EBADF)
    assert worker.refused("no_resources") == 0


def test_a_socket_that_is_to_be_closed_is_drained_first(worker: FakeWorker, queue: Queue, accepting: Acceptor) -> None:
    """Closing it would reset whoever waits in its queue; those that are gone don't end the draining."""
    queue.waiting.extend([CLIENTS[0], errno.EPROTO, CLIENTS[1]])
    accepting.drain()
    assert len(worker.registry.connections) == 2
    assert LISTENING not in worker.wire.poller.watched


def test_draining_ends_when_descriptors_run_out(worker: FakeWorker, queue: Queue, accepting: Acceptor) -> None:
    """It does not wait for them."""
    queue.waiting.extend([CLIENTS[0], errno.ENFILE, CLIENTS[1]])
    accepting.drain()
    worker.wire.pass_time(1)
    assert len(worker.registry.connections) == 1
    assert LISTENING not in worker.wire.poller.watched


@pytest.mark.usefixtures("accepting")
def test_a_connection_that_cannot_begin_is_reset(
    worker: FakeWorker, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing watches it yet, so it would never end; the error is reported, and its place is free again."""

    def fail(_: Connection) -> None:
        raise MemoryError

    monkeypatch.setattr(Connection, "_enter", fail)
    queue.arrive(CLIENTS[0])
    assert worker.wire.happened() == ["fault: MemoryError()", "idle", "192.0.2.1 reset"]
    assert (len(worker.registry.connections), worker.admission.open) == (0, 0)
