"""The conversation of two controls, from the old one's end."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable

import pytest

from mcproxy.control.restart.successor import Successor
from mcproxy.errors import PreconditionError
from mcproxy.net import ipc

HEAD = """
import os, socket, time
from mcproxy.net import ipc
channel = socket.socket(fileno=int(os.environ["MCPROXY_RESTART"]))
"""


def with_successor(program: str, body: Callable[[Successor], Awaitable[None]], limit: float = 30.0) -> None:
    """Run a body with a program that has the other end of the conversation as ``channel``; it is gone afterwards."""

    async def run() -> None:
        successor = Successor([sys.executable, "-c", HEAD + program], limit)
        try:
            await body(successor)
        finally:
            await successor.kill()
        with pytest.raises(ProcessLookupError):
            os.kill(successor.pid, 0)

    asyncio.run(run())


async def _refused(successor: Successor, why: str) -> None:
    with pytest.raises(PreconditionError, match=why):
        await successor.hear(ipc.Ready)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("raise SystemExit(4)", r"ended with status 4 before it was ready; its log says why"),
        ("os.kill(os.getpid(), 9)", r"was killed by SIGKILL before it was ready"),
        ("ipc.send(channel, ipc.Failed('line 3 is wrong'))", r"^line 3 is wrong$"),
        ("ipc.send(channel, ipc.Taken())", r"said Taken where Ready was expected"),
        ("channel.send(b'nonsense')", r"can't be understood: a packet is malformed"),
        ("channel.close(); time.sleep(60)", r"does not talk any more"),
    ],
)
def test_what_goes_wrong_is_told(program: str, why: str) -> None:
    """Each way in which a program does not get ready has its words."""
    with_successor(program, lambda successor: _refused(successor, why))


def test_a_program_that_hangs_is_given_up() -> None:
    """When its time is over, whatever it has said before."""

    async def body(successor: Successor) -> None:
        assert await successor.hear(ipc.Ready) == ipc.Ready()
        successor._until = time.monotonic() + 0.2  # of the limit: a busy machine takes long until the program has begun
        with pytest.raises(PreconditionError, match=r"was not ready within 60 s"):
            await successor.hear(ipc.Taken)

    with_successor("ipc.send(channel, ipc.Ready()); time.sleep(60)", body, limit=60.0)


def test_a_program_that_hears_nothing_is_given_up() -> None:
    """The conversation is full, and what is sent waits no longer than the time that is left."""

    async def body(successor: Successor) -> None:
        with pytest.raises(PreconditionError, match=r"was not ready within 1 s"):
            await asyncio.gather(*(successor.tell(ipc.Released()) for _ in range(2000)))

    with_successor("time.sleep(60)", body, limit=1.0)


def test_a_program_that_is_not_there_is_named() -> None:
    """As the operator may have removed the version that the command leads to."""

    async def run() -> None:
        with pytest.raises(PreconditionError, match=r"^/nowhere/mcproxy can't be started: No such file"):
            Successor(["/nowhere/mcproxy"], 1.0)

    asyncio.run(run())
