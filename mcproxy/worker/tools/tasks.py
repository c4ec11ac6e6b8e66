"""Tasks, for the few steps of a connection that take their time: TLS handshakes."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Runs tasks, and keeps them from being collected meanwhile."""

    __slots__ = ("_loop", "_running")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` as a task."""
        task = self._loop.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task
