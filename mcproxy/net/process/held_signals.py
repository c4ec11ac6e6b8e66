"""Signals whose default is to end the process, held back until there is something better to do with them.

Control holds them from the first instruction of `mcproxy serve` on, and each worker from its birth, since blocked signals stay
blocked over fork and exec. What has come meanwhile is handled, or ignored, when they are let go. SIGTERM ends a process that has
begun nothing yet, so it is not among them.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

HELD = frozenset({signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT})
OF_TERMINALS = frozenset({signal.SIGINT})
"""Meant for control, and sent to its whole process group."""


def hold() -> None:
    """Hold the signals back in this process, and in those that it starts from now on."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)


def let_go() -> None:
    """Let them through, those that have come meanwhile first."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD | OF_TERMINALS)


def handle(loop: asyncio.AbstractEventLoop, number: signal.Signals, callback: Callable[[], object]) -> None:
    """Have the loop, which handles signals by itself too, call back; unlike its own handlers this one stays when it closes."""
    signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))


def ignore() -> None:
    """Ignore them from now on: the process is about to end, and how is decided."""
    for number in HELD:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def held_in_children() -> Iterator[None]:
    """Hold them back in the processes that are started within, those of terminals too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD | OF_TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
