"""TXT records of dns-01 by dynamic updates (RFC 2136), signed by a key (RFC 8945); blocking."""

import re
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.tsig
import dns.update

from mcproxy.control.acme.interface import AcmeError, Challenge, DnsServer, StoppedError

SEEN_WITHIN = 120.0
"""Seconds that the zone's servers may take to have a record."""

_TTL = 60
_TIMEOUT = 5.0
_PAUSE = 0.5
_PORT = 53
_KEY = re.compile(r'key\s+"?([^"\s{]+)"?\s*\{([^}]*)\}', re.IGNORECASE)
_ALGORITHM = re.compile(r'algorithm\s+"?([\w.-]+)"?\s*;', re.IGNORECASE)
_ALGORITHMS = ("hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")
_COMMENTS = re.compile(r"/\*.*?\*/|^\s*(?://|#)[^\n]*", re.DOTALL | re.MULTILINE)
_SECRET = re.compile(r'secret\s+"?([A-Za-z0-9+/=]+)"?\s*;', re.IGNORECASE)


def read_key(text: str) -> dns.tsig.Key:
    """Return the key in a file as tsig-keygen writes it.

    Raises:
        AcmeError: there is none in it.
    """
    plain = _COMMENTS.sub("", text)
    found = _KEY.search(plain)
    secret = _SECRET.search(found[2]) if found else None
    if not found or not secret:
        raise AcmeError('no TSIG key: expected key "NAME" { algorithm hmac-sha256; secret "BASE64"; };')
    stated = _ALGORITHM.search(found[2])
    algorithm = stated[1].lower() if stated else "hmac-sha256"
    if algorithm not in _ALGORITHMS:
        raise AcmeError(f"TSIG key {found[1]}: algorithm {algorithm} is none of {', '.join(_ALGORITHMS)}")
    try:
        return dns.tsig.Key(found[1], secret[1], algorithm)
    except (ValueError, dns.exception.DNSException) as error:
        raise AcmeError(f"TSIG key {found[1]}: {error}") from error


class DnsServerSolver:
    """Sets TXT records at a zone's primary server, and waits until all servers of the zone have them.

    Args:
        terms: the server.
        stop: set when control ends.
    """

    def __init__(self, terms: DnsServer, stop: threading.Event) -> None:
        self._terms = terms
        self._stop = stop
        try:
            self._zone = dns.name.from_text(terms.zone)
        except dns.exception.DNSException as error:
            raise AcmeError(f"{terms.zone!r} is no zone: {error}") from error
        self._key = read_key(terms.tsig_key) if terms.tsig_key else None

    def present(self, challenges: Sequence[Challenge]) -> None:
        """Add a record per challenge, and return once the zone's servers have all of them.

        Servers that do not answer at all are not waited for in the end: they may be hidden from here, and the CA decides.

        Raises:
            AcmeError: the update was refused, or a server does not have a record after `SEEN_WITHIN`.
        """
        for name, value in self._records(challenges):
            update = dns.update.UpdateMessage(self._zone, keyring=self._key)
            update.add(name, _TTL, "TXT", f'"{value}"')
            self._send(update, name)
        until = time.monotonic() + SEEN_WITHIN
        waiting = {(server, record) for server in self._servers() for record in self._records(challenges)}
        silent: set[Any] = set()
        while waiting:
            silent = set()
            for server, (name, value) in sorted(waiting, key=str):
                found = self._values(server, name)
                if found is None:
                    silent.add((server, (name, value)))
                elif value in found:
                    waiting.discard((server, (name, value)))
            if time.monotonic() > until:
                break
            if waiting and self._stop.wait(_PAUSE):
                raise StoppedError("control ends")
        for server, (name, _) in waiting - silent:
            raise AcmeError(f"{_shown(server)} does not have the TXT record of {name} after {SEEN_WITHIN:.0f} s")

    def remove(self, challenges: Sequence[Challenge]) -> None:
        """Delete these records, and no others of the same names.

        Raises:
            AcmeError: some could not be deleted; all were tried.
        """
        failed = []
        for name, value in self._records(challenges):
            update = dns.update.UpdateMessage(self._zone, keyring=self._key)
            update.delete(name, "TXT", f'"{value}"')
            try:
                self._send(update, name)
            except AcmeError as error:
                failed.append(str(error))
        if failed:
            raise AcmeError("; ".join(failed))

    def _records(self, challenges: Iterable[Challenge]) -> list[tuple[dns.name.Name, str]]:
        found = []
        for each in challenges:
            name = dns.name.from_text(f"_acme-challenge.{each.name}")
            if not name.is_subdomain(self._zone):
                raise AcmeError(f"{each.name} is not in the zone {self._terms.zone}")
            found.append((name, each.value))
        return found

    def _send(self, update: dns.update.UpdateMessage, name: dns.name.Name) -> None:
        terms = self._terms
        try:
            answer = dns.query.tcp(update, terms.address, timeout=_TIMEOUT, port=terms.port)
        except (OSError, EOFError, dns.exception.DNSException) as error:
            raise AcmeError(
                f"{_shown((terms.address, terms.port))}: {name}: {str(error) or type(error).__name__}"
            ) from error
        if answer.rcode() != dns.rcode.NOERROR:
            told = dns.rcode.to_text(answer.rcode())
            raise AcmeError(f"{_shown((terms.address, terms.port))} refuses to change {name}: {told}")

    def _servers(self) -> list[tuple[str, int]]:
        """Return the servers of the zone that can be found, the one that is updated among them."""
        own = self._terms.address, self._terms.port
        found = {own}
        try:
            question = dns.message.make_query(self._zone, dns.rdatatype.NS)
            answer = dns.query.tcp(question, own[0], timeout=_TIMEOUT, port=own[1])
            names = {record.target for each in answer.answer for record in each if record.rdtype == dns.rdatatype.NS}
        except (OSError, EOFError, dns.exception.DNSException):
            return [own]
        for name in names:
            found |= {(each, own[1] if each == own[0] else _PORT) for each in self._addresses(name)}
        return sorted(found)

    def _addresses(self, name: dns.name.Name) -> list[str]:
        """Return those of a server of the zone; of one within the zone the zone itself tells them."""
        found = []
        for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
            try:
                if name.is_subdomain(self._zone):
                    question = dns.message.make_query(name, kind)
                    answer = dns.query.tcp(question, self._terms.address, timeout=_TIMEOUT, port=self._terms.port)
                    records = [record for each in answer.answer for record in each if record.rdtype == kind]
                else:
                    records = list(dns.resolver.resolve(name, kind, lifetime=_TIMEOUT))
            except (OSError, EOFError, dns.exception.DNSException):
                continue
            found += [str(record.address) for record in records]
        return found

    def _values(self, server: tuple[str, int], name: dns.name.Name) -> set[str] | None:
        """Return the TXT records of a name at a server, None if it does not answer."""
        question = dns.message.make_query(name, dns.rdatatype.TXT, flags=0)
        try:
            answer = dns.query.tcp(question, server[0], timeout=_TIMEOUT, port=server[1])
        except (OSError, EOFError, dns.exception.DNSException):
            return None
        return {
            b"".join(record.strings).decode("ascii", "replace")
            for each in answer.answer
            for record in each
            if record.rdtype == dns.rdatatype.TXT
        }


def _shown(server: tuple[str, int]) -> str:
    address, port = server
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
