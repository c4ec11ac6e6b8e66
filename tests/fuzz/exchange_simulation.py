"""A worker's exchanges, simulated: honest clients and backends on a wire that is slow, full, cut anywhere, or breaks off.

One number decides everything: versions, bodies, windows, how much of what is on its way arrives when, who takes nothing
for a while, who resets a stream or the connection. What must hold: bytes arrive in order and complete, or the receiver can
see that they do not; no window is exceeded (the ends would say so); what waits in the worker is bounded; nothing is
written to a transport that is full; each request is accounted for once (`Conversation.end`).
"""

import random

from tests.fuzz.conversation import HTTP1, HTTP2, Conversation
from tests.fuzz.http_ends import Call, End, H1Client, H1Server, H2Client, H2Server, Served
from tests.support.fake_http import TransportPeer

_STEPS = 250
_SETTLE = 3000  # turns in which all that is under way comes to its end once nobody holds it up
_SIZES = (0, 1, 100, 5_000, 70_000, 200_000)  # bytes of bodies
_PATIENCE = 9.0  # seconds that pass at most where nothing is to be broken off: less than any time limit
_HELD_PER_REQUEST = 3 << 16  # bytes: a window in each direction, and a read


class Link:
    """A connection between the worker and one end, with what is on its way in either direction."""

    def __init__(self, peer: TransportPeer, end: End) -> None:
        self.peer = peer
        self.end = end
        self.full = False
        self.gone = False
        self._to_worker = bytearray()
        self._to_end = bytearray()

    def carry(self, rng: random.Random | None) -> bool:
        """Let some of the bytes arrive, all of them without ``rng``; tell whether any did."""
        if self.gone:
            return False
        moved = False
        self._to_worker += self.end.output()
        size = len(self._to_worker) if rng is None else rng.randint(0, len(self._to_worker))
        if size and not self.peer.transport.is_closing():
            data = bytes(self._to_worker[:size])
            del self._to_worker[:size]
            self.peer.sends(data)
            moved = True
        came = self.peer.takes()
        assert not (self.full and came), "written to a full transport"
        self._to_end += came
        size = len(self._to_end) if rng is None else rng.randint(0, len(self._to_end))
        if size:
            self.end.hear(bytes(self._to_end[:size]))
            del self._to_end[:size]
            moved = True
        if self.peer.transport.is_closing() and not self._to_end:
            self.gone = True
            self.end.lose()
        return moved

    def turn_full(self, *, full: bool) -> None:
        if full != self.full and not self.peer.transport.is_closing():
            self._to_end += self.peer.takes()
            self.full = full
            if full:
                self.peer.is_full()
            else:
                self.peer.has_room()

    def break_off(self) -> None:
        if not self.gone:
            self.gone = True
            self._to_worker.clear()
            self.peer.is_gone(ConnectionResetError())
            self.end.lose()


