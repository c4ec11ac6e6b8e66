"""What CAs look for that are to believe that names are ours, told to every worker before the CA is."""

from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from mcproxy.control.workers.process import WorkerProcess
from mcproxy.control.workers.waiting import Waiting
from mcproxy.errors import ApplyError
from mcproxy.net.told import Pending

_PATIENCE = 5.0  # seconds for a worker to acknowledge
_REPLACED = 30.0  # seconds more for those that are started instead of one that does not


class Shown(Protocol):
    """A certificate and its key, PEM."""

    @property
    def certificate(self) -> bytes:
        """Return the certificate."""

    @property
    def key(self) -> bytes:
        """Return the key."""


class Answer(Protocol):
    """What is to be answered to a challenge."""

    @property
    def kind(self) -> str:
        """Return how the CA looks: ``tls-alpn-01`` or ``http-01``."""

    @property
    def name(self) -> str:
        """Return the name that is proven."""

    @property
    def token(self) -> str:
        """Return the last part of the path of http-01."""

    @property
    def text(self) -> str:
        """Return what is answered there."""

    @property
    def pair(self) -> Shown | None:
        """Return what tls-alpn-01 shows."""


class Challenges:
    """Those that are pending.

    Args:
        active: returns the workers that accept.
        waiting: is told when one has answered.
        start: starts a task.
        give_up: deals with workers that do not acknowledge.
    """

    def __init__(
        self,
        active: Callable[[], Collection[WorkerProcess]],
        waiting: Waiting,
        start: Callable[[Coroutine[Any, Any, None]], None],
        give_up: Callable[[Iterable[WorkerProcess]], None],
    ) -> None:
        self._active = active
        self._waiting = waiting
        self._start = start
        self._give_up = give_up
        self._pending: list[Answer] = []
        self._number = 0
        self._encoded = b""

    @property
    def current(self) -> tuple[int, bytes]:
        """What a fresh worker is to be told: a number, and `Pending` as MessagePack; 0 and nothing before the first order."""
        return self._number, self._encoded

    async def publish(self, challenges: Sequence[Answer]) -> None:
        """Have these answered as well; returns once every worker does that accepts. Raises `ApplyError`."""
        self._pending += challenges
        await self._tell()

    async def withdraw(self, challenges: Sequence[Answer]) -> None:
        """Have them answered no more, as far as they are; likewise."""
        for each in challenges:
            if each in self._pending:
                self._pending.remove(each)
        await self._tell()

    async def _tell(self) -> None:
        number = self._number = self._number + 1
        self._encoded = encoded = msgspec.msgpack.encode(_pending(self._pending))
        for worker in self._active():
            self._start(worker.challenge(number, encoded))

        def silent() -> list[WorkerProcess]:
            """Return those that accept and answer other challenges; one that starts accepts behind all that it has been sent."""
            accepting = [worker for worker in self._active() if worker.generation and not worker.late]
            return [worker for worker in accepting if worker.challenged < number]

        def settled() -> bool:
            return not silent() and any(worker.challenged >= number for worker in self._active())

        try:
            await self._waiting.until(settled, _PATIENCE)
        except TimeoutError:
            self._give_up(silent())
            try:
                await self._waiting.until(settled, _REPLACED)
            except TimeoutError:
                raise ApplyError("the workers did not acknowledge the challenges of an order in time") from None


def _pending(challenges: Iterable[Answer]) -> Pending:
    """Return what workers need of them; of two for a name the later one counts: a CA looks for one at a time."""
    names = {each.name: (each.pair.certificate, each.pair.key) for each in challenges if each.pair is not None}
    tokens = {each.token: each.text for each in challenges if each.kind == "http-01"}
    return Pending(names, tokens)
