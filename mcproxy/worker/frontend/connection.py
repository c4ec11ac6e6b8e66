"""One client connection, from accept to its last byte.

    accept -> [PROXY header] -> gate -> [peek ClientHello] -> route -> dial -> relay
                                        [peek first bytes] -> HTTP

Until the route is decided nothing but a PROXY header is consumed, so the relay later finds every byte in the kernel.
Each stage is a handler of the client socket's events; a refusal counts its reason and resets the client.
"""

import select
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcproxy.model.values.reasons import Failure
from mcproxy.net.loop.poller import HANGUP, READABLE, Handler
from mcproxy.net.loop.relay import Relay
from mcproxy.net.memory.shared_memory import PROCESS_DRAINING
from mcproxy.net.sockets import PlainSocket, for_transport, has_ended, reset_on_close
from mcproxy.net.tls import ALPN_CHALLENGE
from mcproxy.worker.backends.dial import Dial
from mcproxy.worker.frontend.client import Client
from mcproxy.worker.frontend.described import Described
from mcproxy.worker.frontend.endpoint_dial import EndpointDial, leave
from mcproxy.worker.frontend.relay_limits import NEVER, time_left
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.live.endpoint import NOWHERE
from mcproxy.worker.live.listener import LiveListener, LiveRoute
from mcproxy.worker.requests.refusals import UNTOLD

if TYPE_CHECKING:
    from mcproxy.worker.challenges import Challenged
    from mcproxy.worker.http.termination import Termination

_GONE = select.EPOLLERR | select.EPOLLHUP  # not EPOLLRDHUP: a client may half-close right after its hello


