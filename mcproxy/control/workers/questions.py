"""Questions to all workers, and the answers of those that give one in time."""

import contextlib
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import msgspec

from mcproxy.control.workers.process import DescribedConnection, WorkerProcess
from mcproxy.control.workers.waiting import Waiting
from mcproxy.net import ipc
from mcproxy.net.told import KeptRefusal

_LIMIT = 2.0  # seconds for a worker to answer


class Questions:
    """Asks the workers.

    Args:
        workers: returns all of them.
        waiting: is told when one has answered.
        start: starts a task.
    """

    def __init__(
        self,
        workers: Callable[[], Collection[WorkerProcess]],
        waiting: Waiting,
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._workers = workers
        self._waiting = waiting
        self._start = start
        self._asked = 0

    async def connections(self, asked: ipc.Ask) -> tuple[list[DescribedConnection], int]:
        """Return (and close, if asked to) live connections of each worker that answers in time, and how many there are."""
        number = await self._ask(asked, lambda worker: worker.told[0])
        answers = [worker for worker in self._workers() if worker.told[0] == number]
        found = [(worker.pid, connection) for worker in answers for connection in worker.told[2]]
        return found, sum(worker.told[1] for worker in answers)

    async def refusals(self, asked: ipc.AskRefusals) -> list[tuple[int, ipc.ToldRefusals | None, list[KeptRefusal]]]:
        """Return what each worker has kept of a request or client, by the worker's process; None where it does not answer in time."""
        number = await self._ask(asked, lambda worker: worker.refusals[0])
        return [
            (worker.pid, *(worker.refusals[1:] if worker.refusals[0] == number else (None, [])))
            for worker in self._workers()
        ]

    async def _ask(self, question: ipc.Ask | ipc.AskRefusals, answered: Callable[[WorkerProcess], int]) -> int:
        """Ask all of them, wait until they have answered, and return the number of the question."""
        number = self._asked = self._asked + 1
        for worker in self._workers():
            self._start(worker.ask(msgspec.structs.replace(question, number=number)))
        with contextlib.suppress(TimeoutError):
            await self._waiting.until(lambda: all(answered(each) >= number for each in self._workers()), _LIMIT)
        return number
