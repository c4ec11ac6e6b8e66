"""Where a PEM file is not laid out as OpenSSL reads it (RFC 7468 section 2): other readers are more lenient."""

import re

from mcproxy.late_patterns import late

_BOUNDARY = late(rb"-----(BEGIN|END) ([A-Z0-9 ]+)-----")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_BASE64 = late(rb"[^A-Za-z0-9+/=]")


def without_byte_order_mark(pem: bytes) -> bytes:
    """Return a file as OpenSSL takes it: a byte order mark at its start counts for nothing."""
    return pem.removeprefix(_BYTE_ORDER_MARK)


def layout_fault(pem: bytes) -> tuple[int, str]:
    """Return the first line (from 1) at which a PEM file is not laid out as OpenSSL wants it, and why; ``(0, "")`` for none.

    What stands between blocks is a comment. Whether the blocks' contents make sense is not looked at.
    """
    if b"\r" in pem.replace(b"\r\n", b"\n"):
        before = pem.replace(b"\r\n", b"\n").partition(b"\r")[0]
        return before.count(b"\n") + 1, "the line ends with a carriage return alone; lines end with a line feed"
    opened, since = b"", 0
    for number, full in enumerate(without_byte_order_mark(pem).split(b"\n"), 1):
        line = full.rstrip(b" \t\r\0")
        boundaries = list(_BOUNDARY.finditer(line))
        if boundaries and boundaries[0].group() != line:
            return number, _glued(line, boundaries)
        if not boundaries:
            if opened and b":" not in line and _NO_BASE64.search(line.strip()):
                return number, f"the line is no Base64, within the {opened.decode()} that begins in line {since}"
            continue
        kind, label = boundaries[0].groups()
        if (kind == b"BEGIN" and opened) or (kind == b"END" and opened != label):
            what = opened or label
            return (since or number), f"the {what.decode()} has no {'end' if opened else 'beginning'}"
        opened, since = (label, number) if kind == b"BEGIN" else (b"", 0)
    return (since, f"the {opened.decode()} has no end") if opened else (0, "")


def _glued(line: bytes, boundaries: list[re.Match[bytes]]) -> str:
    first = boundaries[0]
    text = first.group().decode()
    if not line[: first.start()].strip() and first.end() == len(line):
        return f"blanks stand before {text}, which must begin the line"
    if first.start():
        return f"a line break is missing before {text}"
    return f"a line break is missing after {text}"
