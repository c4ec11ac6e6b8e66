"""An epoll set of our own, nested in the event loop.

The loop watches one descriptor, the epoll set's; everything on the data path lives inside that set. A socket is
registered once, edge-triggered for reading, writing and hang-up, and never modified: whoever handles an event keeps
its own "readable" and "blocked" flags, and one that stops before the socket is drained (fair share) asks to be
called `again`. Listening sockets stay level-triggered, because an edge is lost after EMFILE.

Descriptors are closed only after the batch of events in hand: the kernel would otherwise give a new socket the number
of a closed one, and an event of the old one would reach the new.
"""

import asyncio
import select
import time
from collections.abc import Callable
from typing import Protocol, TypeAlias

DATA = select.EPOLLIN
READABLE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
WRITABLE = select.EPOLLOUT
HANGUP = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
ERROR = select.EPOLLERR

_STREAM = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_MAX_EVENTS = 256

Handler: TypeAlias = Callable[[int], object]
"""Called with the epoll mask of one event."""


class Closable(Protocol):
    """A socket, as far as the poller needs to know it."""

    def fileno(self) -> int:
        """Return the descriptor, or -1 when closed."""

    def close(self) -> None:
        """Close the descriptor."""


def _ignore(_mask: int) -> None:
    """Take the place of the handler of a socket that is about to be closed."""


class Poller:
    """Dispatches the events of many sockets to their handlers.

    Attributes:
        now: `time.monotonic()` at the start of the batch in hand, in seconds.
    """

    __slots__ = ("_afterwards", "_again", "_closing", "_epoll", "_handlers", "_in_batch", "_loop", "now")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._again: list[Callable[[], object]] = []
        self._closing: list[tuple[int, Closable]] = []
        self._afterwards: list[Callable[[], object]] = []
        self._in_batch = False
        self.now = time.monotonic()
        loop.add_reader(self._epoll.fileno(), self._run)

    def watch(self, fd: int, handler: Handler) -> None:
        """Register a connected or connecting socket, which tells first of what has come before; else `redirect` it."""
        if fd not in self._handlers:
            self._epoll.register(fd, _STREAM)
        self._handlers[fd] = handler

    def watch_listening(self, fd: int, handler: Handler) -> None:
        """Register a listening socket."""
        self._handlers[fd] = handler
        self._epoll.register(fd, select.EPOLLIN)

    def redirect(self, fd: int, handler: Handler) -> None:
        """Let another handler have the events of a registered socket."""
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Unregister a socket that stays open (a paused listening socket, one handed to another owner)."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def again(self, callback: Callable[[], object]) -> None:
        """Call back after the other events of this turn: for whoever stopped before its socket was drained."""
        if not self._again:
            self._loop.call_soon(self._run)
        self._again.append(callback)

    def close(self, sock: Closable) -> None:
        """Close a socket (registered or not) after the batch in hand; its handler is not called any more."""
        fd = sock.fileno()
        self._handlers[fd] = _ignore
        if not (self._in_batch or self._closing):
            self._loop.call_soon(self._close_all)
        self._closing.append((fd, sock))

    def after_closing(self, callback: Callable[[], object]) -> None:
        """Call back when the sockets given to `close` so far are closed."""
        if not (self._in_batch or self._closing or self._afterwards):
            self._loop.call_soon(self._close_all)
        self._afterwards.append(callback)

    def tick(self) -> float:
        """Set `now` outside a batch, and return it."""
        self.now = time.monotonic()
        return self.now

    def report(self, error: Exception) -> None:
        """Have the event loop log the bug of one connection's handler."""
        self._loop.call_exception_handler({"message": "an event handler failed", "exception": error})

    def _fault(self, fd: int, error: Exception) -> None:
        """Report an error, and have the handler's owner end what is broken: the event that it has missed does not come again."""
        self.report(error)
        on_fault = getattr(getattr(self._handlers.get(fd), "__self__", None), "on_fault", None)
        if on_fault is not None:
            try:
                on_fault()
            except Exception as another:  # noqa: BLE001 - as above
                self.report(another)

    def shut(self) -> None:
        """Leave the event loop and close the epoll set."""
        self._loop.remove_reader(self._epoll.fileno())
        self._close_all()
        self._epoll.close()

    def _run(self) -> None:
        self.now = time.monotonic()
        handlers = self._handlers
        events = self._epoll.poll(0, _MAX_EVENTS)
        self._in_batch = True
        for fd, mask in events:
            try:
                handlers[fd](mask)
            except Exception as error:  # noqa: BLE001 - one connection's bug must not take the others' events along
                self._fault(fd, error)
        if self._again:
            waiting, self._again = self._again, []
            for callback in waiting:
                try:
                    callback()
                except Exception as error:  # noqa: BLE001 - as above
                    self.report(error)
        self._in_batch = False
        if self._closing or self._afterwards:
            self._close_all()

    def _close_all(self) -> None:
        handlers = self._handlers
        closing, self._closing = self._closing, []
        for fd, sock in closing:
            handlers.pop(fd, None)
            sock.close()
        afterwards, self._afterwards = self._afterwards, []
        for callback in afterwards:
            callback()
