"""Work that waits for others: each in a thread of its own that delays nobody's end; and what threads have done in the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ParamSpec, TypeVar

from mcproxy.control.acme.interface import AcmeError, Challenge, Outside
from mcproxy.control.store.thread import WorkThread

P = ParamSpec("P")
T = TypeVar("T")

_WITHIN = 60.0  # seconds, for all workers


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what some work returns; a caller that is cancelled gives up on it, and it goes on until its end."""
    thread = WorkThread("mcproxy-acme")
    try:
        return await thread.submit(partial(work, *args, **kwargs))
    finally:
        thread.stop()


class Published:
    """Challenges that the proxy itself answers; blocking.

    Args:
        outside: has them answered.
        loop: in which that is done.
    """

    def __init__(self, outside: Outside, loop: asyncio.AbstractEventLoop) -> None:
        self._outside = outside
        self._loop = loop

    def present(self, challenges: Sequence[Challenge]) -> None:
        """Return once every worker answers these."""
        wait_for(self._loop, self._outside.publish(challenges))

    def remove(self, challenges: Sequence[Challenge]) -> None:
        """Have them answered no more."""
        wait_for(self._loop, self._outside.withdraw(challenges))


def wait_for(loop: asyncio.AbstractEventLoop, job: Any) -> None:
    """Return once a coroutine has ended in the event loop; raises what it raises, and `AcmeError` if it takes too long."""
    waiting = asyncio.run_coroutine_threadsafe(job, loop)
    try:
        waiting.result(_WITHIN)
    except TimeoutError as error:
        waiting.cancel()
        raise AcmeError(f"not done within {_WITHIN:.0f} s") from error
