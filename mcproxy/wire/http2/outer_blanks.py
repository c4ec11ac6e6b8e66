"""Field values without the blanks around them, for an engine that refuses such values before anybody sees them.

RFC 9113 section 8.2.1 forbids SP and HTAB at either end of a field value; many peers send them all the same (gRPC's
``grpc-message``), and every other implementation takes them off. libnghttp2 can be told to let them pass, ngh2 can't. So
they are taken out of the header blocks (RFC 7541 section 6) ahead of the engine: a field is written anew only if its value
has such a blank, and a block only if it has such a field. Most blocks consist of indexed fields alone, which are known to
be good: they were literals before. And most of the others are the same as one of a moment ago, which needed no change: what
its values are does not depend on the tables.

A field that enters the dynamic table enters it smaller than the peer's, so the peer's entries are always among the engine's
and the newest have the same numbers. That would not hold for an entry larger than the table, which the peer does not keep:
a field that might be one is left as it is, and so refused.
"""

import re
from functools import cache
from struct import Struct

_HEADERS, _CONTINUATION = 0x1, 0x9
BLOCK_FRAMES = (_HEADERS, _CONTINUATION)
"""Types of the frames that carry header blocks."""
_END_STREAM, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x4, 0x8, 0x20
# Where the block of a frame with these flags begins, if it is all of a block and has no padding; else 0.
_STARTS = [
    (14 if flags & _PRIORITY else 9) if flags & (_END_HEADERS | _PADDED) == _END_HEADERS else 0 for flags in range(256)
]
_MAX_FRAME = 16_384
_ENTRY_OVERHEAD = 32  # RFC 7541 section 4.1
_TABLE = 4_096  # bytes of the dynamic table until a peer makes it smaller; more is never offered
_STATIC_NAMES = 62  # the indices below belong to the static table, the first of them to pseudo-header fields
_PSEUDO_NAMES = 15
_LONGEST_STATIC_NAME = 32
_SHORTEST_CODE = 5  # bits of the Huffman code
_MOST_SHIFT = 28  # of an integer: larger ones mean nothing here

_header = Struct(">HBBBL").unpack_from
_frame = Struct(">HBBBL").pack
_run = re.compile(rb"[\x80-\xfe]*")
_indexed = _run.fullmatch
_skip_indexed = _run.match
_KEPT = 32  # blocks of a connection that are known to need no change
_LONGEST_KEPT = 512  # bytes of such a block


@cache
def _ends() -> frozenset[bytes]:
    """Return the last 16 bits of all Huffman-coded values that may end in SP (010100) or HTAB (twenty ones, 01010).

    Up to seven ones are behind the last code (RFC 7541 section 5.2).
    """
    found = set()
    for padding in range(8):
        for code, bits in ((0b010100, 6), (0b11101010, 8)):
            end = (code + 1 << padding) - 1
            found |= {before << bits + padding | end for before in range(1 << 16 - bits - padding)}
    return frozenset(each.to_bytes(2, "big") for each in found)


class Trimmer:
    """What a connection's header blocks need to be rewritten: the peer's table, as far as it matters, and an unfinished block."""

    __slots__ = ("_clean", "_fragments", "_held", "_longest_name", "_table")

    def __init__(self) -> None:
        self._table = _TABLE
        self._longest_name = _LONGEST_STATIC_NAME  # of the dynamic table's, at most (bytes)
        self._clean: dict[bytes, None] = {}  # blocks that needed no change and change no size, oldest first
        self._held: list[bytes] = []  # the frames of an unfinished block
        self._fragments: list[bytes] = []

    def trim(self, data: bytes | memoryview) -> bytes | memoryview:
        """Return what replaces a frame of a header block (`BLOCK_FRAMES`), nothing while the block is not complete.

        The frames come whole and in a good order; what is malformed in them is left for the engine to judge.
        """
        flags = data[4]
        start = _STARTS[flags]
        if start and not self._held and data[start:] in self._clean:
            return data  # the usual case
        if data[3] == _HEADERS:
            start, end = _fragment(data)
        else:
            start, end = 9, len(data)
        block = bytes(data[start:end])
        if not flags & _END_HEADERS or self._held:
            self._held.append(bytes(data))
            self._fragments.append(block)
            if not flags & _END_HEADERS:
                return b""
            data, block = b"".join(self._held), b"".join(self._fragments)
            self._held.clear()
            self._fragments.clear()
        if block in self._clean:
            return data
        if _indexed(block):
            self._keep(block)
            return data
        trimmed = self._trim_block(block)
        return data if trimmed is None else _frames(data, trimmed)

    def _trim_block(self, block: bytes) -> bytes | None:
        """Return the block with trimmed values, None if it needs no change or can't be read."""
        out: list[bytes] = []
        start = position = 0
        size = len(block)
        keep = size <= _LONGEST_KEPT
        try:
            while position < size:
                octet = block[position]
                if octet & 0x80:
                    run = _skip_indexed(block, position) if octet != 0xFF else None
                    position = _integer(block, position, 7)[1] if run is None else run.end()
                    continue
                if octet & 0xE0 == 0x20:
                    self._table, position = _integer(block, position, 5)
                    keep = False
                    continue
                field_at = position
                enters = octet & 0x40
                index, position = _integer(block, position, 6 if enters else 4)
                pseudo = 0 < index < _PSEUDO_NAMES
                longest = _LONGEST_STATIC_NAME if index < _STATIC_NAMES else self._longest_name
                if index == 0:
                    coded = block[position] & 0x80
                    length, position = _integer(block, position, 7)
                    pseudo = block[position] == (0x3A if not coded else block[position] & 1 | 0xB8)
                    longest = length if not coded else length * 8 // _SHORTEST_CODE
                    if enters and longest > self._longest_name:
                        self._longest_name = longest
                    position += length
                coded = block[position] & 0x80
                length, value_at = _integer(block, position, 7)
                name_end, position = position, value_at + length
                if not length or pseudo or not _may_need_it(block, value_at, position, coded=coded):
                    continue
                value = block[value_at:position]
                if coded:
                    value = decode(value)
                trimmed = value.strip(b" \t")
                if trimmed == value:
                    continue
                if enters and longest + len(value) + _ENTRY_OVERHEAD > self._table:
                    keep = False
                    continue
                out += (block[start:field_at], block[field_at:name_end], _string(trimmed))
                start = position
        except IndexError:
            return None
        if not out:
            if keep and position == size:
                self._keep(block)
            return None
        if position > size:
            return None
        out.append(block[start:])
        return b"".join(out)

    def _keep(self, block: bytes) -> None:
        """Remember that a block needs no change, whatever is in the tables, and changes none of what is known here."""
        clean = self._clean
        if len(clean) >= _KEPT:
            del clean[next(iter(clean))]
        clean[block] = None


