"""Names of header fields as backends read them.

A CGI-style backend (PHP, WSGI, Rack) turns a field's name into a variable's: capitals, and an underscore for each byte that is no
letter and no digit. So ``X-Forwarded-For``, ``x_forwarded_for`` and ``x.forwarded.for`` are one field to it, and whoever looks for one
of them has to look for all. `fold` gives them one form.
"""

FRAMING = frozenset({b"content-length", b"transfer-encoding"})
"""The fields that say where a body ends (RFC 9112 section 6)."""

OF_CONNECTION = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te transfer-encoding upgrade "
    b"http2-settings".split()
)
"""Fields of one connection alone: RFC 9110 section 7.6.1, and what older texts called hop-by-hop."""

_FOLDED = bytes(
    byte if chr(byte) in "0123456789abcdefghijklmnopqrstuvwxyz" else 0x2D for byte in bytes(range(256)).lower()
)


def fold(name: bytes) -> bytes:
    """Return a name in lower case, with a hyphen for every byte that is neither a letter nor a digit."""
    return name.translate(_FOLDED)


def is_claim(folded: bytes) -> bool:
    """Tell whether a client says with a field of this folded name who it is, or by what proxies it came."""
    return folded in (b"forwarded", b"x-real-ip", b"x-forwarded") or folded.startswith(b"x-forwarded-")
