"""The TLS ClientHello, read without taking part in the handshake (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2).

The parser keeps no state: it gets everything peeked so far and answers with a `ClientHello`, a `Need`, or a
`ProtocolError`. What it has once concluded, more bytes never change. Reasons of its errors, used as counters:

==========================  =========================================================================================
``not_tls``                 the first bytes are no TLS handshake record (SSH, an alert, SSL 2.0 ...)
``plain_http``              they are a request of HTTP, of either version
``unexpected_proxy_header`` they are a PROXY protocol header, which this listener does not expect
``bad_hello``               TLS, but not a well-formed ClientHello
``hello_too_large``         more than `MAX_HELLO` bytes or `MAX_RECORDS` records, or declared to become so
==========================  =========================================================================================

A hello may be spread over several records (RFC 8446 section 5.1). The usual one fills a single record: that one is
read in place. Versions are not judged: the backend negotiates them. With Encrypted Client Hello the outer name counts.
"""

import functools
import struct
from typing import NoReturn, TypeAlias

import msgspec

from mcproxy.errors import ProtocolError
from mcproxy.wire.need import Need
from mcproxy.wire.proxy_protocol import SIGNATURES

__all__ = ["MAX_HELLO", "MAX_RECORDS", "ClientHello", "Need", "alpn_protocols", "parse"]

MAX_HELLO = 16384
"""Bytes a hello may have, record headers included."""

MAX_RECORDS = 64
"""Records a hello may be spread over: twice what 16 KiB takes with the smallest fragment length clients negotiate."""

_Buffer: TypeAlias = bytes | bytearray | memoryview

_RECORD_HEADER = 5
_HANDSHAKE_HEADER = 4
_BODY = _RECORD_HEADER + _HANDSHAKE_HEADER
_HANDSHAKE = 22
_CLIENT_HELLO = 1
_CLIENT_HELLO_TYPE = _CLIENT_HELLO << 24  # as the handshake header has it, above the length
_TLS = _HANDSHAKE << 8 | 3  # record type and major version
_WHOLE = _CLIENT_HELLO_TYPE - _HANDSHAKE_HEADER  # and the length of a record that the hello fills
_ALPN = 16
_METHODS = tuple(
    word.encode() + b" "
    for word in [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "OPTIONS",
        "PATCH",
        "CONNECT",
        "TRACE",
        "PRI",
        "PROPFIND",
        "REPORT",
        "MKCOL",
    ]
)
"""How requests of HTTP begin (RFC 9110 section 9.3, RFC 9113 section 3.4, RFC 4918)."""
_MAX_NAME = 253
_MAX_LABEL = 63
_DOT = ord(".")

_start = struct.Struct(">HxHI").unpack_from  # record type and major, length; handshake type and length
_record = struct.Struct(">BBBH").unpack_from
_u16 = struct.Struct(">H").unpack_from
_extension = struct.Struct(">HH").unpack_from  # type and length
_name_list = struct.Struct(">HBH").unpack_from  # length of the list; type and length of its first name
_name_entry = struct.Struct(">BH").unpack_from


def _hostname_table() -> bytes:
    allowed = b"abcdefghijklmnopqrstuvwxyz0123456789-_.:"
    return bytes(lower if (lower := byte | 0x20 if 65 <= byte <= 90 else byte) in allowed else 0 for byte in range(256))


# Lower-cases a name and turns every byte that no name may hold into NUL, in one pass. The underscore occurs in real
# names. The colon lets an IPv6 literal through: forbidden by RFC 6066, sent by real clients; only `*` can match it.
_HOSTNAME = _hostname_table()


class ClientHello(msgspec.Struct, frozen=True, gc=False):
    """What routing needs of a hello.

    Attributes:
        sni: the host name asked for, lower case, without trailing dot, ASCII; None when the client names none.
    """

    sni: str | None


def parse(data: _Buffer) -> ClientHello | Need:
    """Read the hello at the start of ``data``, which is everything peeked so far; what follows the hello is ignored.

    The result holds no reference to ``data``.

    Raises:
        ProtocolError: as the table above says.
    """
    located = _locate(data)
    if type(located) is Need:  # isinstance takes longer: msgspec's metaclass has a say in it
        return located
    body, position = located
    return ClientHello(_server_name(body, _extensions(body, position)))


def alpn_protocols(data: _Buffer) -> tuple[bytes, ...] | Need:
    """Read the protocols that the hello at the start of ``data`` offers (RFC 7301), in its order; none gives ``()``.

    Raises:
        ProtocolError: as the table above says; ``bad_hello`` also when the list of protocols is malformed.
    """
    located = _locate(data)
    if not isinstance(located, tuple):
        return located
    body, position = located
    position = _extensions(body, position)
    found: tuple[bytes, ...] | None = None
    end = len(body)
    while position <= end - 4:
        kind, length = _extension(body, position)
        position += 4
        if kind == _ALPN and position + length <= end:
            if found is not None:
                _bad("two lists of protocols")
            found = _protocols(body[position : position + length])
        position += length
    if position != end:
        _bad("extensions")
    return found or ()


def _bad(what: str) -> NoReturn:
    raise ProtocolError("bad_hello", what)


def _locate(data: _Buffer) -> tuple[bytes, int] | Need:
    """Find the whole hello: bytes that end with it, and where its body (after the handshake header) starts in them."""
    size = len(data)
    if size >= _BODY:
        start, length, handshake = _start(data)
        end = length + _RECORD_HEADER
        if start == _TLS and handshake == _WHOLE + length and end <= size and end <= MAX_HELLO:
            # Single bytes, of which many follow, cost less of bytes than of a memoryview.
            return bytes(data if size == end else data[:end]), _BODY
    return _reassemble(data, size)


