"""The mixed load: clients of every kind that keep having conversations, every connection of theirs on record."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import h2.exceptions
import h11
import msgspec

from tests.endurance.clients import Conversation, Talk
from tests.support.load import Result

_FAILURES = (
    *(OSError, EOFError, ValueError, TimeoutError),
    *(grpc.RpcError, h11.ProtocolError, h2.exceptions.ProtocolError),
)


class Kind(msgspec.Struct, frozen=True):
    """Clients of one kind.

    Attributes:
        name: of the kind, in the report.
        listener: the port they go to.
        conversation: what each of their connections is for.
        clients: how many have one at a time.
        seconds: how long a connection lasts.
        pause: seconds between two requests or messages of a connection, and between two connections.
    """

    name: str
    listener: int
    conversation: Conversation
    clients: int
    seconds: float
    pause: float


class MixedLoad:
    """Threads with clients, from the beginning to the end of a ``with`` block.

    Attributes:
        results: by kind, one per connection in the order in which they began; the last may still be under way.
    """

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = list(kinds)
        self._stopping = threading.Event()
        self.results: dict[str, list[Result]] = {kind.name: [] for kind in self._kinds}
        self._threads = [
            threading.Thread(target=self._keep_talking, args=(kind,), name=kind.name, daemon=True)
            for kind in self._kinds
            for _ in range(kind.clients)
        ]

    def stop(self) -> None:
        """Open no more connections, and let what is open come to its proper end."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            if thread.is_alive():
                raise AssertionError(f"a client of {thread.name} does not end")

    def _keep_talking(self, kind: Kind) -> None:
        while not self._stopping.is_set():
            result = Result(kind.name, time.monotonic())
            self.results[kind.name].append(result)
            try:
                kind.conversation(Talk(result, self._stopping, result.began + kind.seconds, kind.pause))
            except _FAILURES as error:
                result.error = _told(error)
            result.ended = time.monotonic()
            self._stopping.wait(kind.pause)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def requests(results: Mapping[str, Sequence[Result]]) -> Counter[str]:
    """Return how many requests and messages have been answered so far, by kind."""
    return Counter({kind: sum(result.messages for result in each) for kind, each in results.items()})


def _told(error: Exception) -> str:
    if isinstance(error, grpc.RpcError):
        call: Any = error  # a Call, too, which the type stubs don't know
        return f"{call.code()}: {call.details()}"
    return f"{type(error).__name__}: {error}"
