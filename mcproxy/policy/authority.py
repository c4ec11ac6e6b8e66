"""Whom a request is for: the host and port that Host or ``:authority`` names."""

import ipaddress

from mcproxy.late_patterns import late

_AUTHORITY = late(rb"([0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")

is_authority = _AUTHORITY.fullmatch
"""Whether bytes are a host and an optional port, a registered name or an address, without user information."""


def authority_host(value: bytes) -> str | None:
    """Return the canonical host of an authority, or None if it is none.

    A name loses its port and one trailing dot and is in lower case; an IPv6 address is compressed and has no
    brackets. Two authorities with the same result belong to the same route.
    """
    match = _AUTHORITY.fullmatch(value)
    if match is None or (match[2] and int(match[2]) > 65535):
        return None
    host = match[1].decode()
    if not host.startswith("["):
        return canonical_name(host)
    try:
        return ipaddress.IPv6Address(host[1:-1]).compressed
    except ValueError:
        return None


def authority_port(value: bytes) -> bytes:
    """Return the port that an authority names, in its shortest form; nothing if it names none, or is none."""
    match = _AUTHORITY.fullmatch(value)
    return b"%d" % int(match[2]) if match is not None and match[2] else b""


def canonical_name(text: str) -> str | None:
    """Return a host's name in lower case, without the dot of the root; None if a label is empty, as in ``name..``."""
    name = text.lower().removesuffix(".")
    return None if "" in name.split(".") else name
