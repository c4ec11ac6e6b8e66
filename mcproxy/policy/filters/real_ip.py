"""Who the client is where another proxy stands in front, which says so in a header: ``real_ip`` of a listener.

Only what comes over a connection from a trusted network is believed. Each proxy adds the address that it saw at the right, so the
rightmost one that is no trusted proxy's is the client's: whatever stands left of it, the client may have made up.
"""

import ipaddress
import re
from collections.abc import Iterator

import msgspec

from mcproxy.late_patterns import late
from mcproxy.model.state.filter_options import RealIp
from mcproxy.policy.authority import authority_port, is_authority
from mcproxy.policy.firewall import CidrSet, unmap
from mcproxy.policy.headers import Headers

MOST = 64
"""Addresses of a header that are looked at."""

_BRACKETED = late(rb"\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?")
_WITH_PORT = late(rb"([0-9.]{7,15}):[0-9]{1,5}")
_FOR = late(rb'(?:^|;)[ \t]*for=(?:"([^"\\]*)"|([^;"\s]+))', re.IGNORECASE)
_PORT = late(rb"[0-9]{1,5}")
_SCHEMES = (b"https", b"http")


class Told(msgspec.Struct, frozen=True):
    """What a trusted proxy tells of a request.

    Attributes:
        client: the packed address of the client; that of the proxy itself where it tells none.
        malformed: it names an address that is none.
        chain: its X-Forwarded-For as received; nothing for none.
        scheme, host, port: of the URL that the client has; nothing for what isn't told, or is malformed.
    """

    client: bytes
    malformed: bool = False
    chain: bytes = b""
    scheme: bytes = b""
    host: bytes = b""
    port: bytes = b""


class RealIpRule:
    """Which connections are believed, and the header that is read.

    Args:
        real_ip: what the listener says.
    """

    __slots__ = ("_header", "_is_forwarded", "_trusted")

    def __init__(self, real_ip: RealIp) -> None:
        self._header = real_ip.header.lower().encode()
        self._is_forwarded = self._header == b"forwarded"
        self._trusted = CidrSet(real_ip.from_)

    def trusts(self, peer: bytes) -> bool:
        """Tell whether a connection comes from a trusted network; ``peer`` is its packed address."""
        return unmap(peer) in self._trusted

    def read(self, peer: bytes, fields: Headers) -> Told:
        """Return what the proxy at the other end of a connection tells of a request.

        Args:
            peer: its packed address; it is trusted.
            fields: the request's as received; those of other spellings are clients' own.
        """
        said: dict[bytes, list[bytes]] = {}
        for name, value in fields:
            if name == self._header or name in _KEPT:
                said.setdefault(name, []).append(value)
        client, malformed = self._client(peer, said.get(self._header, []))
        schemes, hosts, ports = (_only(said.get(name, ())) for name in _KEPT[1:])
        return Told(
            client,
            malformed,
            b", ".join(said.get(_KEPT[0], ())),
            schemes.lower() if schemes.lower() in _SCHEMES else b"",
            hosts if is_authority(hosts) else b"",
            ports if _PORT.fullmatch(ports) and 0 < int(ports) < 65536 else b"",
        )

    def _client(self, peer: bytes, values: list[bytes]) -> tuple[bytes, bool]:
        """Return the address of the client, and whether one that was looked at is malformed: then the peer counts."""
        client = peer
        for number, element in enumerate(_from_right(values)):
            if number >= MOST:
                return peer, True
            address = _address(_node(element) if self._is_forwarded else element)
            if address is None:
                return peer, True
            client = address
            if address not in self._trusted:
                break
        return client, False


_KEPT = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port")


def forwarding_fields(told: Told, peer: str, client: str, authority: bytes, scheme: bytes) -> Headers:
    """Return what backends are told of the client of a request that came by a trusted proxy.

    Args:
        told: what that proxy has told.
        peer: its address, canonical.
        client: the client's address, canonical.
        authority: host and optional port of the request.
        scheme: of this connection, where nothing else was told.
    """
    scheme = told.scheme or scheme
    host = told.host or authority
    port = told.port or authority_port(host) or (b"443" if scheme == b"https" else b"80")
    chain = b", ".join(filter(None, (told.chain, peer.encode())))
    node = f'"[{client}]"' if ":" in client else client  # RFC 7239 section 6
    forwarded = b"for=%b;proto=%b" % (node.encode(), scheme)
    fields: Headers = [
        (b"x-forwarded-for", chain),
        (b"x-real-ip", client.encode()),
        (b"x-forwarded-proto", scheme),
        (b"x-forwarded-port", port),
    ]
    if host:
        fields.append((b"x-forwarded-host", host))
        forwarded += b';host="%b"' % host
    fields.append((b"forwarded", forwarded))
    return fields


def _from_right(values: list[bytes]) -> Iterator[bytes]:
    """Yield the elements of a list header, the last first; empty ones count for nothing (RFC 9110 section 5.6.1)."""
    for value in reversed(values):
        end = len(value)
        while end >= 0:
            start = value.rfind(b",", 0, end)
            element = value[start + 1 : end].strip(b" \t")
            if element:
                yield element
            end = start


def _node(element: bytes) -> bytes:
    """Return the node that an element of Forwarded names with ``for`` (RFC 7239 section 4)."""
    found = _FOR.search(element)
    return b"" if found is None else found[1] or found[2] or b""


def _address(text: bytes) -> bytes | None:
    """Return a packed address, which may have a port behind it; None if it is none."""
    found = _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text)
    if b"%" in text:  # a zone is of use on its own machine alone
        return None
    try:
        return unmap(ipaddress.ip_address((found[1] if found else text).decode("ascii")).packed)
    except ValueError:
        return None


def _only(values: list[bytes] | tuple[()]) -> bytes:
    """Return a value that is said once; where it is said twice, one may be the client's."""
    return values[0] if len(values) == 1 else b""
