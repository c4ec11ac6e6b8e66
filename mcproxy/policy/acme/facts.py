"""What is known of certificates that are ordered, and how it is put into words."""

from datetime import UTC, datetime

import msgspec

from mcproxy.model.values.figures import age

_LONG = 300  # characters of what a CA has said


class CertificateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One of them. All times are in seconds since 1970, 0.0 stands for none.

    Attributes:
        name: the hostname of its routes.
        names: all that it is to cover.
        issuer: the CA's name for people, "" before the first certificate.
        not_before, not_after: of the certificate that is served; 0.0 before the first one.
        renewal: when the next order is to be, if nothing fails; 0.0 for as soon as may be.
        ordering: an order is under way.
        failures: how many tries have failed in a row.
        next_try: nothing is tried before.
        error: of the last try, "" after a success.
    """

    name: str
    names: tuple[str, ...] = ()
    issuer: str = ""
    not_before: float = 0.0
    not_after: float = 0.0
    renewal: float = 0.0
    ordering: bool = False
    failures: int = 0
    next_try: float = 0.0
    error: str = ""

    @property
    def served(self) -> bool:
        """Whether there is one to serve."""
        return self.not_after > 0

    def overdue(self, now: float) -> float:
        """Return the share that has passed of the time that was left when it was to be renewed; 0.0 before, and without one."""
        left = self.not_after - self.renewal
        if not self.served or not self.renewal or now <= self.renewal:
            return 0.0
        return (now - self.renewal) / left if left > 0 else 1.0


class OrderFacts(msgspec.Struct, frozen=True):
    """All of them.

    Attributes:
        certificates: sorted by name.
        issued, failed: how many orders have ended so since control started.
    """

    certificates: tuple[CertificateFacts, ...] = ()
    issued: int = 0
    failed: int = 0

    def of(self, name: str) -> CertificateFacts | None:
        """Return what is known of the certificate of a route's hostname, None for nothing."""
        return next((each for each in self.certificates if each.name == name), None)


def words(facts: CertificateFacts, now: float) -> str:
    """Return in words where a certificate comes from, and what becomes of it."""
    told = []
    if facts.served:
        told.append(
            f"from {facts.issuer}, {'renewed' if facts.not_before <= now else 'valid'} {_ago(facts.not_before, now)}"
        )
        if not facts.error:
            told.append("is being renewed" if facts.ordering else _next(facts.renewal, now))
    elif not facts.error:
        told.append("the first one is being ordered" if facts.ordering else "the first one waits to be ordered")
    if facts.error:
        what = "renewal fails" if facts.served else "waiting"
        told.append(f"{what}: {shortened(facts.error)}")
        told.append(
            "is tried again now"
            if facts.ordering or facts.next_try <= now
            else f"tried again in {age(facts.next_try - now)}"
        )
    return ", ".join(told)


def shortened(error: str) -> str:
    """Return what a CA has said on one line, not too long."""
    line = " ".join(error.split())
    return line if len(line) <= _LONG else f"{line[:_LONG]}..."


def _ago(moment: float, now: float) -> str:
    return f"{age(now - moment)} ago" if moment <= now else f"in {age(moment - now)}"


def _next(renewal: float, now: float) -> str:
    return "next as soon as may be" if renewal <= now else f"next about {datetime.fromtimestamp(renewal, UTC):%Y-%m-%d}"
