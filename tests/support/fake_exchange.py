"""The connections at either end of an exchange, as it sees them, and exchanges between them.

A `FakeSide` writes down what it is told, a line for each call; `FakeSide.heard` returns the lines since the last call::

    client = FakeSide()
    exchange = make_exchange(client, pool, RequestHead(b"GET", b"a.example", b"/", []), now=1000.0)
    exchange.on_response(204, [], 1000.0, end=True)
    assert client.heard() == ["respond 204 end", "over: complete", "finished"]

Lines: ``inform STATUS NAMES``, ``respond STATUS NAMES``, ``send DATA``, ``trailers NAMES``, ``reset CODE``, ``consumed
BYTES``, ``over: REASON``, ``doubt``, ``finished``; with ``end`` behind what ends a message. NAMES are those of header fields, and
DATA of more than 20 bytes is told by its size. Fields that count as checked are told as ``checked``.
"""

from mcproxy.errors import ProtocolError
from mcproxy.policy.headers import Headers, RequestHead
from mcproxy.worker.stream.course import Pool
from mcproxy.worker.stream.exchange import Exchange

FORWARDED: Headers = [(b"x-real-ip", b"192.0.2.1")]


class FakeSide:
    """A client's connection or a backend's.

    Attributes:
        full: whether it holds back what it gets.
        windows: how many whole windows of responses may wait here.
        widened: how often it was asked for a whole window of a response.
        mute: what it refuses to say the next time: "respond", "inform" or "trailers".
        time: what it says the time is (monotonic seconds).
        under_way: how many requests it says are under way.
    """

    dial_seconds = 0
    endpoint = "192.0.2.1:80"
    source = b"\xc0\x00\x02\x01"

    def __init__(self) -> None:
        self.full = False
        self.windows = 0
        self.widened = 0
        self.mute = ""
        self.time = 1000.0
        self.under_way = 1
        self._lines: list[str] = []

    def heard(self) -> list[str]:
        """Return the lines since the last call."""
        lines, self._lines = self._lines, []
        return lines

    def inform(self, _stream: int, status: int, headers: Headers) -> None:
        self._speak("inform", f"{status} {_names(headers)}")

    def respond(self, _stream: int, status: int, headers: Headers, *, end: bool, checked: bool = False) -> None:
        self._speak("respond", f"{status} {'checked ' * checked}{_names(headers)}", end=end)

    def send(self, _stream: int, data: bytes, *, end: bool) -> None:
        self._speak("send", str(len(data)) if len(data) > 20 else data.decode("latin-1"), end=end)

    def trailers(self, _stream: int, headers: Headers) -> None:
        self._speak("trailers", _names(headers))

    def reset(self, _stream: int, code: int) -> None:
        self._lines.append(f"reset {code}")

    def consumed(self, _stream: int, amount: int) -> None:
        self._lines.append(f"consumed {amount}")

    def holds(self, _stream: int) -> bool:
        return self.full

    def reserve(self) -> bool:
        if self.windows:
            self.windows -= 1
            return True
        return False

    def unreserve(self) -> None:
        self.windows += 1

    def widen(self, _stream: int) -> None:
        self.widened += 1

    def doubt(self) -> None:
        self._lines.append("doubt")

    def now(self) -> float:
        return self.time

    def account(self, exchange: Exchange) -> None:
        self._lines.append(f"over: {exchange.reason}")

    def claim(self, exchange: Exchange) -> None:
        self._lines.append("claim")

    def abort(self) -> None:
        self._lines.append("abort")

    def finished(self, _stream: int) -> None:
        self._lines.append("finished")

    def _speak(self, what: str, rest: str, *, end: bool = False) -> None:
        if self.mute == what:
            self.mute = ""
            raise ProtocolError("bad_header", "it can't be said")
        self._lines.append(" ".join([what, *rest.split(), *(["end"] if end else [])]))


def make_exchange(
    client: FakeSide, pool: Pool[Exchange], head: RequestHead, *, now: float, ended: bool = True
) -> Exchange:
    """Return the exchange of a request that has begun now; ``ended``: it is known to have no body."""
    return Exchange(client, 1, head, FORWARDED, pool, now, now, now, ended, 0 if ended else None)


def _names(headers: Headers) -> str:
    return " ".join(name.decode() for name, _ in headers)
