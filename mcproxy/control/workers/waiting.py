"""Waiting for something that messages of workers bring about, as long as this process itself was running."""

import asyncio
from collections.abc import Callable

from mcproxy.control.workers.watchdog import INTERVAL


class Waiting:
    """Has conditions looked at again whenever something has changed."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def look_again(self) -> None:
        """Have those who wait look whether their condition holds by now."""
        self._changed.set()

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition; raises TimeoutError after so many seconds in which this process was running."""
        clock = asyncio.get_running_loop().time
        while True:
            part = min(seconds, INTERVAL)
            until = clock() + part
            try:
                async with asyncio.timeout_at(until):
                    while not condition():
                        self._changed.clear()
                        await self._changed.wait()
            except TimeoutError:
                if clock() < until + INTERVAL:  # else this process was stopped, and has not read what came meanwhile
                    seconds -= part
                if seconds <= 0:
                    raise
            else:
                return
