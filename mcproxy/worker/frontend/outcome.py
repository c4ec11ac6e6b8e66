"""How a client's connection ends, as its counters and its line in the access log tell it."""

import msgspec

from mcproxy.model.values.reasons import Failure
from mcproxy.net.failure_words import endpoint_text
from mcproxy.net.loop.relay import LateResetError
from mcproxy.net.sockets import SocketAddress
from mcproxy.worker.backends.dial import Dial
from mcproxy.worker.frontend.endpoint_dial import EndpointDial
from mcproxy.worker.live.listener import LiveRoute
from mcproxy.worker.tools.access_log import ConnectionLine


class Outcome(msgspec.Struct, eq=False):
    """What is known of it.

    Attributes:
        reason: a word of `mcproxy.model.values.reasons`, "" while the connection goes on; L7 requests have reasons of their own.
        detail: the same in words, where the word does not say it all.
        failed_endpoint: the backend's address that was tried last in vain.
        address: the one that answered.
        tries: sockets to backends that were begun.
        dial_seconds: until one was connected, 0.0 if none was.
    """

    reason: str = ""
    detail: str = ""
    failed_endpoint: str = ""
    address: SocketAddress | None = None
    tries: int = 0
    dial_seconds: float = 0.0

    @property
    def endpoint(self) -> str:
        """The address of the backend, "" for none."""
        return self.failed_endpoint or ("" if self.address is None else endpoint_text(self.address))

    def connected(self, dial: Dial | EndpointDial, now: float) -> None:
        """A dial has brought a connection."""
        self.address, self.tries = dial.address, dial.tries
        self.dial_seconds = now - dial.began_at

    def fail(self, failure: Failure) -> None:
        """Keep why it ends."""
        self.reason, self.detail, self.failed_endpoint = failure.reason, failure.detail, failure.endpoint

    def relayed(self, error: OSError | None, sent: int, *, client_first: bool) -> Failure | None:
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
        failure = Failure("backend_no_answer", f"it {how} the connection without a byte", self.endpoint)
        self.fail(failure)
        return failure

    def line(
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
            detail=self.detail,
            upstream=upstream,
            endpoint=self.endpoint,
            tries=self.tries,
        )
