"""What ordering certificates is told, and what it needs from outside."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import msgspec

from mcproxy.control.files.certificates import Pair
from mcproxy.errors import McproxyError
from mcproxy.model.values.acme.words import LETS_ENCRYPT
from mcproxy.policy.acme.record import Record

Kind: TypeAlias = Literal["tls-alpn-01", "http-01", "dns-01"]


_LONG = 1000  # characters


def one_line(text: str) -> str:
    """Return what others have said on one line that terminals show as it is, and not too long."""
    line = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in " ".join(text.split()))
    return line if len(line) <= _LONG else f"{line[:_LONG]}..."


class AcmeError(McproxyError):
    """An order failed; the text says where and why, on one line.

    Attributes:
        retry_after: seconds that the CA asks to wait, 0.0 if it did not say.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(one_line(message))
        self.retry_after = retry_after


class OrderFailedError(AcmeError):
    """The CA has judged: the order is at its end, and another one has to be begun."""


class StoppedError(McproxyError):
    """Control ends; the order is continued by the next one."""


class DnsServer(msgspec.Struct, frozen=True, tag="server"):
    """Where TXT records are set by RFC 2136.

    Attributes:
        address: of the zone's primary server.
        port: of the same.
        zone: its name.
        tsig_key: the text of a key file as BIND writes it (tsig-keygen), "" for none.
    """

    address: str
    port: int
    zone: str
    tsig_key: str = ""


class DnsHook(msgspec.Struct, frozen=True, tag="hook"):
    """A program that sets TXT records: ``present NAME VALUE`` and ``cleanup NAME VALUE``.

    Attributes:
        program: its path; no shell is involved.
    """

    program: str


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How certificates are ordered.

    Attributes:
        directory: the CA's URL.
        ca: path of a PEM file with what the directory's own certificate is verified by, "" for the public CAs.
        email: whom the CA may write to, "" for none.
        challenge: how it is proven that names are ours.
        profile: the CA's word for a kind of certificates, "" for its default.
        eab_kid: the CA's name for a customer (external account binding), "" for none.
        eab_key: base64url, the key that belongs to it.
        folder: of the certificates, keys and accounts.
        dns: how TXT records are set, for dns-01.
    """

    folder: Path
    directory: str = LETS_ENCRYPT
    ca: str = ""
    email: str = ""
    challenge: Kind = "tls-alpn-01"
    profile: str = ""
    eab_kid: str = ""
    eab_key: str = ""
    dns: DnsServer | DnsHook | None = None


class Challenge(msgspec.Struct, frozen=True):
    """What the CA looks for to believe that a name is ours.

    Attributes:
        kind: how it looks.
        name: without ``*.``.
        token: the last part of the path of http-01.
        text: the key authorization: what http-01 answers.
        value: of the TXT record of dns-01.
        pair: certificate and key of tls-alpn-01, None for other kinds.
    """

    kind: Kind
    name: str
    token: str
    text: str
    value: str
    pair: Pair | None = None


class Bundle(msgspec.Struct, frozen=True):
    """A certificate with its chain, and its key; both PEM.

    Attributes:
        directory: where it was ordered, "" where that is not known: somebody else may have put it in its place.
    """

    chain: bytes
    key: bytes
    directory: str = ""


class Store(Protocol):
    """Keeps records durably: what a call has returned from survives a crash."""

    async def records(self) -> Sequence[Record]:
        """Return all of them."""

    async def save(self, record: Record) -> None:
        """Put a record in the place of the earlier one of its name."""

    async def forget(self, name: str) -> None:
        """Remove a name's record."""

    async def count_order(self, at: float) -> None:
        """Note that an order is begun."""

    async def orders_since(self, at: float) -> Sequence[float]:
        """Return when orders were begun, of those later than a time; earlier ones may be forgotten."""


class Outside(Protocol):
    """What ordering has done for it, and whom it tells; called in the event loop."""

    async def publish(self, challenges: Sequence[Challenge]) -> None:
        """Return once every worker answers these."""

    async def withdraw(self, challenges: Sequence[Challenge]) -> None:
        """Have them answered no more."""

    async def install(self, name: str, bundle: Bundle) -> None:
        """Serve a certificate, which is in its file already."""

    def tell(self, name: str, message: str) -> None:
        """Log what went wrong without ending an order."""


class Clock(Protocol):
    """The time, and chance."""

    def now(self) -> float:
        """Return the seconds since 1970."""

    def random(self) -> float:
        """Return a number from 0 to 1."""