def decode(value: bytes) -> bytes:
    """Return what a Huffman-coded string says (RFC 7541 section 5.2); raises `IndexError` where it says nothing."""
    # A fortieth of a worker's start; few connections need it, most workers never.
    from hpack import HPACKError  # noqa: PLC0415 - see above
    from hpack.huffman_table import decode_huffman  # noqa: PLC0415 - see above

    try:
        return decode_huffman(value)
    except HPACKError:
        raise IndexError from None


def _may_need_it(block: bytes, start: int, end: int, *, coded: int) -> bool:
    """Tell whether a value may have a blank at one of its ends, which are looked at as they are coded."""
    first, last = block[start], block[end - 1]
    if not coded:
        return first in b" \t" or last in b" \t"
    return first >> 2 == 0b010100 or block[start : start + 3] == b"\xff\xff\xea" or block[end - 2 : end] in _ends()


def _integer(block: bytes, position: int, prefix: int) -> tuple[int, int]:
    """Return an integer and the index behind it (RFC 7541 section 5.1); raises `IndexError` where it does not end."""
    most = (1 << prefix) - 1
    value = block[position] & most
    position += 1
    if value < most:
        return value, position
    shift = 0
    while True:
        octet = block[position]
        position += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, position
        shift += 7
        if shift > _MOST_SHIFT:
            raise IndexError


def _string(value: bytes) -> bytes:
    """Return a string literal without Huffman coding (RFC 7541 section 5.2)."""
    length = len(value)
    if length < 0x7F:
        return bytes((length,)) + value
    length -= 0x7F
    coded = bytearray((0x7F,))
    while length >= 0x80:
        coded.append(length & 0x7F | 0x80)
        length >>= 7
    coded.append(length)
    return bytes(coded) + value


def _fragment(data: bytes | memoryview) -> tuple[int, int]:
    """Return where the fragment of a HEADERS frame begins and ends; what is malformed has an empty one."""
    flags, at, end = data[4], 9, len(data)
    if flags & _PADDED:
        if at == end:
            return at, at
        end -= data[at]
        at += 1
    if flags & _PRIORITY:
        at += 5
    return at, max(at, end)


def _frames(old: bytes | memoryview, block: bytes) -> bytes:
    """Return the frames of a block that replaces that of the frames ``old``, without their padding."""
    _, _, _, flags, stream = _header(old, 0)
    at = 9 + (1 if flags & _PADDED else 0)
    first = bytes(old[at : at + 5]) if flags & _PRIORITY else b""
    flags &= _END_STREAM | _PRIORITY
    kind = _HEADERS
    frames: list[bytes] = []
    position = 0
    while kind == _HEADERS or position < len(block):
        part = first + block[position : position + _MAX_FRAME - len(first)]
        position += len(part) - len(first)
        if position >= len(block):
            flags |= _END_HEADERS
        frames += (_frame(len(part) >> 8, len(part) & 0xFF, kind, flags, stream), part)
        kind, flags, first = _CONTINUATION, 0, b""
    return b"".join(frames)
