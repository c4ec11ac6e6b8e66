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
from collections import deque
from collections.abc import Callable, Iterable
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
_BUSY = errno.EAGAIN
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
        sock: itself.
        address: where it goes.
        until: when its time is over (monotonic seconds).
        due: when it is to be looked at: then, or earlier to try a busy Unix socket again.
    """

    sock: PlainSocket
    address: SocketAddress
    until: float
    due: float


class _Order:
    """What is left to be begun, where there is more than one address: most dials have none.

    Attributes:
        targets: whose addresses come next.
        addresses: of the targets before them.
        postponed: what comes last.
        lookups: the names that are looked up, and when their time is over (monotonic seconds).
        next_at: when the next is due.
    """

    __slots__ = ("addresses", "lookups", "next_at", "postponed", "targets")

    def __init__(self, targets: Iterable[Target]) -> None:
        self.targets = deque(targets)
        self.addresses: deque[SocketAddress] = deque()
        self.postponed: deque[SocketAddress] = deque()
        self.lookups: dict[Target, float] = {}
        self.next_at = 0.0

    def has_more(self) -> bool:
        """Tell whether something is left."""
        return bool(self.addresses or self.targets or self.postponed)


class Dial:
    """One attempt to reach a backend.

    Attributes:
        began_at: when (monotonic seconds).
        histogram: the word of the one that is told how long it took.
        tries: sockets that were begun.
        address: the one that answered, None before.
    """

    __slots__ = (
        "_attempts",
        "_connect_timeout",
        "_failure",
        "_order",
        "_owner",
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
        self._order: _Order | None = None
        self._attempts: tuple[_Attempt, ...] = ()
        self._until = _NEVER
        self._failure: Failure | None = None
        self.tries = 0
        self.address: SocketAddress | None = None
        self._timed = timed
        self._connect_timeout = tools.settings.timeouts.connect if connect_timeout is None else connect_timeout
        self.bucket = 0

    def start(self) -> None:
        """Begin; the owner is notified of the end exactly once, perhaps before this returns."""
        targets = self._targets
        sole = targets[0].addresses if len(targets) == 1 else ()
        if len(sole) != 1:
            self._order = _Order(targets)
        else:  # as most are: there is no race to be looked after
            attempt = self._begin(sole[0], self.began_at)
            if attempt is not None:
                self._until = attempt.due
                self._tools.deadlines.set(self._timed or self, attempt.due)
                return
        self._advance()

    def go_on(self, code: int, began_at: float) -> None:
        """Begin where somebody else has: the only address was dialed at ``began_at``, in vain, as an errno tells."""
        self.began_at = began_at
        self.tries = 1
        self._note_failure(self._targets[0].addresses[0], code, self._tools.poller.now)
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
        for attempt in self._attempts:
            if now >= attempt.until:
                self._note_failure(attempt.address, errno.ETIMEDOUT, now)
                self._drop(attempt)
            elif now >= attempt.due:
                self._try_again(attempt, now)
        lookups = {} if self._order is None else self._order.lookups
        for target in [each for each, until in lookups.items() if now >= until]:
            del lookups[target]
            self._failure = _unknown(target, f"DNS did not answer within {self._connect_timeout:g} s")
        self._advance()
        return None if self._owner is None else self._until

    def on_fault(self) -> None:
        """Give up, and notify the owner if that has not happened yet."""
        self._drop_all()
        self._fail(Failure("backend_refused", "an event could not be handled"))

    def _on_event(self, attempt: _Attempt, mask: int) -> None:
        """Give the connection to the owner, and close those that were slower; or begin the next address at once."""
        owner = self._owner
        if owner is None:
            return
        tools = self._tools
        now = tools.poller.now
        if mask != WRITABLE and mask & HANGUP:
            code = attempt.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._note_failure(attempt.address, code, now)
                self._drop(attempt)
                self._advance()
                return
        self._owner = None
        self.address = attempt.address
        if len(self._attempts) > 1:
            self._outrun(attempt, now)
        self._attempts = ()
        if tools.failing.until:
            tools.failing.worked(attempt.address)
        if self.bucket:
            tools.deadlines.cancel(self)
        observe(tools.counters, self.histogram, now - self.began_at)
        owner.on_connected(attempt.sock, mask)

    def _on_addresses(self, target: Target, addresses: Addresses) -> None:
        order = self._order
        if self._owner is None or order is None or order.lookups.pop(target, None) is None:
            return
        if not addresses:
            self._failure = _unknown(target, "the name has no address")
        order.addresses.extendleft(reversed(addresses))
        order.next_at = 0.0
        self._advance()

    def _advance(self) -> None:
        """Begin what is due; end when nothing is under way and nothing is left."""
        order, now = self._order, self._tools.poller.now
        while order is not None and self._is_due(order, now):
            if order.addresses:
                address = order.addresses.popleft()
                if self._tools.failing.until and self._tools.failing.postpones(address, now):
                    order.postponed.append(address)
                    continue
            elif order.targets:
                self._open(order, order.targets.popleft(), now)
                continue
            else:
                address = order.postponed.popleft()
            if self._begin(address, now) is not None:
                order.next_at = now + _HEAD_START
        if self._owner is not None:
            if self._attempts or (order is not None and order.lookups):
                self._limit(order)
            else:
                self._fail(self._failure or Failure("backend_dns"))

    def _is_due(self, order: _Order, now: float) -> bool:
        """Tell whether another address or target is to be begun."""
        return (
            order.has_more()
            and len(self._attempts) < _AT_ONCE
            and (now >= order.next_at or not (self._attempts or order.lookups))
        )

    def _open(self, order: _Order, target: Target, now: float) -> None:
        """Go on with the addresses of a target; those of a name may come later."""
        order.addresses.extend(target.addresses)
        if not target.addresses:
            order.lookups[target] = now + self._connect_timeout
            order.next_at = now + _HEAD_START
            self._tools.resolver.lookup(target.host, target.port, partial(self._on_addresses, target))

    def _begin(self, destination: SocketAddress, now: float) -> _Attempt | None:
        """Connect a socket and return the attempt; None if that has failed, and it is noted why."""
        tools = self._tools
        family, address = destination
        self.tries += 1
        try:
            sock = tools.make_socket(family, _KIND, 0)
        except OSError as error:
            self._failure = dial_failure(error.errno or 0, destination, self._connect_timeout)
            return None
        if family != UNIX:
            send_at_once(sock)
        code = sock.connect_ex(address)
        until = due = now + self._connect_timeout
        if code == _BUSY and family == UNIX:
            due = now + _BUSY_PAUSE
        elif code not in _IN_PROGRESS:
            self._note_failure(destination, code, now)
            sock.close()
            return None
        attempt = _Attempt(sock, destination, until, due)
        self._attempts += (attempt,)
        if code != _BUSY:
            tools.poller.watch(sock.fileno(), partial(self._on_event, attempt))
        return attempt

    def _try_again(self, attempt: _Attempt, now: float) -> None:
        """Connect a Unix socket whose queue was full (EAGAIN, connect(2)); nothing tells when it has room."""
        code = attempt.sock.connect_ex(attempt.address[1])
        if code in _IN_PROGRESS:
            attempt.due = attempt.until
            self._tools.poller.watch(attempt.sock.fileno(), partial(self._on_event, attempt))
        elif code == _BUSY:
            attempt.due = min(now + _BUSY_PAUSE, attempt.until)
        else:
            self._note_failure(attempt.address, code, now)
            self._drop(attempt)

    def _limit(self, order: _Order | None) -> None:
        """Have the next look at what is under way in time."""
        until = _NEVER
        if order is not None:
            until = min(order.lookups.values(), default=_NEVER)
            if order.has_more() and len(self._attempts) < _AT_ONCE:
                until = min(until, order.next_at)
        for attempt in self._attempts:
            until = min(until, attempt.due)
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
        self._attempts = tuple(each for each in self._attempts if each is not attempt)
        self._tools.poller.close(attempt.sock)
        if self._order is not None:
            self._order.next_at = 0.0

    def _drop_all(self) -> None:
        for attempt in self._attempts:
            self._tools.poller.close(attempt.sock)
        self._attempts = ()
        self._order = None

    def _fail(self, failure: Failure) -> None:
        owner, self._owner = self._owner, None
        self._tools.deadlines.cancel(self)
        if owner is not None:
            owner.on_dial_failed(failure)


def _unknown(target: Target, detail: str) -> Failure:
    """Return why a name could not be dialed."""
    return Failure("backend_dns", detail, f"{target.host}:{target.port}")
