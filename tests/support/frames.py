"""HTTP/2 frames as bytes (RFC 9113), for tests that send what no library would."""

import struct
from collections.abc import Sequence

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
UNKNOWN = 0xFA
"""A frame type that nobody has defined."""
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
INITIAL_WINDOW_SIZE = 0x4
HIGHEST_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65_535


def frame(kind: int, stream: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    """Return one frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(values: dict[int, int] | None = None) -> bytes:
    """Return a SETTINGS frame."""
    return frame(SETTINGS, 0, b"".join(struct.pack(">HI", key, value) for key, value in (values or {}).items()))


def grant(stream: int, amount: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, stream, struct.pack(">I", amount))


def opening(window: int = HIGHEST_WINDOW) -> bytes:
    """Return what a client begins with: it offers ``window`` bytes for each stream, and all there can be for the connection."""
    return PREFACE + settings({INITIAL_WINDOW_SIZE: window}) + grant(0, HIGHEST_WINDOW - DEFAULT_WINDOW)


class Requests:
    """Makes the HEADERS frames of one connection's requests: a few bytes each, once the fields are in the table.

    Attributes:
        stream: the last stream that was opened.
    """

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._encoder = hpack.Encoder()
        self.stream = -1

    def open(
        self, path: str = "/", method: str = "GET", fields: Sequence[tuple[str, str]] = (), *, end: bool = True
    ) -> bytes:
        """Return the frame that opens the next stream; ``end``: the request has no body."""
        self.stream += 2
        pseudo = [(":method", method), (":scheme", "https"), (":authority", self._authority), (":path", path)]
        block = self._encoder.encode([*pseudo, *fields])
        return frame(HEADERS, self.stream, block, END_HEADERS | (END_STREAM if end else 0))


def frames_in(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Return type, flags, stream and payload of the whole frames in what was received."""
    found = []
    while len(data) >= 9 and len(data) >= (after := 9 + int.from_bytes(data[:3])):
        found.append((data[3], data[4], int.from_bytes(data[5:9]) & 0x7FFFFFFF, data[9:after]))
        data = data[after:]
    return found
