"""How a client's connection ends, as its counters and its line in the access log tell it."""

from mcproxy.model.values.reasons import Failure
from mcproxy.net.failure_words import endpoint_text
from mcproxy.net.loop.relay import LateResetError
from mcproxy.net.sockets import SocketAddress
from mcproxy.wire.proxy_protocol import PackedAddress
from mcproxy.worker.live.listener import LiveRoute
from mcproxy.worker.requests.refusals import TURNED_AWAY, Refusals
from mcproxy.worker.tools.access_log import ConnectionLine


class Outcome:
    """What is known of it: a part of the connection, which begins as the attributes say.

    Attributes:
        reason: a word of `mcproxy.model.values.reasons`, "" while the connection goes on; L7 requests have reasons of their own.
        failure: why it ends, where that is one; else None.
        address: the backend's that answered, None before.
        tries: sockets to backends that were begun, 0 before.
        dial_seconds: until one was connected, 0.0 if none was.
    """

    __slots__ = ("address", "dial_seconds", "failure", "reason", "tries")

    reason: str
    failure: Failure | None
    address: SocketAddress | None
    tries: int
    dial_seconds: float

    @property
    def backend(self) -> str:
        """The address of the backend, "" for none."""
        failed = "" if self.failure is None else self.failure.endpoint
        return failed or ("" if self.address is None else endpoint_text(self.address))

    def note_failure(self, failure: Failure) -> None:
        """Keep why it ends."""
        self.reason, self.failure = failure.reason, failure

    def note_end(self, error: OSError | None, sent: int, *, client_first: bool) -> Failure | None:
        """Keep how a relay has ended; the arguments are those of `Relay`'s owner. Return what is to be counted."""
        if error is None or isinstance(error, LateResetError):
            self.reason = self.reason or ("client_closed" if client_first else "backend_closed")
        elif isinstance(error, ConnectionError):
            self.reason = "client_broke_off" if client_first else "backend_broke_off"
        else:
            self.reason = "failed"
        if sent or self.reason not in ("backend_closed", "backend_broke_off"):
            return None
        how = "closed" if error is None else "reset"
        failure = Failure("backend_no_answer", f"it {how} the connection without a byte", self.backend)
        self.note_failure(failure)
        return failure

    def keep(
        self,
        refusals: Refusals,
        at: float,
        listener: str,
        route: LiveRoute | None,
        source: PackedAddress,
        server_name: str | None,
    ) -> None:
        """Have it kept why the connection was refused or cut off; the arguments are what it does not know."""
        hostname = "" if route is None else route.entry.route.hostname
        failure, name = self.failure, server_name or ""
        if self.reason in TURNED_AWAY:
            by = "" if failure is None else failure.filter
            refusals.turned_away(at, listener, hostname, self.reason, source, name, by)
            return
        detail = "" if failure is None else failure.detail
        about = (at, listener, self.reason, *source, refusals.generation, hostname, name)
        refusals.add(*about, b"", b"", b"", b"", "", "", detail, 0, self.backend)

    def log_line(
        self,
        listener: str,
        route: LiveRoute | None,
        client: str,
        server_name: str | None,
        received: int,
        sent: int,
        total: float,
    ) -> ConnectionLine:
        """Return what the access log is to tell of it; the arguments are what it does not know (`ConnectionLine`)."""
        hostname = mode = upstream = ""
        if route is not None:
            declared = route.entry.route
            hostname, mode, upstream = declared.hostname, declared.mode, declared.upstream
        return ConnectionLine(
            listener=listener,
            route=hostname,
            client=client,
            sni=server_name or "",
            mode=mode,
            received=received,
            sent=sent,
            dial=self.dial_seconds,
            total=total,
            reason=self.reason,
            detail="" if self.failure is None else self.failure.detail,
            upstream=upstream,
            endpoint=self.backend,
            tries=self.tries,
        )