class Connection(Described):
    """A client's connection; lives in the worker's set of connections until both sockets are closed."""

    __slots__ = ("_hangup", "_limit", "_server_name", "_stage_limit", "_tools", "bucket")

    def __init__(
        self, tools: FrontendTools, listener: LiveListener, client: PlainSocket, peer: tuple[Any, ...]
    ) -> None:
        """Take an accepted socket, and its peer's address as `socket.accept` returns it; `admission` has counted it."""
        self._tools = tools
        self._listener = listener
        self._client = Client(client, peer)
        self._dial = self._relay = self._termination = self.route = self.endpoint = None
        self._server_name: str | None = None
        self._hangup = 0  # what epoll has told of the client's end; it tells it once
        self._limit = NEVER
        self._stage_limit = NEVER
        self._too_late = "hello_timeout"
        self._started_at = tools.poller.now
        self.bucket = 0
        self.failure = self.address = None
        self.reason, self.tries, self.dial_seconds = "", 0, 0.0

    def start(self) -> None:
        """Begin with what has already arrived; the poller is asked only for what has not."""
        tools = self._tools
        tools.registry.connections.add(self)
        listener = self._listener
        if not listener.proxy_protocol:
            self._enter()
        elif listener.trusts(self._client.peer_address()):
            self._client.unnamed = True
            self._too_late = "proxy_header_timeout"
            need = self._peek_header()
            if need:
                self._wait_for(need, self._on_header_event, tools.settings.timeouts.proxy_header)
        elif listener.direct:
            self._enter()
        else:
            self._refuse("untrusted_proxy")

    def on_deadline(self, now: float) -> float | None:
        """Enforce the time limit of the stage the connection is in."""
        tools, relay, dial = self._tools, self._relay, self._dial
        again, reason = NEVER, "idle_timeout"
        if dial is not None and now < self._limit:
            until = dial.on_deadline(now) or (None if self._dial is None else now)  # now: another endpoint is dialed
            return None if until is None else min(until, self._limit)
        if relay is not None and self.route is not None:
            stage_limit, reason, again = time_left(relay, self.route, tools.settings.timeouts, now)
        elif self._termination is not None:
            stage_limit = self._termination.check(now)
        else:
            stage_limit = self._stage_limit
        at = min(stage_limit, self._limit)
        if now < at:
            at = min(at, again)
            return at if at < NEVER else None
        if self.route is None and self._termination is None:
            self._refuse(self._too_late)
        else:
            self.close(reason if stage_limit < self._limit else "drained")
        return None

    def on_fault(self) -> None:
        """Reset both sides, whatever stage the connection is in."""
        reset_on_close(self._client.sock)
        if self._relay is not None:
            self._relay.fail(OSError("a time limit could not be enforced"))
        else:
            self.close("failed")

    def count_client(self) -> None:
        """Have the gate count the client from now on, who came in before it did."""
        self._client.count(self._tools.gate)

    def leave_routes(self, gone: Mapping[int, str], limit: float) -> None:
        """End the requests of routes that are gone as their ``on_remove`` says, by ``limit`` (monotonic seconds) at the latest."""
        if self._termination is not None:
            self._termination.leave_routes(gone, limit)

    def drain(self, limit: float) -> None:
        """Let the connection finish, until ``limit`` (monotonic seconds) at the latest."""
        if self._termination is not None:
            self._termination.drain()
        if self._limit == NEVER:
            self._tools.counters[PROCESS_DRAINING] += 1
        self._limit = min(limit, self._limit)
        self._tools.deadlines.set(self, self._limit)

    def close(self, reason: str) -> None:
        """Close both sides now; ``reason`` tells the access log why."""
        self.reason = self.reason or reason
        if self._relay is not None:
            self._relay.end(None)
        elif self._termination is not None:
            self._termination.close(reason)
        else:
            self._tools.poller.close(self._client.sock)
            self._leave()

    def _refuse(self, reason: str) -> None:
        client = self._client
        if client.unnamed and self.route is None and reason == "client_gone" and not client.local_header:
            self._tools.counters[self._listener.health_counter] += 1  # a proxy that looked whether somebody listens
            reason = ""
        else:
            self._count(Failure(reason))
        reset_on_close(client.sock)
        self.close(reason)

    def _fail(self, failure: Failure) -> None:
        """Reset a client whose backend is not to be had."""
        self.note_failure(failure)
        self._count(failure)
        reset_on_close(self._client.sock)
        self.close(failure.reason)

    def _count(self, failure: Failure) -> None:
        if self._client.local_header:
            return
        if self.route is None:
            self._tools.errors.refused(self._listener.index, failure.reason)
        else:
            self._tools.errors.failed(self.route.entry.index, failure)

    def _leave(self, received: int = 0, sent: int = 0) -> None:
        tools = self._tools
        if self.reason and self.reason not in UNTOLD and not self._client.local_header:
            refusals, source = tools.refusals, self._client.source()
            self.keep(refusals, tools.poller.now, self._listener.addr, self.route, source, self._server_name)
        if self.reason and tools.log.is_open and not self._client.local_header:
            client, total = self._client.text(), tools.poller.now - self._started_at
            line = self.log_line(self._listener.addr, self.route, client, self._server_name, received, sent, total)
            tools.log.connection(line)  # of one that was terminated its requests tell
        if self._dial is not None:
            self._dial.cancel()
        if self.endpoint is not None:
            leave(self.endpoint, tools.poller, received, sent, self.reason)
        self._dial = self._termination = None  # they know this object, too
        if self.route is not None:
            tools.counters[self.route.active_counter] -= 1
        if self._limit < NEVER:
            tools.counters[PROCESS_DRAINING] -= 1
        if self._client.counted is not None:
            self._client.leave(tools.gate)
        tools.deadlines.cancel(self)
        tools.poller.after_closing(self._listener.release)
        tools.registry.remove(self)

    def _wait_for(self, need: int, handler: Handler, seconds: float) -> None:
        """Have ``handler`` called when ``need`` bytes are there, for at most ``seconds``."""
        tools = self._tools
        self._client.wake_at(need)
        tools.poller.watch(self._client.sock.fileno(), handler)
        self._stage_limit = tools.poller.now + seconds
        tools.deadlines.set(self, self._stage_limit)

    def _wait_on(self, need: int, mask: int, truncated: str) -> None:
        """Wait for a stage's next bytes within its time; refuse a client that has stopped sending."""
        if mask & HANGUP:
            self._refuse(truncated if need > 1 else "client_gone")
        else:
            self._client.wake_at(need)

    # Stage 1, where the listener asks for it: the PROXY header

    def _on_header_event(self, mask: int) -> None:
        if mask & READABLE:
            self._hangup |= mask & HANGUP
            need = self._peek_header()
            if need:
                self._wait_on(need, mask, "proxy_header_truncated")

    def _peek_header(self) -> int:
        """Consume the header and go on if it is complete; else return how many bytes must be there."""
        need = self._client.take_header(self._tools.settings.proxy_header_bytes)
        if isinstance(need, str):
            self._refuse(need)
            return 0
        if not need:
            if self._client.local_header:
                self._tools.counters[self._listener.health_counter] += 1
            self._too_late = "hello_timeout"
            self._enter()
        return need

    # Stage 2: the gate, and what comes first behind it unless the listener is blind

    def _enter(self) -> None:
        tools = self._tools
        if not tools.gate.is_open:
            reason = self._client.enter(tools.gate, tools.poller.now)
            if reason is not None:
                self._refuse(reason)
                return
        self._read_on()

    def _read_on(self) -> None:
        need = self._peek_first()
        if need:
            if self._hangup:  # a PROXY header and the end of the stream came together
                self._refuse("hello_truncated" if need > 1 else "client_gone")
            else:
                self._wait_for(need, self._on_hello_event, self._tools.settings.timeouts.client_hello)

    def _on_hello_event(self, mask: int) -> None:
        if mask & READABLE:
            self._hangup |= mask & HANGUP
            need = self._peek_first()
            if need:
                self._wait_on(need, mask, "hello_truncated")
            elif self._dial is not None:
                self._client.wake_at(1)  # from now on every byte counts

    def _peek_first(self) -> int:
        """Go on by what the listener's clients speak by now, if it is there; else return how many bytes must be there."""
        listener = self._listener
        if not listener.blind:
            return self._peek_opening() if listener.clear else self._peek_hello()
        self._refuse("no_route") if listener.every is None else self._begin_dial(listener.every)
        return 0

    def _peek_hello(self) -> int:
        """Go on to the next stage if the hello is complete; else return how many bytes must be there."""
        hello = self._client.peek_hello()
        if isinstance(hello, int):
            return hello
        if isinstance(hello, str):
            self._refuse(hello)
            return 0
        self._server_name = hello.sni
        route = self._listener.entrance.find(hello.sni)
        if route is not None and route.tls is None:
            self._begin_dial(route)
        else:
            self._follow(route)
        return 0

    def _follow(self, route: "LiveRoute | Challenged[LiveRoute] | None") -> None:
        """Go the way that the ClientHello leads to."""
        if route is None:
            self._refuse("no_sni" if self._server_name is None else "no_route")
        elif route.tls is None:
            self._begin_dial(route)
        elif has_ended(self._client.sock):  # a handshake costs much, and this one can't succeed
            self._refuse("client_gone")
        elif isinstance(route, LiveRoute):
            self._take(route)
            self._begin_session(route).start(for_transport(self._client.sock), route.tls)
        elif self._client.offers_only(ALPN_CHALLENGE):
            self._begin_session(None).prove(for_transport(self._client.sock), route.tls)
        else:
            self._follow(route.behind)

    def _peek_opening(self) -> int:
        """Go on to the session if it is clear which version of HTTP is spoken; else return how many bytes must be there."""
        opening = self._client.peek_opening()
        if isinstance(opening, int):
            return opening
        if isinstance(opening, str):
            self._refuse(opening)
        else:
            self._begin_session(None).start_clear(for_transport(self._client.sock), http2=opening.http2)
        return 0

    def _take(self, route: LiveRoute) -> None:
        self.route = route
        self._stage_limit = NEVER
        counters = self._tools.counters
        counters[route.connections_counter] += 1
        counters[route.active_counter] += 1

    # Stage 3, L7: TLS and HTTP

    def _begin_session(self, route: LiveRoute | None) -> "Termination":
        self._stage_limit = NEVER
        self._client.wake_at(1)
        self._tools.poller.forget(self._client.sock.fileno())
        arrival = self._client.arrival(self._listener, route, self._server_name)
        self._termination = termination = self._tools.http.load().terminate(self, arrival)
        return termination

    def on_handshake_failed(self, failure: Failure) -> None:
        """Count why there could be no session."""
        if not self.reason:
            self.note_failure(failure)
        self._count(failure)
        self._leave()

    def on_session_end(self) -> None:
        """Forget the connection; its transport has closed the socket."""
        self.reason = ""
        self._leave()

    # Stage 3, L4: the backend

    def _begin_dial(self, route: LiveRoute) -> None:
        self._take(route)
        tools = self._tools
        tools.poller.watch(self._client.sock.fileno(), self._on_waiting_event)
        if route.door is not None:
            failure = self._client.refused_at(route.door, route.index, tools.sparse)
            if failure is not None:
                self._fail(failure)
                return
        targets, upstream = route.targets, route.upstream
        if upstream is not None:
            source = self._client.source()[0] if upstream.by_source else b""
            endpoint = self.endpoint = upstream.take(source, NOWHERE, tools.poller.now)
            if endpoint is None:
                self._fail(upstream.refusal())
                return
            targets = endpoint.targets
        self._dial = Dial(tools.dial, self, targets, self._listener.dial_seconds, self, route.connect_timeout)
        self._dial.start()

    def _on_waiting_event(self, mask: int) -> None:
        if mask & HANGUP:
            self._hangup |= mask & HANGUP
            if mask & _GONE:
                self._refuse("client_gone")

    def on_connected(self, sock: PlainSocket, mask: int) -> None:
        """Stage 4: join the client and the backend."""
        route = self.route
        assert route is not None  # noqa: S101 - dialing began with a route
        tools = self._tools
        if tools.errors.failing:
            tools.errors.served(route.entry.index)
        dial = self._dial
        if dial is not None:
            self.address, self.tries = dial.address, dial.tries
            self.dial_seconds = tools.poller.now - dial.began_at
        if route.proxy_header is not None and not self._client.name_to(sock, route.proxy_header):
            tools.poller.close(sock)
            failure = Failure("backend_refused", "it did not take the PROXY header", self.backend)
            dial.on_dial_failed(failure) if isinstance(dial, EndpointDial) else self.on_dial_failed(failure)
            return
        self._dial = None
        self._relay = relay = Relay(tools.relay, self, self._client.sock, sock, route.byte_counters)
        if route.timeouts is not tools.settings.timeouts:
            route.limit_relays(tools.settings.timeouts)
        if route.first_look is not None:
            tools.deadlines.set(self, relay.active_at + route.first_look)
        relay.start(self._hangup, mask)

    def on_dial_failed(self, failure: Failure) -> None:
        """Go on to another endpoint, or reset the client when no backend can be reached."""
        dial, upstream = self._dial, None if self.route is None else self.route.upstream
        if upstream is not None and isinstance(dial, Dial):
            self._dial = further = EndpointDial(self._tools.dial, self, upstream, dial, self._client.source()[0])
            further.on_dial_failed(failure)
            return
        self.tries, self._dial = 0 if dial is None else dial.tries, None
        self._fail(failure)

    def on_relay_end(self, error: OSError | None, received: int, sent: int, *, client_first: bool) -> None:
        """Forget the connection; the relay has closed both sockets."""
        if (failure := self.note_end(error, sent, client_first=client_first)) is not None:
            self._count(failure)
        self._leave(received, sent)
