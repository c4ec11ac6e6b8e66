"""Dialing a backend: its addresses race, as RFC 8305 (section 5) has it.

The addresses of every endpoint are begun in their order, the next one when the one before has failed, or has not
answered for 250 ms; a name that is looked up takes its place in that order. The first that answers wins, the others are
closed. Each has the whole connect timeout, so that the dial ends at the latest when that of the address begun last is
over; at most four are under way at once. Addresses that failed lately come last.

No socket is bound before it connects: connect(2) takes any port that is not in use for this very destination, which is
what IP_BIND_ADDRESS_NO_PORT achieves for those that are.
"""

import errno
import socket
from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec

from mcproxy.model.values.reasons import Failure
from mcproxy.net.failure_words import dial_failure
from mcproxy.net.loop.deadlines import Deadlines, Timed
from mcproxy.net.loop.poller import HANGUP, WRITABLE, Poller
from mcproxy.net.memory.histogram import observe
from mcproxy.net.resolver import Addresses, Resolver
from mcproxy.net.sockets import PlainSocket, SocketAddress, send_at_once
from mcproxy.worker.backends.failing_addresses import FailingAddresses
from mcproxy.worker.backends.target import UNIX, Target
from mcproxy.worker.tools.settings import Settings

_KIND = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
_IN_PROGRESS = (errno.EINPROGRESS, 0)
_HEAD_START = 0.25  # seconds that an address has before the next is begun ("Connection Attempt Delay")
_AT_ONCE = 4  # sockets of one dial
_BUSY_PAUSE = 0.05  # seconds until a Unix socket whose queue is full is tried again
_NEVER = float("inf")


class Dialer(Protocol):
    """Who wants the connection."""

    def on_connected(self, sock: PlainSocket, mask: int) -> None:
        """Take a connected, non-blocking socket; it is registered with the poller, which has told ``mask`` of it."""

    def on_dial_failed(self, failure: Failure) -> None:
        """No address answered; ``failure`` tells what the last one did."""


class DialTools(msgspec.Struct, frozen=True, eq=False):
    """What all dials of a worker share.

    Attributes:
        poller: dispatches socket events.
        deadlines: time limits.
        resolver: names to addresses.
        counters: this worker's, in the shared memory.
        settings: of the live snapshot.
        make_socket: makes a socket of a family, type and protocol; `PlainSocket` but in tests.
        failing: addresses to be tried last.
    """

    poller: Poller
    deadlines: Deadlines
    resolver: Resolver
    counters: memoryview
    settings: Settings
    make_socket: Callable[[int, int, int], PlainSocket] = PlainSocket
    failing: FailingAddresses = msgspec.field(default_factory=FailingAddresses)


class _Attempt(msgspec.Struct, eq=False):
    """A socket on its way to an address.

    Attributes:
        dial: whose it is.
        sock: itself.
        address: where it goes.
        until: when its time is over (monotonic seconds).
        due: when it is to be looked at: then, or earlier to try a busy Unix socket again.
    """

    dial: "Dial"
    sock: PlainSocket
    address: SocketAddress
    until: float
    due: float

    def on_event(self, mask: int) -> None:
        """Tell the dial how it went."""
        if mask != WRITABLE and mask & HANGUP:
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self.dial.on_attempt_failed(self, code)
                return
        self.dial.on_attempt_connected(self, mask)