class Simulation:
    """One client connection, and the connections to a backend that come of it."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.bodies = [rng.randbytes(rng.choice(_SIZES)) for _ in range(6)]
        self.calls = [Call(number, rng.randbytes(rng.choice(_SIZES)), body) for number, body in enumerate(self.bodies)]
        client_kind, client_version = rng.choice(((H1Client, HTTP1), (H2Client, HTTP2)))
        server_kind, backend_version = rng.choice(((H1Server, HTTP1), (H2Server, HTTP2)))
        self._server_kind: type[H1Server | H2Server] = server_kind
        self._window = rng.choice((20_000, 65_535, 500_000))
        self.conversation = Conversation(client_version, backend_version)
        self.client = client_kind(self._window)
        self.link = Link(self.conversation.client, self.client)
        self.servers: list[H1Server | H2Server] = []
        self.links = [self.link]
        self.begun: list[Call] = []
        self.breaks = rng.random() < 0.6
        self.passed = 0.0

    def play(self) -> None:
        rng = self.rng
        for _ in range(_STEPS):
            self._step(rng.randrange(8 if self.breaks else 7))
            self._check()
        self._finish()
        self._check_end()
        self.conversation.end(resets=True)

    def _step(self, what: int) -> None:
        rng = self.rng
        if what == 0 and len(self.begun) < len(self.calls):
            call = self.calls[len(self.begun)]
            if not self.link.gone and self.client.begin(call):
                self.begun.append(call)
        elif what == 1 and self.begun:
            self.client.go_on(rng.choice(self.begun), rng.choice((1, 1000, 16_384, 60_000)))
        elif what == 2:
            self._serve(rng.choice((1, 1000, 16_384, 60_000)))
        elif what in (3, 4):
            rng.choice(self.links).carry(rng)
            self._connect()
        elif what == 5:
            link = rng.choice(self.links)
            if not link.gone:
                link.turn_full(full=rng.random() < 0.5)
        elif what == 6:
            seconds = rng.choice((0.1, 1.0))
            if self.breaks or self.passed + seconds < _PATIENCE:
                self.passed += seconds
                self.conversation.pass_time(seconds)
        elif what == 7 and rng.random() < 0.1:
            self._break()

    def _break(self) -> None:
        """Something ends before its time."""
        rng = self.rng
        match rng.randrange(4):
            case 0 if self.begun:
                self.client.reset(rng.choice(self.begun))
            case 1 if self.servers and (served := (server := rng.choice(self.servers)).open):
                server.reset(rng.choice(served))
            case 2 if self.links[1:]:
                rng.choice(self.links[1:]).break_off()
            case 3 if rng.random() < 0.3:
                self.link.break_off()

    def _serve(self, size: int) -> None:
        if ready := self._ready():
            server, served = self.rng.choice(ready)
            server.go_on(served, size)

    def _ready(self) -> list[tuple[H1Server | H2Server, Served]]:
        """Return what can be answered: a backend that answers before it has the request may have broken it off."""
        return [
            (server, served) for server in self.servers for served in server.open if served.request.whole or self.breaks
        ]

    def _connect(self) -> None:
        for peer in self.conversation.connect():
            server = self._server_kind(self.bodies, self._window)
            self.servers.append(server)
            self.links.append(Link(peer, server))

    def _finish(self) -> None:
        """Let everybody take and say everything."""
        for link in self.links:
            if not link.gone:
                link.turn_full(full=False)
        for _ in range(_SETTLE):
            moved = False
            self._connect()
            for call in self.begun:
                self.client.go_on(call, 60_000)
            for server, served in self._ready():
                server.go_on(served, 60_000)
            for link in self.links:
                moved |= link.carry(None)
            if not moved and not self._under_way():
                break

    def _under_way(self) -> bool:
        return any(not (call.response.whole or call.response.broken) for call in self.begun)

    def _check(self) -> None:
        self.conversation.look()
        assert self.conversation.held() <= _HELD_PER_REQUEST * (1 + len(self.begun))
        for call in self.begun:
            if call.status == 200:
                assert call.response.body.startswith(call.response.heard), f"response {call.number} is out of order"
        for server in self.servers:
            for served in server.served.values():
                wanted = self.calls[served.number].request.body
                assert wanted.startswith(served.request.heard), f"request {served.number} is out of order"
                if served.request.whole:
                    assert served.request.heard == wanted, f"request {served.number} is cut short"

    def _check_end(self) -> None:
        for call in self.begun:
            response = call.response
            assert response.whole or response.broken, f"request {call.number} never ends"
            if response.whole and call.status == 200 and not response.broken:
                assert response.heard == response.body, f"response {call.number} is cut short, and looks complete"
            if not self.breaks:
                assert response.whole, f"request {call.number} is broken off for nothing"
                assert call.status == 200, f"request {call.number} is answered with {call.status}"


def simulate(seed: int) -> None:
    """Play one simulation to its end; raises AssertionError where something does not hold."""
    Simulation(seed).play()
