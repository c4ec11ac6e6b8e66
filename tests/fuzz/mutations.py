"""Changes of bytes: what is often wrong in formats, and blind damage."""

import random
from collections.abc import Callable, Sequence

_MOST = 65_536  # bytes of an input
_NUMBERS = [
    b"0",
    b"1",
    b"-1",
    b"65535",
    b"65536",
    b"4294967295",
    b"18446744073709551616",
    b"00",
    b"+5",
    b"0x10",
    b"\xd9\xa3",
]
_WORDS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"=", b'"', b"'", b"[", b"]", b"{", b"}", b"%",
    b"\xff", b"\x80", b"\xc3\xa9", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 0\r\n", b"Connection: close\r\n",
    b"0\r\n\r\n", b"HTTP/1.0", b"HTTP/1.1", b"\0\0\0", b"\0\0\x04\x08\0\0\0\0\0", b"\0\0\0\x04\x01\0\0\0\0", b"100", b"204",
]  # fmt: skip

_Change = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def mutate(rng: random.Random, inputs: Sequence[bytes]) -> bytes:
    """Return one of the inputs with a few changes."""
    data = bytearray(rng.choice(inputs))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 8))):
        rng.choice(_CHANGES)(rng, data, inputs)
    return bytes(data[:_MOST])


def cut(rng: random.Random, data: bytes) -> list[bytes]:
    """Return data in random parts."""
    most = rng.choice((1, 3, 10, 100, 5000)) if len(data) < 2000 else rng.choice((100, 5000))
    parts = []
    start = 0
    while start < len(data):
        size = rng.randint(1, most)
        parts.append(data[start : start + size])
        start += size
    return parts


def _span(rng: random.Random, data: bytearray) -> tuple[int, int]:
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.choice((1, 2, 4, 9, 16, 64, 300)))


def _set_byte(rng: random.Random, data: bytearray, _inputs: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _flip_bit(rng: random.Random, data: bytearray, _inputs: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _insert_word(rng: random.Random, data: bytearray, _inputs: Sequence[bytes]) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = rng.choice(_WORDS)


def _insert_noise(rng: random.Random, data: bytearray, _inputs: Sequence[bytes]) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = rng.randbytes(rng.randint(1, 12))


def _remove(rng: random.Random, data: bytearray, _inputs: Sequence[bytes]) -> None:
    start, end = _span(rng, data)
    del data[start:end]


def _repeat(rng: random.Random, data: bytearray, _inputs: Sequence[bytes]) -> None:
    start, end = _span(rng, data)
    data[start:start] = data[start:end] * rng.choice((1, 1, 2, 20, 300))
    del data[_MOST:]


def _break_off(rng: random.Random, data: bytearray, _inputs: Sequence[bytes]) -> None:
    del data[rng.randint(0, len(data)) :]


def _splice(rng: random.Random, data: bytearray, inputs: Sequence[bytes]) -> None:
    """Put a part of another input somewhere."""
    other = bytearray(rng.choice(inputs))
    start, end = _span(rng, other)
    at, until = _span(rng, data)
    data[at : rng.choice((at, until))] = other[start:end]


def _change_number(rng: random.Random, data: bytearray, _inputs: Sequence[bytes]) -> None:
    """Replace a run of decimal digits."""
    starts = [at for at in range(len(data)) if data[at : at + 1].isdigit() and not data[at - 1 : at].isdigit()]
    if starts:
        start = end = rng.choice(starts[:200])
        while data[end : end + 1].isdigit():
            end += 1
        data[start:end] = rng.choice(_NUMBERS)


_CHANGES: list[_Change] = [
    _set_byte,
    _flip_bit,
    _insert_word,
    _insert_word,
    _insert_noise,
    _remove,
    _repeat,
    _break_off,
    _splice,
    _splice,
    _change_number,
]
