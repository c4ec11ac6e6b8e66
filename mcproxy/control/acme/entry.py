"""What is known of a name for which a certificate is ordered, and when it is due."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from mcproxy.control.acme import keys
from mcproxy.control.acme.interface import Bundle
from mcproxy.control.files.certificates import read_certificate
from mcproxy.policy.acme.pauses import LONGEST
from mcproxy.policy.acme.record import Record
from mcproxy.policy.acme.renewal import renewal_time

LOOKS = 6 * 3600.0
"""Seconds between questions to the CA when to renew."""
_SOONEST, _LATEST = 60.0, 86400.0


class Held(msgspec.Struct, frozen=True):
    """A certificate that is served.

    Attributes:
        bundle: its contents.
        names: that it covers.
        not_before: start of its validity, seconds since 1970.
        not_after: its end.
        moment: where in a window it is renewed.
        issuer: the CA's name for people.
    """

    bundle: Bundle
    names: tuple[str, ...]
    not_before: float
    not_after: float
    moment: float
    issuer: str = ""


def held(bundle: Bundle) -> Held:
    """Return what a certificate says of itself.

    Raises:
        CertificateError: it can't be read.
    """
    read = read_certificate(bundle.chain)
    moment = keys.moment_of(bundle.chain)
    return Held(
        bundle,
        read.names,
        read.not_before.timestamp(),
        read.not_after.timestamp(),
        moment,
        keys.issuer_of(bundle.chain),
    )


def proven(names: Iterable[str]) -> frozenset[str]:
    """Return what has to be proven for a certificate of these names."""
    return frozenset(name.removeprefix("*.") for name in names)


def haste(certificate: Held, now: float) -> str:
    """Return why a new certificate is to be renewed at once, "" if it is not."""
    if renewal_time(certificate.not_before, certificate.not_after) > now:
        return ""
    start, end = (
        f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" for at in (certificate.not_before, certificate.not_after)
    )
    return f"what was issued is to be renewed at once, valid from {start} to {end} UTC; is the clock of this machine right?"


@dataclass
class Entry:
    """A name.

    Attributes:
        names: of its certificate, sorted.
        record: what is kept of it.
        directory: where it is to be ordered.
        held: its certificate, None before the first.
        unread: its file was not read yet, or could not be; nothing is ordered until it is known what is in it.
        read_at: when to read it again.
        look_at: when to ask the CA for the window.
        others_at: before this another machine orders, or has what is needed; 0.0 where there is one.
        forced: an operator wants it renewed now.
        counted: when the order was counted that is about to begin.
        busy: something is being done about it.
        waiting: who waits for the end of the next order, or of the one that is under way.
    """

    names: tuple[str, ...]
    record: Record
    directory: str = ""
    held: Held | None = None
    unread: bool = True
    read_at: float = 0.0
    look_at: float = 0.0
    others_at: float = 0.0
    forced: bool = False
    counted: float | None = None
    busy: bool = False
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def answer(self, error: Exception | None) -> None:
        """Tell who waits how an order has ended."""
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None) if error is None else each.set_exception(error)

    def clashes(self, other: "Entry") -> bool:
        """Tell whether something is being done about another name whose certificate has a name of this one: a name has one challenge at a time."""
        return other is not self and other.busy and not proven(self.names).isdisjoint(proven(other.names))

    def renewal(self) -> float:
        """Return when its certificate is renewed, if nothing fails; 0.0 for now."""
        if self.held is None or not set(self.names) <= set(self.held.names) or self.record.state == "ordering":
            return 0.0
        if self.held.bundle.directory not in ("", self.directory):
            return 0.0  # of the CA that was named before, such as one for tries
        window = (self.record.ari_start, self.record.ari_end) if self.record.ari_end else None
        return renewal_time(self.held.not_before, self.held.not_after, window, self.held.moment)

    def due(self) -> float:
        """Return when the next order is, or the next try of the one that is under way."""
        return max(self.others_at, 0.0 if self.forced else max(self.renewal(), self.record.next_try))

    def set_right(self, now: float) -> None:
        """Wait for nothing that lies further ahead than anything is put off: the clock was wrong then, and has been set back."""
        if self.record.next_try > now + LONGEST:
            self.record = msgspec.structs.replace(self.record, next_try=now)
        self.look_at, self.read_at = (now if at > now + _LATEST else at for at in (self.look_at, self.read_at))

    def next_look(self, now: float, asked: float) -> float:
        """Return when to ask the CA again, by what it asked for (seconds, 0.0 if it did not)."""
        return now + (min(max(asked, _SOONEST), _LATEST) if asked else LOOKS)


class Status(msgspec.Struct, frozen=True):
    """What an operator is shown of a name.

    Attributes:
        name: the route's hostname.
        names: that the certificate is to cover.
        held: the certificate that is served, None while there is none.
        renewal: when the next order is, 0.0 for as soon as may be.
        record: failures, the last error and when the next try is.
        busy: something is being done about it.
    """

    name: str
    names: tuple[str, ...]
    held: Held | None
    renewal: float
    record: Record
    busy: bool = False
