"""The far end of an HTTP/2 connection on a `tests.support.fake_http.HttpWire`: an engine that the test drives."""

from typing import Literal

from mcproxy.wire.http2 import Event, Headers, Limits, engine_type
from tests.support.fake_http import TransportPeer

EngineName = Literal["ngh2", "h2"]


class H2End:
    """Speaks HTTP/2 with a connection under test.

    Attributes:
        engine: what it speaks with; `talk` sends what its calls have produced.
        now: the engine's clock (seconds).
    """

    def __init__(
        self,
        peer: TransportPeer,
        *,
        client: bool,
        engine: EngineName = "ngh2",
        connect_protocol: bool = False,
        stream_window: int = 65_536,
        concurrent_streams: int = 100,
    ) -> None:
        """``client``: whether it opens streams; the rest is what it lets the connection under test do."""
        limits = Limits(stream_window=stream_window, concurrent_streams=concurrent_streams)
        self.engine = engine_type(engine)(client=client, limits=limits, connect_protocol=connect_protocol)
        self.now = 0.0
        self._peer = peer

    def talk(self) -> list[Event]:
        """Carry bytes both ways until both are silent; return what was heard meanwhile."""
        heard: list[Event] = []
        while True:
            sent = self.engine.output()
            if sent:
                self._peer.sends(sent)
            came = self._peer.takes()
            if not (sent or came):
                return heard
            heard += self.engine.feed(came, self.now)
            while self.engine.pending:
                heard += self.engine.feed(b"", self.now)

    def asks(self, headers: Headers, *, end: bool = True) -> int:
        """Open a stream that must be possible; return its number."""
        stream = self.engine.open(headers, end=end)
        assert stream is not None
        return stream