def _reassemble(data: _Buffer, size: int) -> tuple[bytes, int] | Need:
    """Do the same for a hello that is not complete, not in one record, or not right."""
    if size < _RECORD_HEADER:
        return _judge_start(bytes(data))
    message = bytearray()
    total = _HANDSHAKE_HEADER  # of the message; the least there can be, until its header is read
    position = 0
    for _ in range(MAX_RECORDS):
        least = position + _RECORD_HEADER + total - len(message)
        if least > MAX_HELLO:
            raise ProtocolError("hello_too_large", f"{least} bytes or more")
        if size < position + _RECORD_HEADER:
            return Need(least)
        kind, major, _, length = _record(data, position)
        if kind != _HANDSHAKE or major != 3:
            if position == 0:
                return _judge_start(bytes(data[:12]))
            _bad("another record inside the hello")
        if length == 0:
            _bad("empty record")
        position += _RECORD_HEADER
        end = position + length
        if end > MAX_HELLO:
            raise ProtocolError("hello_too_large", f"{end} bytes or more")
        before = len(message)
        message += data[position : min(end, size)]
        if message and message[0] != _CLIENT_HELLO:
            _bad("another handshake message")
        if len(message) >= _HANDSHAKE_HEADER:
            total = int.from_bytes(message[:_HANDSHAKE_HEADER]) - _CLIENT_HELLO_TYPE + _HANDSHAKE_HEADER
        missing = total - before - length
        if missing < 0 and len(message) >= _HANDSHAKE_HEADER:
            _bad("bytes after the hello in its record")
        least = end + _RECORD_HEADER + missing if missing > 0 else end
        if least > MAX_HELLO:
            raise ProtocolError("hello_too_large", f"{least} bytes or more")
        if size < end:
            return Need(least)
        if missing == 0 and len(message) >= _HANDSHAKE_HEADER:
            return bytes(message), _HANDSHAKE_HEADER
        position = end
    raise ProtocolError("hello_too_large", f"more than {MAX_RECORDS} records")


def _judge_start(head: bytes) -> Need:
    """Decide about a start that is too short for a record header, or is none; ``head`` is 12 bytes at most."""
    if (b"\x16\x03").startswith(head[:2]):
        return Need(_RECORD_HEADER)
    if head.startswith(SIGNATURES):
        raise ProtocolError("unexpected_proxy_header")
    if head.startswith(_METHODS):
        raise ProtocolError("plain_http")
    if any(start.startswith(head) for start in (*SIGNATURES, *_METHODS)):
        return Need(len(head) + 1)  # wrong in any case: only the reason is still open
    raise ProtocolError("not_tls")


def _extensions(body: bytes, position: int) -> int:
    """Check the fields in front of the extensions; return where the first extension starts, the end if there is none."""
    end = len(body)
    try:
        position += 34  # legacy_version, random
        session = body[position]
        position += 1 + session
        (suites,) = _u16(body, position)
        position += 2 + suites
        methods = body[position]
        position += 1 + methods
        if session > 32 or suites < 2 or suites & 1 or not methods:
            _bad("session id, cipher suites or compression methods")
        if position == end:
            return end
        (length,) = _u16(body, position)
    except (IndexError, struct.error):
        _bad("too short")
    position += 2
    if length != end - position:
        _bad("length of the extensions")
    return position


def _server_name(body: bytes, position: int) -> str | None:
    """Walk all extensions, since a second server_name would be read otherwise elsewhere; return the first one's name."""
    name: str | None = None
    seen = False
    end = len(body)
    last = end - 4
    while position <= last:
        kind, length = _extension(body, position)
        position += 4 + length
        if not kind:  # 0 is server_name
            if seen or position > end:
                _bad("server_name")
            seen = True
            name = _host_name(body, position - length, length)
    if position != end:
        _bad("extensions")
    return name


def _host_name(body: bytes, position: int, size: int) -> str | None:
    """Read a ServerNameList (RFC 6066 section 3): at most one host_name; types that are not known are passed over."""
    end = position + size
    if size >= 5:
        total, kind, length = _name_list(body, position)
        if length == size - 5 and total == size - 2 and not kind:  # the usual list, of one host name
            return _canonical(body[position + 5 : end])
    position += 2
    if position >= end or _u16(body, position - 2)[0] != end - position:
        _bad("length of the server name list")
    name: str | None = None
    while position + 3 <= end:
        kind, length = _name_entry(body, position)
        position += 3 + length
        if position > end:
            break
        if kind == 0:
            if name is not None:
                _bad("two host names")
            name = _canonical(body[position - length : position])
    if position != end:
        _bad("server name list")
    return name


@functools.lru_cache(1024)  # most clients ask for one of a few names
def _canonical(raw: bytes) -> str:
    name = raw.translate(_HOSTNAME)
    # Not `b".." in name`: `in` tries its left side as a number first, and raises and drops an exception over it.
    if not name or 0 in name or name[0] == _DOT or name.find(b"..") >= 0:
        _bad("host name")
    if name[-1] == _DOT:
        name = name[:-1]
    if len(name) > _MAX_LABEL and (len(name) > _MAX_NAME or max(map(len, name.split(b"."))) > _MAX_LABEL):
        _bad("host name too long")
    return name.decode("ascii")


def _protocols(extension: bytes) -> tuple[bytes, ...]:
    position = 2
    if len(extension) < 4 or int.from_bytes(extension[:2]) != len(extension) - 2:
        _bad("list of protocols")
    protocols: list[bytes] = []
    while position < len(extension):
        start = position + 1
        position = start + extension[position]
        if position == start or position > len(extension):
            _bad("list of protocols")
        protocols.append(extension[start:position])
    return tuple(protocols)
