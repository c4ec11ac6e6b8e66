"""What others are told of certificates that are ordered."""

from collections.abc import Iterable

from mcproxy.control.acme.entry import Status
from mcproxy.policy.acme.facts import CertificateFacts


def facts_of(status: Iterable[Status]) -> tuple[CertificateFacts, ...]:
    """Return what the manager knows of each name, for metrics, the status page and explain."""
    return tuple(map(_facts, status))


def _facts(status: Status) -> CertificateFacts:
    held, record = status.held, status.record
    ordering = status.busy and record.state == "ordering"
    return CertificateFacts(
        name=status.name,
        names=status.names,
        issuer="" if held is None else held.issuer,
        not_before=0.0 if held is None else held.not_before,
        not_after=0.0 if held is None else held.not_after,
        renewal=status.renewal,
        ordering=ordering,
        failures=max(record.failures - ordering, 0),  # without the try that is under way
        next_try=record.next_try,
        error=record.error,
    )
