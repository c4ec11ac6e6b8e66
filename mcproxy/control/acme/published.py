"""What threads have done in the event loop, and wait for: challenges that the proxy itself answers, for one."""

import asyncio
from collections.abc import Sequence
from typing import Any

from mcproxy.control.acme.interface import AcmeError, Challenge, Outside

_WITHIN = 60.0  # seconds, for all workers


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
