"""The end of a connection without TLS: FIN first, then what comes is thrown away until the client ends or its time is over."""

import asyncio
import socket

import pytest

from mcproxy.worker.http.lingering import Lingering
from tests.support.fake_http import FakeTransport, HttpWire


class Ending:
    """A transport whose protocol lingers, and what it has been told."""

    def __init__(self, unsent: int = 0, *, reads: bool = True) -> None:
        self.wire = HttpWire()
        self.lost: list[Exception | None] = []
        self.transport = FakeTransport(self.wire, "client", self.wire.client("client").sock, None)
        self.transport.protocol = asyncio.Protocol()
        self.transport.unsent = unsent
        self.transport.reading = reads
        self.page = memoryview(bytearray(100))
        self.lingering = Lingering(self.transport, self.page, self.wire.now, self.lost.append)


@pytest.mark.parametrize("reads", [True, False])
def test_the_stream_is_ended_and_read_on(*, reads: bool) -> None:
    """With the smallest buffer that the kernel has, also where reading had been stopped."""
    ending = Ending(reads=reads)
    assert ending.wire.happened() == ["client half-closed", *([] if reads else ["client reads on"])]
    assert ending.transport.is_reading()
    assert ending.transport.protocol is ending.lingering
    assert ending.transport._sock.options[socket.SOL_SOCKET, socket.SO_RCVBUF] == 0
    ending.transport.peer.sends(bytes(1000))
    assert not ending.transport.is_closing()
    assert ending.lost == []
    ending.transport.peer.ends()
    assert ending.transport.is_closing()
    assert ending.lost == [None]


def test_a_client_that_goes_away_is_told_of() -> None:
    """With why it has."""
    ending = Ending()
    error = ConnectionResetError()
    ending.transport.peer.is_gone(error)
    assert ending.lost == [error]


def test_the_time_goes_on_only_while_the_client_takes_something() -> None:
    """From the last look at which less was left than before."""
    ending = Ending(unsent=10)
    now = ending.wire.now
    first = ending.lingering.until
    assert first == now + 5
    assert ending.lingering.check(first - 1) == first
    ending.transport.unsent = 9
    assert ending.lingering.check(first) == first + 5 == ending.lingering.until
    assert ending.lingering.check(first + 5) == float("inf")
    assert ending.transport.is_closing()


def test_it_can_be_cut_short() -> None:
    """As when the worker has to end."""
    ending = Ending()
    ending.lingering.abort()
    assert ending.transport.is_closing()
