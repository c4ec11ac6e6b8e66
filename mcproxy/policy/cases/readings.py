r"""The ways in which a backend may read a path.

A proxy that guards ``/admin`` and a backend behind it have to mean the same by it. Backends differ: some decode escapes, some twice; some
resolve dots, merge slashes, take ``\`` for a slash, drop matrix parameters (``;x=1``) or all behind the first, drop line breaks and NUL
bytes or end a path there, or take what follows two leading slashes for a host. And in any order. `readings` returns what any sequence of these steps makes of a path; where no step changes
it, as nearly always, that is the path alone.
"""

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

from mcproxy.model.values.http.matches import capitals, normal

LONGEST = 4096
"""Bytes of the longest path that is read in more than one way; what is longer is told apart by nobody."""

MOST = 32
"""The most readings of one path."""

_DECODINGS = 2
_WORK = 8192  # bytes of readings that are looked at for one path: what bounds the time for it

_SIGNS = (b"%", b";", b"\\", b"//")
_DOTS = re.compile(rb"/\.{1,2}(?:/|\Z)")
_PARAMETERS = re.compile(rb";[^/]*")
_SLASHES = re.compile(rb"//+")
_END = re.compile(rb"[\x00?#;]")
_BREAKS = re.compile(rb"[\x00\t\n\r]")
_HOST = re.compile(rb"//[^/]*/*")
# An ASCII character in more bytes than it needs (RFC 3629 section 3): a careless decoder takes C0 AF for a slash.
_OVERLONG = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80\x81][\x80-\xbf]|\xf0\x80[\x80\x81][\x80-\xbf]")


def is_odd(path: bytes) -> bool:
    """Tell whether a path has more than one reading."""
    for sign in _SIGNS:
        if sign in path:
            return True
    return b"/." in path and _DOTS.search(path) is not None


def readings(path: bytes) -> tuple[bytes, ...] | None:
    """Return all readings of a path, the one that cases are written in first; None where there are too many to tell.

    Args:
        path: as received, without the query; it begins with a slash.
    """
    if not is_odd(path):
        return (path,)
    if len(path) > LONGEST:
        return None
    received = capitals(path)
    decoded = {normal(path): 0}  # readings, and how often each was decoded at least
    decoded.setdefault(received, 0)
    pending = list(decoded)
    work = 0
    while pending:
        reading = pending.pop()
        work += len(reading)
        count = decoded[reading]
        for other, further in _next(reading):
            if decoded.get(other, _DECODINGS + 1) > count + further <= _DECODINGS:
                decoded[other] = count + further
                pending.append(other)
        if len(decoded) > MOST or work > _WORK:
            return None
    return tuple(decoded)


def _next(reading: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield what single steps make of a reading, and whether each is a decoding."""
    if b"%" in reading:
        yield unquote_to_bytes(reading), 1
    for sign, step in _STEPS:
        if sign in reading:
            yield step(reading), 0
    if _END.search(reading) is not None:
        yield _END.split(reading, 1)[0] or b"/", 0
    if b"//" in reading or b"/." in reading:
        for step in (_merged, _resolved):
            other = step(reading)
            if other != reading:
                yield other, 0
                if other.endswith(b"/") and other != b"/":
                    yield other[:-1], 0
        if reading.startswith(b"//"):
            yield _HOST.sub(b"/", reading, 1), 0


def _merged(path: bytes) -> bytes:
    return _SLASHES.sub(b"/", path)


def _resolved(path: bytes) -> bytes:
    """Return a path without ``.`` and ``..`` (RFC 3986 section 5.2.4)."""
    parts = path.split(b"/")
    kept: list[bytes] = []
    for part in parts[1:]:
        if part == b"..":
            if kept:
                kept.pop()
        elif part != b".":
            kept.append(part)
    if parts[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)


def _without_parameters(path: bytes) -> bytes:
    return _PARAMETERS.sub(b"", path)


def _without_breaks(path: bytes) -> bytes:
    return _BREAKS.sub(b"", path)


def _with_slashes(path: bytes) -> bytes:
    return path.replace(b"\\", b"/")


def _shortened(path: bytes) -> bytes:
    return _OVERLONG.sub(_character, path)


def _character(found: re.Match[bytes]) -> bytes:
    code = 0
    for byte in found[0][1:]:
        code = code << 6 | byte & 0x3F
    return bytes((code | (0x40 if found[0][0] == 0xC1 else 0),))


_STEPS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b";", _without_parameters),
    (b"\\", _with_slashes),
    *((sign, _without_breaks) for sign in (b"\x00", b"\t", b"\n", b"\r")),
    (b"\xc0", _shortened),
    (b"\xc1", _shortened),
    (b"\xe0", _shortened),
    (b"\xf0", _shortened),
)