class Dial:
    """One attempt to reach a backend.

    Attributes:
        began_at: when (monotonic seconds).
        histogram: the word of the one that is told how long it took.
        tries: sockets that were begun.
        address: the one that answered, None before.
    """

    __slots__ = (
        "_addresses",
        "_attempts",
        "_connect_timeout",
        "_failure",
        "_lookups",
        "_next_address",
        "_next_at",
        "_next_target",
        "_owner",
        "_postponed",
        "_targets",
        "_timed",
        "_tools",
        "_until",
        "address",
        "began_at",
        "bucket",
        "histogram",
        "tries",
    )

    def __init__(
        self,
        tools: DialTools,
        owner: Dialer,
        targets: tuple[Target, ...],
        histogram: int,
        timed: Timed | None = None,
        connect_timeout: float | None = None,
    ) -> None:
        """Prepare to dial.

        Args:
            tools: what all dials share.
            owner: is notified of the end.
            targets: to be tried in this order.
            histogram: the word of the one that is told how long it took, DNS included.
            timed: whom the time limits are set for, which passes `on_deadline` on while this lasts; None for itself.
            connect_timeout: seconds for each address, and for each lookup; None for the settings' value.
        """
        self._tools = tools
        self.histogram = histogram
        self.began_at = tools.poller.now
        self._owner: Dialer | None = owner
        self._targets = targets
        self._next_target = 0
        self._addresses: Addresses = ()  # of the targets before that one
        self._next_address = 0
        self._postponed: Addresses = ()
        self._attempts: list[_Attempt] = []
        self._lookups: dict[Target, float] = {}  # and when their time is over
        self._next_at = 0.0
        self._until = _NEVER
        self._failure: Failure | None = None
        self.tries = 0
        self.address: SocketAddress | None = None
        self._timed = timed
        self._connect_timeout = tools.settings.timeouts.connect if connect_timeout is None else connect_timeout
        self.bucket = 0

    def start(self) -> None:
        """Begin; the owner is notified of the end exactly once, perhaps before this returns."""
        first = self._targets[0].addresses if len(self._targets) == 1 else ()
        if len(first) == 1:  # as most are: the same, but there is no race to be looked after
            self._next_target = 1
            self._begin(first[0], self._tools.poller.now)
            if self._attempts:
                self._until = self._attempts[0].due
                self._tools.deadlines.set(self._timed or self, self._until)
                return
        self._advance()

    def cancel(self) -> None:
        """Give up; the owner is not notified any more."""
        self._owner = None
        self._drop_all()
        self._tools.deadlines.cancel(self)

    def on_deadline(self, now: float) -> float | None:
        """Drop what takes too long, and begin what is due; return None when the dial has ended."""
        if now < self._until:
            return self._until
        for attempt in list(self._attempts):
            if now >= attempt.until:
                self._note_failure(attempt.address, errno.ETIMEDOUT, now)
                self._drop(attempt)
            elif now >= attempt.due:
                self._try_again(attempt, now)
        for target in [each for each, until in self._lookups.items() if now >= until]:
            del self._lookups[target]
            self._failure = _unknown(target, f"DNS did not answer within {self._connect_timeout:g} s")
        self._advance()
        return None if self._owner is None else self._until

    def on_fault(self) -> None:
        """Give up, and notify the owner if that has not happened yet."""
        self._drop_all()
        self._fail(Failure("backend_refused", "an event could not be handled"))

    def on_attempt_failed(self, attempt: _Attempt, code: int) -> None:
        """Begin the next address at once."""
        if self._owner is not None:
            self._note_failure(attempt.address, code, self._tools.poller.now)
            self._drop(attempt)
            self._advance()

    def on_attempt_connected(self, attempt: _Attempt, mask: int) -> None:
        """Give the connection to the owner, and close those that were slower."""
        owner = self._owner
        if owner is None:
            return
        self._owner = None
        tools = self._tools
        now = tools.poller.now
        self.address = attempt.address
        if len(self._attempts) > 1:
            self._outrun(attempt, now)
        self._attempts.clear()
        if tools.failing.until:
            tools.failing.worked(attempt.address)
        if self.bucket:
            tools.deadlines.cancel(self)
        observe(tools.counters, self.histogram, now - self.began_at)
        owner.on_connected(attempt.sock, mask)

    def _on_addresses(self, target: Target, addresses: Addresses) -> None:
        if self._owner is None or self._lookups.pop(target, None) is None:
            return
        if not addresses:
            self._failure = _unknown(target, "the name has no address")
        self._addresses = addresses + self._addresses[self._next_address :]
        self._next_address = 0
        self._next_at = 0.0
        self._advance()

    def _advance(self) -> None:
        """Begin what is due; end when nothing is under way and nothing is left."""
        now = self._tools.poller.now
        while self._is_due(now):
            if self._next_address < len(self._addresses):
                address = self._addresses[self._next_address]
                self._next_address += 1
                if self._tools.failing.until and self._tools.failing.postpones(address, now):
                    self._postponed += (address,)
                else:
                    self._begin(address, now)
            elif self._next_target < len(self._targets):
                self._next_target += 1
                self._open(self._targets[self._next_target - 1], now)
            else:
                address, *rest = self._postponed
                self._postponed = tuple(rest)
                self._begin(address, now)
        if self._owner is not None:
            if self._attempts or self._lookups:
                self._limit()
            else:
                self._fail(self._failure or Failure("backend_dns"))

    def _is_due(self, now: float) -> bool:
        """Tell whether another address or target is to be begun."""
        return (
            self._has_more()
            and len(self._attempts) < _AT_ONCE
            and (now >= self._next_at or not (self._attempts or self._lookups))
        )

    def _has_more(self) -> bool:
        return (
            self._next_address < len(self._addresses) or self._next_target < len(self._targets) or bool(self._postponed)
        )

    def _open(self, target: Target, now: float) -> None:
        """Go on with the addresses of a target; those of a name may come later."""
        self._next_address = 0
        self._addresses = target.addresses
        if not target.addresses:
            self._lookups[target] = now + self._connect_timeout
            self._next_at = now + _HEAD_START
            self._tools.resolver.lookup(target.host, target.port, partial(self._on_addresses, target))

    def _begin(self, destination: SocketAddress, now: float) -> None:
        """Connect a socket, or note why there is none."""
        tools = self._tools
        family, address = destination
        self.tries += 1
        try:
            sock = tools.make_socket(family, _KIND, 0)
        except OSError as error:
            self._failure = dial_failure(error.errno or 0, destination, self._connect_timeout)
            return
        if family != UNIX:
            send_at_once(sock)
        code = sock.connect_ex(address)
        if code not in _IN_PROGRESS and not (code == errno.EAGAIN and family == UNIX):
            self._note_failure(destination, code, now)
            sock.close()
            return
        until = now + self._connect_timeout
        attempt = _Attempt(self, sock, destination, until, until)
        self._attempts.append(attempt)
        self._next_at = now + _HEAD_START
        if code == errno.EAGAIN:
            attempt.due = now + _BUSY_PAUSE
        else:
            tools.poller.watch(sock.fileno(), attempt.on_event)

    def _try_again(self, attempt: _Attempt, now: float) -> None:
        """Connect a Unix socket whose queue was full (EAGAIN, connect(2)); nothing tells when it has room."""
        code = attempt.sock.connect_ex(attempt.address[1])
        if code in _IN_PROGRESS:
            attempt.due = attempt.until
            self._tools.poller.watch(attempt.sock.fileno(), attempt.on_event)
        elif code == errno.EAGAIN:
            attempt.due = min(now + _BUSY_PAUSE, attempt.until)
        else:
            self._note_failure(attempt.address, code, now)
            self._drop(attempt)

    def _limit(self) -> None:
        """Have the next look at what is under way in time."""
        until = self._next_at if self._has_more() and len(self._attempts) < _AT_ONCE else _NEVER
        for attempt in self._attempts:
            until = min(until, attempt.due)
        for at in self._lookups.values():
            until = min(until, at)
        self._until = until
        self._tools.deadlines.set(self._timed or self, until)

    def _note_failure(self, address: SocketAddress, code: int, now: float) -> None:
        self._failure = dial_failure(code, address, self._connect_timeout)
        if self._failure.reason != "no_resources":
            self._tools.failing.failed(address, now)

    def _outrun(self, winner: _Attempt, now: float) -> None:
        """Close the other sockets; those that were begun before the winner have lost their head start."""
        slower = True
        for attempt in self._attempts:
            if attempt is winner:
                slower = False
                continue
            if slower:
                self._tools.failing.failed(attempt.address, now)
            self._tools.poller.close(attempt.sock)

    def _drop(self, attempt: _Attempt) -> None:
        self._attempts.remove(attempt)
        self._tools.poller.close(attempt.sock)
        self._next_at = 0.0

    def _drop_all(self) -> None:
        for attempt in self._attempts:
            self._tools.poller.close(attempt.sock)
        self._attempts.clear()
        self._lookups.clear()

    def _fail(self, failure: Failure) -> None:
        owner, self._owner = self._owner, None
        self._tools.deadlines.cancel(self)
        if owner is not None:
            owner.on_dial_failed(failure)


def _unknown(target: Target, detail: str) -> Failure:
    """Return why a name could not be dialed."""
    return Failure("backend_dns", detail, f"{target.host}:{target.port}")
