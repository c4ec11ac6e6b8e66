"""Session tickets that every worker accepts (RFC 5077, RFC 8446 section 4.6.1).

The keys of a context follow from control's secret and from all that TLS of its routes is made of: certificates and keys, CAs, CRLs,
names, versions. So a session never holds where another one would have to be made, and a change of any of these, or of the
secret, ends all sessions: the next handshake is a full one. Routes that ask for certificates have no tickets at all.
"""

import hashlib
import hmac
import ssl

import msgspec

from mcproxy.model.state.snapshot import TlsEntry
from mcproxy.net.memory.ticket_secret import TicketSecret, secret_in
from mcproxy.net.openssl.door import TICKET_KEY_BYTES, door

_USE = b"mcproxy session tickets"


class Tickets:
    """Gives contexts the keys of their tickets."""

    __slots__ = ("_raw", "_secret", "_shared")

    def __init__(self, shared: TicketSecret) -> None:
        """``shared`` is where control's secret is."""
        self._shared = shared
        self._raw = b""
        self._secret: bytes | None = None
        self.renew()

    def renew(self) -> bool:
        """Look at the secret; tell whether it is another than before, so that every context needs its keys anew."""
        raw = self._shared.raw()
        if raw == self._raw:
            return False
        secret = secret_in(raw)
        if secret is None:
            return False
        self._raw, self._secret = raw, secret
        return True

    def key(self, context: ssl.SSLContext, entry: TlsEntry) -> None:
        """Give a context its keys; it keeps those of its own, that no other worker has, while there is no secret."""
        opened = door()
        if opened is not None and self._secret is not None and entry.terms.client_auth == "off":
            opened.set_ticket_keys(context, keys(self._secret, entry))


def keys(secret: bytes, entry: TlsEntry) -> bytes:
    """Return the keys of all routes whose TLS is this one, and of no others."""
    return expand(secret, _USE + hashlib.sha256(msgspec.msgpack.encode(entry)).digest(), TICKET_KEY_BYTES)


def expand(secret: bytes, info: bytes, length: int) -> bytes:
    """Return as many bytes as are wanted that follow from a secret and what they are for: HKDF-Expand with SHA-256 (RFC 5869, 2.3)."""
    found = block = b""
    while len(found) < length:
        block = hmac.digest(secret, block + info + bytes([len(found) // 32 + 1]), "sha256")
        found += block
    return found[:length]
