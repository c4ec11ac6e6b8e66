"""The last refusals and errors of the proxy's own, kept so that an operator can be told why a client was turned away.

Nothing that goes well comes here. What is kept stays in this process, and goes with it: no file, no header field, of a path nothing behind
the ``?``. Connections that are refused in great numbers, as in a flood, are kept apart from what has got further, so that they push out
only one another; each of the two takes a tuple or a text of bounded length, whatever clients and the configuration call things.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from mcproxy.model.values.reasons import REASONS
from mcproxy.net.told import KeptRefusal
from mcproxy.policy.firewall import unmap
from mcproxy.wire.proxy_protocol import PackedAddress

KEPT = 1000
"""Of each sort."""
_NAME = 100  # characters of a name that are kept of a refused connection
_LONGEST = (
    416  # bytes of a text: a thousand of them, and of refused connections, take less than 1 MiB with what holds them
)
_CUTS = (128, 64, 32, 16, 4)  # characters that a text of a record is cut to where all are too long together

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}  # none reaches a terminal
_LONG = 256  # bytes that are told of what clients say, and of a reason in words


class Kept(msgspec.Struct, array_like=True, gc=False):
    """A request, or a connection of which more is to be said than a word, as it is kept; the fields are those of `KeptRefusal`.

    What clients say stands here as they have said it: it is made fit to be shown when somebody asks.
    """

    at: float
    listener: str
    reason: str
    client: bytes
    port: int
    generation: int = 0
    route: str = ""
    sni: str = ""
    id: bytes = b""
    method: bytes = b""
    authority: bytes = b""
    path: bytes = b""
    case: str = ""
    filter: str = ""
    detail: str = ""
    status: int = 0
    endpoint: str = ""
    peer: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode

TURNED_AWAY = frozenset(word for word, reason in REASONS.items() if reason.group == "refused") | {
    "client_gone",
    "hello_truncated",
    "proxy_header_truncated",
    "tls_timeout",
}
"""Words that say all there is to say of a connection, and may come in floods."""
UNTOLD = frozenset({"complete", "client_closed", "backend_closed", "client_broke_off"})
"""Words for the ends of connections and requests that were served: nothing was refused, and nothing went wrong in the proxy."""


class Refusals:
    """Those of one worker.

    Attributes:
        generation: of the live snapshot.
        since: when this worker began (seconds since the epoch).
        total: how many there were, kept or not.
    """

    __slots__ = ("_epoch", "_others", "_turned_away", "generation", "since", "total")

    def __init__(self) -> None:
        self._turned_away: deque[tuple[float, int, str, str, str, PackedAddress, str, str]] = deque(maxlen=KEPT)
        self._others: deque[bytes] = deque(maxlen=KEPT)
        self.generation = 0
        self.since = time.time()
        self._epoch = self.since - time.monotonic()  # the same for every answer, so that times stay what they are
        self.total = 0

    def turned_away(
        self, at: float, listener: str, route: str, reason: str, source: PackedAddress, name: str, by: str
    ) -> None:
        """Keep that a connection was refused.

        Args:
            at: when (monotonic seconds).
            listener: the listener's address.
            route: the hostname of its route, "" for none.
            reason: a word of `TURNED_AWAY`.
            source: the client's address and port.
            name: what its ClientHello has asked for, "" for nothing.
            by: the name of the filter that refuses it, "" for none.
        """
        self.total += 1
        self._turned_away.append((at, self.generation, listener, route[:_NAME], reason, source, name[:_NAME], by))

    def add(self, *fields: float | str | bytes) -> None:
        """Keep another refusal or error.

        Args:
            fields: those of `Kept`, in their order; its time is in monotonic seconds.
        """
        self.total += 1
        text = _encode(fields)
        if len(text) > _LONGEST:
            text = _cut(_decode(text))
        self._others.append(text)

    def find(self, number: str, client: bytes) -> Iterator[KeptRefusal]:
        """Yield what is kept of a request by its id, or of a client, with the time in seconds since the epoch; the newest first.

        Args:
            number: the id; "" for any.
            client: the packed address; empty for any.
        """
        wanted = unmap(client)
        for refusal in sorted(self._all(number.encode()), key=lambda each: -each.at):
            if (not number or refusal.id == number) and (not client or unmap(refusal.client) == wanted):
                refusal.at += self._epoch
                yield refusal

    def goes_back(self) -> float:
        """Return since when everything is kept (seconds since the epoch): what is older may have been pushed out."""
        full: Iterable[float] = (
            *(row[0] for row in list(self._turned_away)[:1] if len(self._turned_away) == KEPT),
            *(_decode(text).at for text in list(self._others)[:1] if len(self._others) == KEPT),
        )
        return max((at + self._epoch for at in full), default=self.since)

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._turned_away) + len(self._others)

    def _all(self, number: bytes) -> Iterator[KeptRefusal]:
        """Yield all, or what has an id."""
        if number:
            return (_shown(_decode(text)) for text in self._others if number in text)
        return chain(map(_told, self._turned_away), (_shown(_decode(text)) for text in self._others))


def _told(row: tuple[float, int, str, str, str, PackedAddress, str, str]) -> KeptRefusal:
    at, generation, listener, route, reason, (client, port), name, by = row
    return KeptRefusal(
        at=at,
        generation=generation,
        listener=listener,
        route=route,
        reason=reason,
        client=client,
        port=port,
        sni=name,
        filter=by,
    )


def _shown(kept: Kept) -> KeptRefusal:
    fields = msgspec.structs.asdict(kept)
    for name in ("id", "method", "authority", "path", "detail"):
        said = fields[name]
        text = said if isinstance(said, str) else said.decode("ascii", "backslashreplace")
        fields[name] = text[:_LONG].translate(_CONTROLS)
    return KeptRefusal(**fields)


def _cut(refusal: Kept) -> bytes:
    """Return a record whose texts are cut to a length at which it is no longer than may be; the id stays whole."""
    text = b""
    for most in _CUTS:
        changes = {
            name: value[:most]
            for name, value in msgspec.structs.asdict(refusal).items()
            if isinstance(value, str | bytes) and name not in ("id", "client", "peer")
        }
        text = _encode(msgspec.structs.replace(refusal, **changes))
        if len(text) <= _LONGEST:
            break
    return text
